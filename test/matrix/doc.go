// Package matrix has the scenarios of Matrix: XMPP clients on a real Prosody and a real
// ejabberd, transportd, and clients of a real homeserver, Dendrite.
package matrix

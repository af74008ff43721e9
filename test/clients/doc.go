// Package clients has the tests with the clients people use: Converse.js, Gajim and
// slixmpp page through the archive of a room that a hundred thousand lines were said
// in, on Prosody and on ejabberd.
package clients

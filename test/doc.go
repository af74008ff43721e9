// Package test holds the scenarios that drive a built transportd between real
// servers: Prosody and ejabberd on one side, InspIRCd with Anope's services and
// ngIRCd on the other, with slixmpp and plain IRC clients at the ends.
//
// Every scenario runs on every pair of servers and brings its own users, nicks
// and channels, so they run beside one another on the same servers. Those that
// kill servers start their own.
package test

// Package component is the XMPP side of the gateway: one connection to an XMPP
// server as an external component (XEP-0114), and what is served over it.
//
// The bottom of the package turns bytes into stanzas and back. A framer cuts
// the server's byte stream into stanzas and a parser turns each into a tree of
// namespaced elements ([Element], [Stanza]); both work within fixed limits
// ([Limits]), and a stanza that breaks one costs an error to its sender, never
// the stream. [Out] builds outgoing stanzas; a guard checks each one before it
// may reach the socket, because a server drops the whole component for a single
// violation.
//
// [Stream] is the life of the connection: handshake, read loop, coalescing
// writer, keepalive, reconnection, and the tracking of the requests we send.
// [Router] gives each incoming stanza to the one handler that is responsible
// for it.
package component

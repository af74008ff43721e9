// Package xmpptest is an XMPP server for tests: it plays the server's side of one
// component connection (XEP-0114) as a test tells it to, well-behaved or not.
//
// A test usually goes
//
//	srv := xmpptest.NewServer(t, "irc.example.org", "secret")
//	… start the component with srv.Addr() …
//	c := srv.Accept()
//	c.Send(`<message from='juliet@example.org/balcony' to='irc.example.org'><body>hi</body></message>`)
//	c.Expect(`message[@to='juliet@example.org/balcony']/body[text()='hello']`)
//
// It reads with encoding/xml, so that what it says about the component's output
// does not rest on the component's own parser. Methods that wait fail the test
// after [Server.Patience], showing what went over the wire. They must be called
// by the test's goroutine.
package xmpptest

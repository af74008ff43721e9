package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"transportd/internal/irctest"
	"transportd/internal/xmpptest"
)

// private waits for a one-to-one line from romeo and returns it.
func (w *world) private(body string) *xmpptest.Node {
	w.t.Helper()
	n, _ := w.stream.Until(fmt.Sprintf("message[@type='chat'][@from='romeo%%net@irc.example.org'][@to='juliet@example.org']/body[text()='%s']", body))
	return n
}

// A line that the user's server sends back because no client is there is delivered
// when one comes; one that it had not read when the program was killed is delivered
// by the next.
func TestScenarioLatePrivateLines(t *testing.T) {
	w := newWorld(t, irctest.Config{})
	romeo := w.irc.Puppet("romeo")
	w.join(balcony, "juliet")
	w.stored()
	romeo.Do("PRIVMSG juliet :come back")
	first := w.private("come back")
	w.stream.Send(`<message type='error' id='%s' from='juliet@example.org' to='romeo%%net@irc.example.org'>
		<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, first.Attr("id"))
	w.stream.Send(`<presence from='%s' to='irc.example.org'/>`, balcony)
	again := w.private("come back")
	stamp := again.Find("message/delay")
	if again.Attr("id") != first.Attr("id") || stamp == nil {
		t.Fatalf("it comes again as %s", again)
	}
	if at, err := time.Parse(time.RFC3339Nano, stamp.Attr("stamp")); err != nil || time.Since(at) > time.Minute {
		t.Errorf("its time is %s (%v)", stamp, err)
	}

	romeo.Do("PRIVMSG juliet :not confirmed")
	lost := w.private("not confirmed")
	w.program.signal(syscall.SIGKILL)
	w.program.exit()
	w.irc.WaitGone(t, "juliet")
	w.begin()
	again = w.private("not confirmed")
	if again.Attr("id") != lost.Attr("id") || again.Find("message/delay") == nil {
		t.Errorf("after the restart it comes as %s, before it was %s", again, lost)
	}
	// What has been read is not repeated: confirmed by the ping that comes around.
	for confirmed := false; !confirmed; {
		n := w.stream.Next()
		if n.Name.Local == "iq" && n.Attr("from") == "irc.example.org" && n.Attr("to") == "irc.example.org" {
			w.stream.Send("%s", n.String())
			confirmed = true
		}
	}
	time.Sleep(6 * time.Second) // the session looks every five seconds
	w.program.signal(syscall.SIGKILL)
	w.program.exit()
	w.begin()
	w.stream.Send(`<iq type='get' id='last' from='%s' to='irc.example.org'><ping xmlns='urn:xmpp:ping'/></iq>`, balcony)
	_, before := w.stream.Until("iq[@type='result'][@id='last']")
	time.Sleep(time.Second)
	for n, ok := w.stream.TryNext(0); ok; n, ok = w.stream.TryNext(0) {
		before = append(before, n)
	}
	for _, n := range before {
		if strings.Contains(n.String(), "come back") || strings.Contains(n.String(), "not confirmed") {
			t.Errorf("it comes once more: %s", n)
		}
	}
}

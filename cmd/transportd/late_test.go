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
	for pending := true; pending; { // the session looks every five seconds
		code, out, stderr := cli(t, "export", "-c", w.file, "juliet@example.org")
		if code != exitOK {
			t.Fatal(stderr)
		}
		pending = strings.Contains(out, `"pending":true`)
		time.Sleep(100 * time.Millisecond)
	}
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

// chats takes one-to-one lines from romeo, and
// plays the server meanwhile: it sends back what the program sends to itself.
type chats struct {
	*world
	order []string          // bodies, as they came first
	ids   map[string]string // by body
}

func (c *chats) until(n int) {
	c.t.Helper()
	for len(c.order) < n {
		s, ok := c.stream.TryNext(30 * time.Second)
		if !ok {
			c.t.Fatalf("of %d lines %d have come", n, len(c.order))
		}
		c.take(s)
	}
}

func (c *chats) take(n *xmpptest.Node) {
	body := n.Find("message/body")
	switch {
	case n.Name.Local == "iq" && n.Attr("type") == "get" && n.Attr("from") == n.Attr("to"):
		c.stream.Send("%s", n.String())
	case body != nil && n.Attr("type") == "chat" && strings.HasPrefix(n.Attr("from"), "romeo%"):
		if id, again := c.ids[body.Text]; again {
			if id != n.Attr("id") {
				c.t.Errorf("%q comes again as %s, it was %s", body.Text, n.Attr("id"), id)
			}
			return
		}
		c.ids[body.Text] = n.Attr("id")
		c.order = append(c.order, body.Text)
	}
}

// More one-to-one lines come while the XMPP server is away than memory holds; then the
// program is killed while it delivers them. All arrive, in their order.
func TestScenarioManyPrivateLines(t *testing.T) {
	w := newWorld(t, irctest.Config{})
	romeo := w.irc.Puppet("romeo")
	w.join(balcony, "juliet")
	w.stored()
	c := &chats{world: w, ids: map[string]string{}}
	romeo.Do("PRIVMSG juliet :hello")
	c.until(1)
	w.stream.Break()
	const many = 1300
	want := []string{"hello"}
	for i := range many {
		want = append(want, fmt.Sprint("line ", i))
		romeo.Do("PRIVMSG juliet :" + want[i+1])
	}
	w.stream = w.xmpp.Accept()
	c.until(300)
	w.program.signal(syscall.SIGKILL)
	w.program.exit()
	for {
		n, ok := w.stream.TryNext(10 * time.Second)
		if !ok {
			break
		}
		c.take(n)
	}
	w.irc.WaitGone(t, "juliet")
	w.begin()
	c.until(many + 1)
	for i := range want {
		if c.order[i] != want[i] {
			t.Fatalf("number %d is %q, not %q", i, c.order[i], want[i])
		}
	}
}

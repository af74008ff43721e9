package component

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"transportd/internal/xmpptest"
)

type answer struct {
	s   *Stanza
	err error
}

// ask sends a version request and returns where its answer comes.
func ask(t testing.TB, s *Stream, to, id string, timeout time.Duration) chan answer {
	t.Helper()
	ch := make(chan answer, 2) // a second call of done would show
	s.Request(NewIQ(s.Domain(), mustJID(t, to), "get", id).Elem("jabber:iq:version", "query", ""), timeout,
		func(s *Stanza, err error) { ch <- answer{s, err} })
	return ch
}

func TestRequestIsAnswered(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	got := ask(t, r.Stream, "a@b.example/r", "1", time.Hour)
	c.ExpectXML(`<iq type='get' id='1' from='irc.example.org' to='a@b.example/r'><query xmlns='jabber:iq:version'/></iq>`)
	c.Send(`<iq type='result' id='1' from='a@b.example/r' to='irc.example.org'><query xmlns='jabber:iq:version'><name>x</name></query></iq>`)
	if a := <-got; a.err != nil || a.s.Payload().Child("", "name").Text() != "x" {
		t.Fatalf("got %+v", a)
	}
	got = ask(t, r.Stream, "a@b.example/r", "2", time.Hour)
	c.Expect("iq[@id='2']")
	c.Send(`<iq type='error' id='2' from='a@b.example/r' to='irc.example.org'><query xmlns='jabber:iq:version'/>` +
		`<error type='wait' by='b.example'><resource-constraint xmlns='` + NSStanzaErrors + `'/><text xmlns='` + NSStanzaErrors + `'>later</text><app xmlns='urn:x'/></error></iq>`)
	a := <-got
	var se *StanzaError
	if !errors.As(a.err, &se) || se.Condition != "resource-constraint" || se.Type != "wait" || se.Text != "later" ||
		se.By.Domain != "b.example" || *se.App != (AppCondition{"urn:x", "app"}) || a.s == nil {
		t.Fatalf("got %+v, %+v", a, se)
	}
	got = ask(t, r.Stream, "a@b.example/r", "3", time.Hour)
	c.Expect("iq[@id='3']")
	c.Send(`<iq type='result' id='3' from='a@b.example/r' to='irc.example.org'><query xmlns='jabber:iq:version'><name>&nbsp;</name></query></iq>`)
	if a := <-got; !errors.Is(a.err, ErrUnreadable) {
		t.Fatalf("got %+v", a)
	}
}

// Ids are no secret: only an answer from the address that was asked counts, and
// only a result or an error.
func TestSpoofedAnswersAreIgnored(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	got := ask(t, r.Stream, "a@b.example/r", "1", time.Hour)
	c.Expect("iq[@id='1']")
	for _, x := range []string{
		`<iq type='result' id='1' from='evil@b.example/r' to='irc.example.org'/>`,
		`<iq type='result' id='1' from='a@b.example' to='irc.example.org'/>`,
		`<iq type='result' id='1' from='a@b.example/other' to='irc.example.org'/>`,
		`<iq type='result' id='1' from='b.example' to='irc.example.org'/>`,
		`<iq type='error' id='1' from='evil.example' to='irc.example.org'/>`,
		`<iq type='result' id='2' from='a@b.example/r' to='irc.example.org'/>`,
		`<iq type='result' id='1' from='irc.example.org' to='irc.example.org'/>`,
	} {
		c.Send("%s", x)
	}
	c.Send(`<iq type='get' id='1' from='a@b.example/r' to='irc.example.org'><q xmlns='urn:x'/></iq>`)
	if s := <-r.got; s.Type != "get" {
		t.Fatalf("got %v", s.Element)
	}
	select {
	case a := <-got:
		t.Fatalf("a spoofed answer was taken: %v %v", a.s.Element, a.err)
	default:
	}
	c.Send(`<iq type='result' id='1' from='a@b.example/r' to='irc.example.org'/>`)
	if a := <-got; a.err != nil {
		t.Fatal(a.err)
	}
	if n := r.Stats().Strays; n != 7 {
		t.Errorf("%d strays were counted, want 7", n)
	}
}

// The server answers for an account from the account's bare address (RFC 6120,
// 8.1.2.1 and 10.5.3).
func TestAnswerForBareAccount(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	got := ask(t, r.Stream, "A@B.example", "1", time.Hour)
	c.Expect("iq[@to='a@b.example']")
	c.Send(`<iq type='result' id='1' from='a@b.example' to='irc.example.org'/>`)
	if a := <-got; a.err != nil {
		t.Fatal(a.err)
	}
}

func TestRequestsEndExactlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := xmpptest.NewPipeServer(t, testDomain, testSecret)
		r := startStreamRig(t, srv, func(c *StreamConfig) { c.Dial = srv.Dial })
		c := r.up(t)
		const n = 50
		var all []chan answer
		for i := range n {
			all = append(all, ask(t, r.Stream, "a@b.example/r", fmt.Sprint(i), time.Duration(n-i)*time.Second))
			c.Expect("iq")
		}
		if a := <-ask(t, r.Stream, "a@b.example/r", "7", time.Second); !errors.As(a.err, new(*GuardError)) {
			t.Fatalf("an id was used twice: %v", a.err)
		}
		c.Send(`<iq type='result' id='3' from='a@b.example/r' to='irc.example.org'/>`)
		if a := <-all[3]; a.err != nil {
			t.Fatal(a.err)
		}
		time.Sleep(20*time.Second + time.Millisecond)
		synctest.Wait()
		c.Send(`<iq type='result' id='40' from='a@b.example/r' to='irc.example.org'/>`) // too late
		c.Break()
		synctest.Wait()
		for i, ch := range all {
			want := ErrDown
			switch {
			case i == 3:
				if len(ch) != 0 {
					t.Errorf("request 3 ended twice")
				}
				continue
			case n-i <= 20:
				want = ErrTimeout
			}
			if a := <-ch; !errors.Is(a.err, want) || len(ch) != 0 {
				t.Errorf("request %d ended with %v and %d more, want %v", i, a.err, len(ch), want)
			}
		}
		if st := r.Stats(); st.Timeouts != 20 || st.Strays != 1 || st.PendingRequests != 0 {
			t.Errorf("counted %+v", st)
		}
		r.stop()
	})
}

// Answers that come at once find their request: it is registered before it is
// written.
func TestFastAnswersAreNotLost(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	const n = 2000
	go func() {
		for range n {
			q, ok := c.TryNext(10 * time.Second)
			if !ok {
				return
			}
			c.SendRaw(`<iq type='result' id='` + q.Attr("id") + `' from='a@b.example/r' to='irc.example.org'/>`)
		}
	}()
	for range n {
		if a := <-ask(t, r.Stream, "a@b.example/r", r.NewID(), 10*time.Second); a.err != nil {
			t.Fatal(a.err)
		}
	}
}

func TestRequestMustBeARequest(t *testing.T) {
	s := NewStream(StreamConfig{Domain: testDomain})
	got := make(chan error, 1)
	done := func(_ *Stanza, err error) { got <- err }
	for _, o := range []*Out{
		NewMessage(s.Domain(), s.Domain(), "get", "1"),
		NewIQ(s.Domain(), s.Domain(), "result", "1"),
	} {
		s.Request(o, time.Second, done)
		if err := <-got; !errors.As(err, new(*GuardError)) {
			t.Errorf("got %v", err)
		}
	}
}

// A request may be made in the read loop, and its answer still be read.
func TestRequestFromHandler(t *testing.T) {
	srv := xmpptest.NewServer(t, testDomain, testSecret)
	got := make(chan error, 1)
	var r *streamRig
	ready := make(chan struct{})
	r = startStreamRig(t, srv, func(c *StreamConfig) {
		c.Handler = func(s *Stanza) {
			<-ready
			r.Request(NewIQ(s.To, s.From, "get", "q").Elem("urn:xmpp:ping", "ping", ""), time.Hour,
				func(_ *Stanza, err error) { got <- err })
		}
	})
	close(ready)
	c := r.up(t)
	c.Send(`<message from='a@b.example/r' to='irc.example.org'/>`)
	c.Expect("iq[@id='q']")
	c.Send(`<iq type='result' id='q' from='a@b.example/r' to='irc.example.org'/>`)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

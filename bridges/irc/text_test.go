package irc

import (
	"strings"
	"testing"
	"unicode/utf8"

	"transportd/bridges"
	"transportd/internal/irctest"
)

func TestLongTextArrivesWhole(t *testing.T) {
	w := open(t, setup{server: irctest.Config{ISupport: []string{"LINELEN=512"}}})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.join("#room")
	words := strings.Repeat("größer 漢字 ", 150)
	ref := w.nextRef()
	w.ok(w.net.Send(ref, bridges.Place{Room: "#room"}, bridges.Outgoing{Body: words}))
	want(t, w, "echo", func(m *bridges.Message) bool { return m.Ref == ref })
	var got []string
	for _, line := range bob.Seen() {
		if _, text, ok := strings.Cut(line, " PRIVMSG #room :"); ok {
			got = append(got, text)
			body := line
			if strings.HasPrefix(body, "@") {
				_, body, _ = strings.Cut(body, " ")
			}
			if len(body) > 510 || !utf8.ValidString(text) {
				t.Errorf("%d bytes: %q", len(body), line)
			}
		}
	}
	if strings.Join(got, " ") != strings.TrimSpace(words) {
		t.Errorf("got %d parts: %q", len(got), got)
	}
	echoes := 0
	for _, ev := range w.rec.since(0) {
		if m, ok := ev.(*bridges.Message); ok && m.Self {
			echoes++
		}
	}
	if echoes != 1 {
		t.Errorf("%d echoes", echoes)
	}
}

func TestTooMuchText(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	for body, kind := range map[string]bridges.ErrorKind{
		strings.Repeat("line\n", 21): bridges.TooLarge,
		" \n\t\n":                    bridges.Invalid,
		"":                           bridges.Invalid,
	} {
		if err := bridges.AsError(w.net.Send(w.nextRef(), bridges.Place{Room: "#room"}, bridges.Outgoing{Body: body})); err == nil || err.Kind != kind {
			t.Errorf("%q: %v", body, err)
		}
	}
	for _, user := range []bridges.UserID{"two,people", "with space", "#room"} {
		if err := bridges.AsError(w.net.Send(w.nextRef(), bridges.Place{User: user}, bridges.Outgoing{Body: "x"})); err == nil || err.Kind != bridges.NotFound {
			t.Errorf("%q: %v", user, err)
		}
	}
}

func TestOldBytesAndControlCharacters(t *testing.T) {
	w := open(t, setup{link: LinkConfig{Encoding: "windows-1251"}})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	w.me.SendBytes([]byte(":bob!b@h PRIVMSG #room :\xcf\xf0\xe8\xe2\xe5\xf2\x07\x0b \x0304,01red\x0f \x04ff8800hex\x0b\r\n"))
	m := want(t, w, "line", func(m *bridges.Message) bool { return true })
	if m.Body != "Привет red hex" {
		t.Errorf("body %q", m.Body)
	}
}

func TestWhereTextBelongs(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.join("#room")
	w.ok(w.net.Send(w.nextRef(), bridges.Place{User: "bob"}, bridges.Outgoing{Body: "hi"}))

	w.me.Send(":bob!b@h PRIVMSG @#room :for operators")
	if m := want(t, w, "line", func(m *bridges.Message) bool { return m.Body == "for operators" }); m.Place.Room != "#room" || m.To != "@" {
		t.Errorf("statusmsg %s", describe(m))
	}
	w.me.Send(":bob!b@h NOTICE alice :from one we wrote to")
	if m := want(t, w, "notice", func(m *bridges.Message) bool { return m.Kind == bridges.Notice }); m.Place.User != "bob" {
		t.Errorf("notice %s", describe(m))
	}
	w.me.Send(":ChanServ!s@services NOTICE alice :[#room] Welcome!")
	if n := want(t, w, "server notice", func(*bridges.ServerNotice) bool { return true }); n.From != "ChanServ" || n.Text != "[#room] Welcome!" {
		t.Errorf("notice %s", describe(n))
	}
	w.me.Send(":irc.test NOTICE alice :*** going down")
	want(t, w, "server notice", func(n *bridges.ServerNotice) bool { return n.Text == "*** going down" })
	w.me.Send(":bob!b@h PRIVMSG alice :\x01DCC SEND secret.txt 2130706433 5000 12\x01")
	want(t, w, "offer", func(n *bridges.ServerNotice) bool { return strings.Contains(n.Text, "secret.txt") })
	w.me.Send(":alice!a@h PRIVMSG bob :from another client")
	if m := want(t, w, "own line", func(m *bridges.Message) bool { return m.Body == "from another client" }); !m.Self || m.Place.User != "bob" || m.Ref != 0 {
		t.Errorf("own line %s", describe(m))
	}
	w.me.Send("@time=2001-01-01T00:00:00.000Z :bob!b@h PRIVMSG #room :long ago")
	if m := want(t, w, "old line", func(m *bridges.Message) bool { return m.Body == "long ago" }); !m.Replay || m.At.Year() != 2001 {
		t.Errorf("old line %s", describe(m))
	}
	w.me.Send("BATCH +p1 znc.in/playback #room")
	w.me.Send("@batch=p1 :bob!b@h PRIVMSG #room :played back")
	w.me.Send("@batch=p1;time=2001-01-01T00:00:00.000Z :bob!b@h TOPIC #room :an old subject")
	w.me.Send("BATCH -p1")
	if m := want(t, w, "played back", func(m *bridges.Message) bool { return m.Body == "played back" }); !m.Replay {
		t.Errorf("old line %s", describe(m))
	}
	if m := want(t, w, "old subject", func(m *bridges.Message) bool { return m.Body == "an old subject" }); !m.Replay || m.Kind != bridges.NewSubject || m.From.Nick != "bob" || m.At.Year() != 2001 {
		t.Errorf("old subject %s", describe(m))
	}
	w.me.Send("NOTE * SOMETHING :good to know")
	want(t, w, "note", func(n *bridges.ServerNotice) bool { return n.Text == "good to know" })
}

func TestCTCPIsAnsweredSparingly(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	for range 10 {
		bob.Do("PRIVMSG alice :\x01PING 12345\x01")
	}
	w.fence() // the questions have come
	w.fence() // and the answers have gone
	answers := 0
	for _, line := range bob.Seen() {
		if strings.Contains(line, "NOTICE bob :\x01PING 12345\x01") {
			answers++
		}
	}
	if answers == 0 || answers > ctcpBurst {
		t.Errorf("%d answers", answers)
	}
}

// What a standard reply refuses is refused, like a numeric.
func TestStandardReplies(t *testing.T) {
	w := open(t, setup{hooks: func(s *irctest.Server) {
		s.Hook("PRIVMSG", func(c *irctest.Client, m irctest.Msg) bool {
			_, label := m.GetTag("label")
			c.Send("@label=%s FAIL PRIVMSG ACCOUNT_REQUIRED bob :Log in first", label)
			return true
		})
	}})
	ref := w.nextRef()
	w.ok(w.net.Send(ref, bridges.Place{User: "bob"}, bridges.Outgoing{Body: "x"}))
	if err := w.failed(ref); err.Kind != bridges.NeedsAccount || err.Text != "Log in first" {
		t.Errorf("refusal %+v", err)
	}
}

func TestAwayPeople(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("AWAY :at sea")
	ref := w.nextRef()
	w.ok(w.net.Send(ref, bridges.Place{User: "bob"}, bridges.Outgoing{Body: "there?"}))
	p := want(t, w, "Present", func(p *bridges.Present) bool { return true })
	if p.Member.ID != "bob" || !p.Member.Away || !p.Online || p.Text != "at sea" {
		t.Errorf("present %s", describe(p))
	}
	want(t, w, "echo", func(m *bridges.Message) bool { return m.Ref == ref })
}

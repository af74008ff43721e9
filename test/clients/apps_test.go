package clients

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"transportd/internal/testenv"
)

// texts are what lines from..to say.
func texts(from, to int) []string {
	var list []string
	for n := from; n <= to; n++ {
		list = append(list, text(n))
	}
	return list
}

// talker comes into a room on IRC and says lines, which go on with the numbers.
func (s *site) talker(t *testing.T, room string) *testenv.IRCClient {
	t.Helper()
	c := value[*testenv.IRCClient](t)(testenv.DialIRC(wait(t, patience), shared.ircd.Address(), "t"+room))
	t.Cleanup(c.Close)
	try(t, c.Join(wait(t, patience), s.channel(room)))
	return c
}

func (s *site) say(t *testing.T, c *testenv.IRCClient, room string, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		c.Sendf("PRIVMSG %s :%s", s.channel(room), text(n))
	}
	try(t, c.Fence(wait(t, patience)))
}

// picture keeps what a client showed where the variable PICTURES says, for people.
func picture(t *testing.T, shoot func(file string) error) {
	if dir := os.Getenv("PICTURES"); dir != "" {
		try(t, shoot(filepath.Join(dir, t.Name()[4:12]+strconv.FormatInt(time.Now().Unix(), 10)+".png")))
	}
}

// Converse.js is scrolled back.
func TestConverse(t *testing.T) {
	on(t, "prosody", func(t *testing.T, s *site) {
		const pages = 12
		c := value[*testenv.Converse](t)(shared.env.StartConverse(wait(t, patience), surfer, testenv.Address(s.server.HTTP)))
		t.Cleanup(c.Close)
		ctx := wait(t, 3*patience)
		try(t, c.Join(ctx, s.room("web"), s.nick(surfer)))
		views := value[testenv.Views](t)(c.Back(ctx, pages))
		picture(t, func(file string) error { return c.Picture(ctx, file) })
		shown(t, views, value[[]*string](t)(c.Held(ctx)), (pages-1)*50, lineCount)
	})
}

// shown checks that Converse.js holds at least so many lines, each once and in order,
// up to the given one, and that every view is a part of that.
func shown(t *testing.T, views testenv.Views, held []*string, least, last int) {
	t.Helper()
	var lines []string
	for _, l := range held {
		if l != nil {
			lines = append(lines, *l)
		}
	}
	n := len(lines)
	if n < least || !slices.Equal(lines, texts(last-n+1, last)) {
		t.Fatalf("it holds %d lines, not at least %d, up to %d: %q", n, least, last, lines)
	}
	all := "\n" + strings.Join(lines, "\n") + "\n"
	for _, view := range views {
		run := "\n"
		for i, l := range view {
			if l != nil {
				run += *l + "\n"
			}
			if l != nil && i < len(view)-1 {
				continue
			}
			if !strings.Contains(all, run) {
				t.Fatalf("these lines stood together:%s", run)
			}
			run = "\n"
		}
	}
}

// Gajim fetches the last day, page by page, and after a restart just the rest.
func TestGajim(t *testing.T) {
	on(t, "prosody", func(t *testing.T, s *site) {
		const missed = 10
		room := s.room("desk")
		helper := value[*testenv.XMPPClient](t)(shared.clients.Connect(wait(t, patience), s.server, desk, "helper"))
		try(t, helper.Bookmark(wait(t, patience), room, s.nick(desk)))
		// Without a client of the user's in the room nobody there hears for the archive.
		try(t, helper.Send(`<presence/>`))
		try(t, helper.Send(`<presence to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>`, room, s.nick(desk)))
		value[testenv.Stanza](t)(helper.Expect(wait(t, patience), testenv.Presence(testenv.Status("110"))))
		t.Cleanup(func() { _ = helper.Disconnect() })
		talker := s.talker(t, "desk")
		ctx := wait(t, 3*patience)
		g := value[*testenv.Gajim](t)(shared.env.StartGajim(ctx, s.server, desk))
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("Gajim's log:\n%s", testenv.Tail(g.Log(), 80))
			}
			g.Close()
		})
		h := value[testenv.GajimHistory](t)(g.AwaitArchive(ctx, room))
		s.stored(t, h, lineCount-fresh+1, lineCount, lineCount)
		g.Stop()
		s.say(t, talker, "desk", lineCount+1, lineCount+missed)
		try(t, g.Start(ctx))
		h = value[testenv.GajimHistory](t)(g.AwaitArchive(ctx, room))
		s.stored(t, h, lineCount-fresh+1, lineCount+missed, lineCount)
		if n := g.Logged("Received message from archive: " + room); n != missed {
			t.Errorf("of %d new lines it fetched %d", missed, n)
		}
	})
}

// stored checks that Gajim has the lines from..to once and in order, with the ids of
// those that were filled in.
func (s *site) stored(t *testing.T, h testenv.GajimHistory, from, to, filled int) {
	t.Helper()
	var got []string
	ids := map[string]bool{}
	for i, l := range h.Lines {
		got = append(got, l.Body)
		if n := from + i; n <= filled && (l.ID != s.past.key(n).String() || l.Nick != speaker(n)) {
			t.Fatalf("line %d has the id %s, of %s", n, l.ID, l.Nick)
		}
		ids[l.ID] = true
	}
	if !slices.Equal(got, texts(from, to)) || len(ids) != len(got) {
		t.Fatalf("Gajim has %d lines with %d ids, not %d, %q to %q", len(got), len(ids), to-from+1, got[0], got[len(got)-1])
	}
}

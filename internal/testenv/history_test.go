package testenv

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// own is a room of Prosody's own, so that what these tests find is the drivers'
// doing.
const own = "garden@rooms.localhost"

// garden starts a Prosody with lines in its room, a second apart, the last one of
// a minute ago, and somebody in it.
func garden(t *testing.T, lines int) (*Env, context.Context, *XMPPServer, *XMPPClient) {
	t.Helper()
	t.Parallel()
	e, ctx := newEnv(t)
	s := must[*XMPPServer](t)(e.StartProsody(ctx, XMPPOptions{Components: []string{"irc.localhost"}, Users: []string{"alice", "bob"}, Rooms: "rooms.localhost"}))
	var list strings.Builder
	for n := 1; n <= lines; n++ {
		at := time.Now().UTC().Add(-time.Minute + time.Duration(n-lines)*time.Second)
		fmt.Fprintf(&list, `item({ ["key"] = "id%d"; ["when"] = %d; ["with"] = "message<groupchat"; ["name"] = "message";
  ["attr"] = { ["from"] = "%s/bob"; ["type"] = "groupchat"; ["id"] = "m%d"; ["stamp"] = "%s"; };
  { ["name"] = "body"; ["attr"] = {}; "line %d"; }; });
`, n, at.Unix(), own, n, at.Format(time.RFC3339), n)
	}
	dir := filepath.Join(s.dir, "data", "rooms%2elocalhost")
	try(t, e.mkdir(dir))
	try(t, e.mkdir(filepath.Join(dir, "muc_log")))
	try(t, e.write(filepath.Join(dir, "muc_log", "garden.list"), list.String(), 0o600))
	clients := must[*XMPPClients](t)(e.StartXMPPClients())
	bob := must[*XMPPClient](t)(clients.Connect(ctx, s, "bob", "desk"))
	try(t, bob.Send(`<presence to='%s/bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, own))
	must[Stanza](t)(bob.Expect(ctx, Presence(Status("110"))))
	must[Stanza](t)(bob.Request(ctx, "set", own, `<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>`))
	return e, ctx, s, bob
}

// say says the lines from..to.
func say(t *testing.T, c *XMPPClient, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		try(t, c.Send(`<message to='%s' type='groupchat' id='%s'><body>%s</body></message>`, own, c.NewID(), "line "+strconv.Itoa(n)))
	}
}

func numbered(from, to int) []string {
	var list []string
	for n := from; n <= to; n++ {
		list = append(list, "line "+strconv.Itoa(n))
	}
	return list
}

func TestArchiveReader(t *testing.T) {
	e, ctx, s, _ := garden(t, 230)
	r := must[*ArchiveReader](t)(e.StartArchiveReader(ctx, s, "alice", "reader"))
	for _, reverse := range []bool{false, true} {
		lines := must[[]ArchiveLine](t)(r.Walk(ctx, own, time.Time{}, 50, reverse))
		want := numbered(1, 230)
		if reverse {
			slices.Reverse(want)
		}
		if got := bodies(lines); !slices.Equal(got, want) {
			t.Errorf("reverse %v: read %d lines: %q", reverse, len(got), got)
		}
	}
	p := must[ArchivePage](t)(r.Query(ctx, own, ArchiveQuery{RSM: map[string]string{"max": "10", "before": ""}, Flip: true}))
	if l := p.Lines; len(l) != 10 || l[0].Body != "line 230" || l[0].ID == "" || l[0].By != own || l[0].From != own+"/bob" || l[0].Time().IsZero() || p.Fin.First == "" || p.Fin.Complete != "" {
		t.Errorf("the last page: %+v", p)
	}
	p = must[ArchivePage](t)(r.Query(ctx, own, ArchiveQuery{RSM: map[string]string{"after": "no such id"}}))
	if p.Refused == nil || p.Refused.Condition != "item-not-found" {
		t.Errorf("an id that never was: %+v", p)
	}
	if _, err := e.StartArchiveReader(ctx, s, "nobody-such", "reader"); err == nil {
		t.Error("a login without an account succeeded")
	}
}

func bodies(lines []ArchiveLine) []string {
	var list []string
	for _, l := range lines {
		list = append(list, l.Body)
	}
	return list
}

func TestConverse(t *testing.T) {
	e, ctx, s, bob := garden(t, 230)
	way := must[*Proxy](t)(NewProxy(Address(s.HTTP)))
	defer way.Close()
	c := must[*Converse](t)(e.StartConverse(ctx, "alice", way.Address()))
	defer c.Close()
	try(t, c.Join(ctx, own, "alice"))
	views := must[Views](t)(c.Back(ctx, 4))
	way.Cut()
	try(t, c.Away(ctx))
	say(t, bob, 231, 240)
	try(t, way.Restore())
	try(t, c.Inside(ctx))
	try(t, c.Shows(ctx, "line 240"))
	views = append(views, must[Views](t)(c.Read(ctx))...)
	if got := must[[]string](t)(views.Lines()); !slices.Equal(got, numbered(1, 240)) {
		t.Errorf("on the page were %q", got)
	}
	moment, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := c.Shows(moment, "never said"); err == nil {
		t.Error("a line that was never said is on the page")
	}
}

func TestGajim(t *testing.T) {
	e, ctx, s, bob := garden(t, 230)
	clients := must[*XMPPClients](t)(e.StartXMPPClients())
	alice := must[*XMPPClient](t)(clients.Connect(ctx, s, "alice", "desk"))
	try(t, alice.Bookmark(ctx, own, "alice"))
	g := must[*Gajim](t)(e.StartGajim(ctx, s, "alice"))
	defer g.Close()
	h := must[GajimHistory](t)(g.AwaitArchive(ctx, own))
	if got := h.bodies(); !slices.Equal(got, numbered(1, 230)) || h.Lines[0].ID != "id1" || h.Lines[0].Nick != "bob" {
		t.Errorf("its history is %+v", h)
	}
	g.Stop()
	say(t, bob, 231, 240)
	try(t, g.Start(ctx))
	h = must[GajimHistory](t)(g.AwaitArchive(ctx, own))
	if got := h.bodies(); !slices.Equal(got, numbered(1, 240)) {
		t.Errorf("its history, after a restart, is %q", got)
	}
	if n := g.Logged("Received message from archive: " + own); n != 10 {
		t.Errorf("of 10 new lines it fetched %d", n)
	}
}

func (h GajimHistory) bodies() []string {
	var list []string
	for _, l := range h.Lines {
		list = append(list, l.Body)
	}
	return list
}

func TestViews(t *testing.T) {
	for _, c := range []struct{ views, lines, err string }{
		{"~ c d e / b c d / a b", "a b c d e", ""},
		{"~ c d ~ g / d e f / f g", "c d e f g", ""},
		{"~ c d ~ g / d e f", "", "not one run"},
		{"a b c a", "", "twice"},
		{"a b / a c", "", "below"},
		{"a c / b c", "", "above"},
		{"a b / c d", "", "not one run"},
		{"", "", "not one run"},
	} {
		var v Views
		for view := range strings.SplitSeq(c.views, "/") {
			var lines []*string
			for l := range strings.FieldsSeq(view) {
				if lines = append(lines, &l); l == "~" {
					lines[len(lines)-1] = nil
				}
			}
			v = append(v, lines)
		}
		got, err := v.Lines()
		if strings.Join(got, " ") != c.lines || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q %v, want %q %s", c.views, got, err, c.lines, c.err)
		}
	}
}

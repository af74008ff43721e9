package matrix

import (
	"maps"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// TestWhoSeesWhatIsRead: what is read is told to everybody, or to the user's own clients
// alone.
func TestWhoSeesWhatIsRead(t *testing.T) {
	for _, c := range []struct{ setting, kind, other string }{
		{"", "m.read", "m.read.private"},
		{receiptsShown, "m.read", "m.read.private"},
		{receiptsPrivate, "m.read.private", "m.read"},
	} {
		t.Run(c.setting, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := publicRoom(srv)
			set := maps.Clone(settings(srv, srv.User("alice")))
			set[setReceipts] = c.setting
			l := openAs(t, srv, Config{}, nil, set).online()
			l.join(r)
			line := bob.Say(r, "read this")
			l.heard("read this")
			if err := l.net.SetRead(inRoom(r), bridges.MessageID(line)); err != nil {
				t.Fatal(err)
			}
			srv.Wait(t, "it is not read", func() bool { return r.Receipt(l.alice, c.kind) == line })
			if got := r.Receipt(l.alice, c.other); got != "" {
				t.Errorf("%s is at %s", c.other, got)
			}
		})
	}
}

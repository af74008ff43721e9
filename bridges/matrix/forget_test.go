package matrix

import (
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// stored is how many values are stored under a prefix.
func (l *linked) stored(prefix string) int {
	l.t.Helper()
	values, err := l.kept.Load(l.t.Context(), prefix)
	l.ok(err)
	return len(values)
}

// TestForgotten: what is stored of a room goes when the user is out of it, whoever ended
// that, and what is stored of another stays; reactions to a line go with the line.
func TestForgotten(t *testing.T) {
	for name, end := range map[string]func(*linked, *matrixtest.User, *matrixtest.Room){
		"quits": func(l *linked, _ *matrixtest.User, r *matrixtest.Room) {
			l.ok(l.net.Quit(l.nextRef(), bridges.RoomID(r.ID), ""))
		},
		"is kicked":        func(l *linked, bob *matrixtest.User, r *matrixtest.Room) { bob.Kick(r, l.alice, "") },
		"leaves elsewhere": func(l *linked, _ *matrixtest.User, r *matrixtest.Room) { l.alice.Leave(r, "") },
	} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := publicRoom(srv)
			other := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
			srv.User("alice").Join(other)
			l := openLink(t, srv, Config{}, nil).online()
			rows := map[*matrixtest.Room]int{}
			for _, at := range []*matrixtest.Room{r, other} {
				l.join(at)
				line, gone := bob.Say(at, "well?"), bob.Say(at, "no")
				bob.React(at, line, "👍")
				bob.React(at, gone, "👍")
				bob.React(at, gone, "🎉")
				want(l, "both", func(e *bridges.Reacted) bool { return string(e.ID) == gone && len(e.Keys) == 2 })
				bob.Redact(at, gone, "")
				want(l, "Retracted", func(e *bridges.Retracted) bool { return string(e.ID) == gone })
				bob.Say(at, "stored "+at.ID)
				l.heard("stored " + at.ID)
				rows[at] = l.stored(stateReacts+at.ID) + l.stored(stateReacted+at.ID)
			}
			if rows[r] != 2 || rows[other] != 2 {
				t.Errorf("%d and %d rows of reactions", rows[r], rows[other])
			}
			end(l, bob, r)
			want(l, "Left", func(e *bridges.Left) bool { return e.Self && e.Room == bridges.RoomID(r.ID) })
			bob.Say(other, "after")
			l.heard("after")
			bob.Say(other, "and after") // what came with the line before it is stored now
			l.heard("and after")
			for _, kind := range []string{stateRoom, stateSeen, stateReacts, stateReacted} {
				if n := l.stored(kind + r.ID); n != 0 {
					t.Errorf("%d are left of %s", n, kind)
				}
				if n := l.stored(kind + other.ID); n != 1 {
					t.Errorf("%d are left of the other's %s", n, kind)
				}
			}
		})
	}
}

package matrix

import (
	"maps"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// snapshot is what is stored now: what a process that is killed leaves.
func (k *kept) snapshot() *kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &kept{values: maps.Clone(k.values)}
}

// own are the events that alice sent of a type.
func (l *linked) own(r *matrixtest.Room, typ string) (out []*matrixtest.Event) {
	for _, ev := range r.Events() {
		if ev.Type == typ && ev.Sender == l.alice.ID {
			out = append(out, ev)
		}
	}
	return out
}

// TestSentAgain: what the process before this one may have sent is there once when it
// is asked for again under its token, even where the homeserver has forgotten its
// transactions, and wherever it is told of: in the first answer, in what that leaves
// out, or in the history of the room.
func TestSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		forget, early bool // the room is entered before the first answer
		noise         int
	}{
		"remembered":     {},
		"forgotten":      {forget: true, early: true},
		"in a gap":       {forget: true, early: true, noise: 2 * tail},
		"in the history": {forget: true, noise: 2 * tail},
	} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := publicRoom(srv)
			l := openLink(t, srv, Config{}, nil).online()
			l.join(r)
			line := bob.Say(r, "a line")
			l.heard("a line")
			left := l.kept.snapshot()
			place := inRoom(r)
			say := func() bridges.Ref {
				ref := l.nextRef()
				l.ok(l.net.Send(ref, place, bridges.Outgoing{Body: "mine", Token: "TOKEN1"}))
				return ref
			}
			react := func() bridges.Ref {
				ref := l.nextRef()
				l.ok(l.net.React(ref, "TOKEN2", place, bridges.MessageID(line), []string{"👍", "🎉"}))
				return ref
			}
			retract := func() bridges.Ref {
				ref := l.nextRef()
				l.ok(l.net.Retract(ref, "TOKEN3", place, bridges.MessageID(l.own(r, "m.room.message")[0].ID), ""))
				return ref
			}
			others := func() {
				reacted := react()
				want(l, "the reactions", func(m *bridges.Reacted) bool { return m.Ref == reacted })
				gone := retract()
				want(l, "the retraction", func(m *bridges.Retracted) bool { return m.Ref == gone })
			}
			said := say()
			id := want(l, "the line", func(m *bridges.Message) bool { return m.Ref == said }).ID
			others()
			l.stop()
			l.ended()
			for range c.noise {
				bob.Say(r, "noise")
			}
			if c.forget {
				srv.ForgetTransactions()
			}
			hold := make(chan struct{})
			held := srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: hold})
			if !c.early {
				held.Remove()
				close(hold)
			}
			l = openLink(t, srv, Config{}, left).online()
			var got bridges.MessageID
			if c.early { // its echo may come before the room is entered
				entered := l.nextRef()
				l.ok(l.net.Join(entered, r.ID, bridges.JoinOptions{}))
				said = say()
				held.Remove()
				close(hold)
				seen := 0
				want(l, "the room and the line", func(ev bridges.Event) bool {
					switch ev := ev.(type) {
					case *bridges.Message:
						if ev.Ref == said {
							got = ev.ID
							seen++
						}
					case *bridges.Entered:
						seen++
					}
					return seen == 2
				})
			} else {
				l.join(r)
				said = say()
				got = want(l, "the line", func(m *bridges.Message) bool { return m.Ref == said }).ID
			}
			if got != id {
				t.Errorf("the line is %s, was %s", got, id)
			}
			others()
			for typ, n := range map[string]int{"m.room.message": 1, "m.reaction": 2, "m.room.redaction": 1} {
				if got := l.own(r, typ); len(got) != n {
					t.Errorf("there are %d events %s, want %d", len(got), typ, n)
				}
			}
		})
	}
}

// TestTokensOfEchoes: what an earlier process sent says under which token, so that it is
// known for what it is.
func TestTokensOfEchoes(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	line := bob.Say(r, "a line")
	l.heard("a line")
	left := l.kept.snapshot()
	ref := l.nextRef()
	l.ok(l.net.Send(ref, inRoom(r), bridges.Outgoing{Body: "mine", Token: "TOKEN1"}))
	want(l, "the line", func(m *bridges.Message) bool { return m.Ref == ref })
	l.stop()
	l.ended()
	l = openLink(t, srv, Config{}, left).online()
	e := l.join(r)
	found := false
	for _, m := range e.History {
		found = found || m.Body == "mine" && m.Token == "TOKEN1" && m.Self
		if m.Body == "a line" && m.Token != "" {
			t.Errorf("bob's line has a token: %+v", m)
		}
	}
	if !found {
		if m := l.heard("mine"); m.Token != "TOKEN1" {
			t.Errorf("the line is %+v", m)
		}
	}
	ref = l.nextRef()
	l.ok(l.net.React(ref, "TOKEN2", inRoom(r), bridges.MessageID(line), []string{"👍"}))
	want(l, "the reaction", func(m *bridges.Reacted) bool { return m.Ref == ref })
}

package matrix

import (
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// TestHeldLinesAreOldOnes: what the first answer of a connection brings while the room is
// being entered may be what an earlier process has shown, also when it is told after that
// answer.
func TestHeldLinesAreOldOnes(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	bob.Say(r, "before")
	l.heard("before")
	l.stop()
	l.ended()
	bob.Say(r, "shown by nobody knows whom")

	answers, history := make(chan struct{}), make(chan struct{})
	sync := srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: answers})
	paging := srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/messages", Hold: history})
	l = openLink(t, srv, Config{}, l.kept).online()
	l.ok(l.net.Join(l.nextRef(), r.ID, bridges.JoinOptions{}))
	paging.Wait(t, 1)
	sync.Remove()
	close(answers)
	srv.Wait(t, "the next answer is not asked for", func() bool { return srv.Waiting() > 0 })
	paging.Remove()
	close(history)
	if m := l.heard("shown by nobody knows whom"); !m.Replay {
		t.Errorf("it is told as a new one: %+v", m)
	}
	bob.Say(r, "now")
	if m := l.heard("now"); m.Replay {
		t.Errorf("it is told as an old one: %+v", m)
	}
}

package session

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

// trap is a database whose reads panic while it is set.
type trap struct {
	*archivetest.Model
	set atomic.Bool
}

func (d *trap) ArchiveLines(ctx context.Context, q *archive.Query) ([]archive.Line, bool, error) {
	if d.set.Load() {
		panic("trapped")
	}
	return d.Model.ArchiveLines(ctx, q)
}

// A fault while an archive is read ends that user's session, not the program, nor the
// sessions of others; afterwards everything works as before.
func TestPanicWhileAnArchiveIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.lines = archivetest.NewModel()
		d := &trap{Model: w.lines}
		var err error
		if w.archive, err = archive.Open(archive.Options{Backend: d}); err != nil {
			t.Fatal(err)
		}
		w.manager()
		defer func() {
			w.stop()
			if err := w.archive.Close(); err != nil {
				t.Error(err)
			}
		}()
		w.from("<presence from='carol@home.example/x' to='#room%net@GW/Carol'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		w.news()
		for range 2 * maxQueries {
			w.join("phone", "Alice")
			d.set.Store(true)
			w.from("<iq type='set' id='q1' from='ALICE/phone' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2' queryid='f27'/></iq>")
			time.Sleep(time.Second)
			synctest.Wait()
			d.set.Store(false)
			if all := strings.Join(w.news(), "\n"); !strings.Contains(all, `type="unavailable"`) || strings.Contains(all, "carol@home.example") {
				t.Fatalf("sent is\n%s", all)
			}
			time.Sleep(time.Minute)
			w.news()
		}
		if n := w.m.stats.panics.Load(); n != 2*maxQueries {
			t.Errorf("%d are counted", n)
		}
		w.join("phone", "Alice")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='mine'><body>still here</body></message>")
		w.news()
		if p := w.ask(""); strings.Join(p.bodies, "|") != "still here" || !p.complete() {
			t.Errorf("afterwards the archive says %+v", p)
		}
	})
}

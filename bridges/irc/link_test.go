package irc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// What was under way when the line broke fails, and may have been delivered.
func TestLinkLost(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
		s.Hook("PING", func(_ *irctest.Client, m irctest.Msg) bool { return strings.HasPrefix(m.Param(0), "f") })
	}})
	_ = w.srv.Puppet("bob")
	line, nick := w.nextRef(), w.nextRef()
	w.ok(w.net.Send(line, bridges.Place{User: "bob"}, bridges.Outgoing{Body: "did it arrive?"}))
	w.ok(w.net.Rename(nick, "bob2x"))
	w.me.Expect(t, `NICK bob2x`)
	w.me.Drop()
	if err := w.failed(line); err.Kind != bridges.Offline || !err.Uncertain {
		t.Errorf("line: %+v", err)
	}
	if err := bridges.AsError(w.ended()); err.Kind != bridges.Offline || err.Permanent {
		t.Errorf("Run: %+v", err)
	}
	for name, err := range map[string]error{
		"send": w.net.Send(w.nextRef(), bridges.Place{User: "bob"}, bridges.Outgoing{Body: "x"}),
		"join": w.net.Join(w.nextRef(), "#room", bridges.JoinOptions{}),
		"raw":  w.net.Raw(w.nextRef(), "TIME"),
	} {
		if e := bridges.AsError(err); e == nil || e.Kind != bridges.Offline {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.net.Rooms(context.Background()); bridges.AsError(err).Kind != bridges.Offline {
		t.Errorf("rooms: %v", err)
	}
	if w.rec.late != 0 {
		t.Errorf("%d events after Run", w.rec.late)
	}
}

// Lines that have certainly not left are told apart from those that may have.
func TestLinesThatNeverLeft(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true}, link: LinkConfig{Burst: 3, Interval: time.Hour}})
	_ = w.srv.Puppet("bob")
	var refs []bridges.Ref
	for i := range 5 {
		refs = append(refs, w.nextRef())
		w.ok(w.net.Send(refs[i], bridges.Place{User: "bob"}, bridges.Outgoing{Body: fmt.Sprint(i)}))
	}
	w.me.Drop()
	last := w.failed(refs[len(refs)-1])
	if last.Kind != bridges.Offline || last.Uncertain {
		t.Errorf("last line: %+v", last)
	}
}

func TestQueueFull(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true}, link: LinkConfig{Burst: 2, Interval: time.Hour}})
	for i := range 10000 {
		err := w.net.Send(w.nextRef(), bridges.Place{User: "bob"}, bridges.Outgoing{Body: "x"})
		if e := bridges.AsError(err); e != nil {
			if e.Kind != bridges.RateLimited || i == 0 {
				t.Errorf("line %d: %+v", i, e)
			}
			return
		}
	}
	t.Error("the queue has no end")
}

func TestPoliteEnd(t *testing.T) {
	w := open(t, setup{settings: map[string]string{setQuit: "so long"}})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.join("#room")
	if err := w.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	bob.ExpectSeen(t, `^:alice!\S+ QUIT :?.*so long`)
	if _, others, ok := w.net.Members("#room"); !ok || len(others) != 1 {
		t.Error("the members cannot be read any more")
	}
}

// A server that stops reading cannot hold the end up.
func TestEndOfDeafServer(t *testing.T) {
	w := open(t, setup{})
	w.me.Stall()
	start := time.Now()
	if err := w.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(start); took > 2*quitPatience+time.Second {
		t.Errorf("took %v", took)
	}
	w.me.Continue()
}

func TestKilled(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	w.me.Kill("Nickname collision")
	if err := bridges.AsError(w.ended()); err.Text == "" || !strings.Contains(err.Text, "collision") {
		t.Errorf("Run: %+v", err)
	}
}

func TestRunAgain(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	w.me.Drop()
	if err := w.ended(); err == nil {
		t.Error("Run ended without a reason")
	}
	if _, _, ok := w.net.Members("#room"); !ok {
		t.Error("the members cannot be read any more")
	}
	w.srv.WaitGone(t, "alice")
	w.run(setup{})
	if _, _, ok := w.net.Members("#room"); ok {
		t.Error("in a room after a new connection")
	}
	w.join("#room")
}

// No event is lost or out of order while the session is busy, and the session
// may ask from inside Emit.
func TestBusySession(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.join("#room")
	gate := make(chan struct{})
	w.rec.mu.Lock()
	w.rec.onEmit = func(ev bridges.Event) {
		<-gate
		w.net.Members("#room")
		w.net.Self()
		w.net.UserID("X")
	}
	w.rec.mu.Unlock()
	for i := range 200 {
		bob.Do(fmt.Sprintf("PRIVMSG #room :line %d", i))
	}
	close(gate)
	for i := range 200 {
		m := want(t, w, "line", func(m *bridges.Message) bool { return true })
		if m.Body != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d is %q", i, m.Body)
		}
	}
}

func TestCommandsAfterConnecting(t *testing.T) {
	w := open(t, setup{settings: map[string]string{setCommands: "/mode alice +i\n\nWHOWAS somebody"}})
	w.me.Expect(t, `^MODE alice \+i$`)
	w.me.Expect(t, `^WHOWAS somebody$`)
}

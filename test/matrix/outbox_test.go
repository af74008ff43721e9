package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// alone is a world of servers that a scenario may kill.
func alone(t *testing.T) (*world, *site) {
	t.Helper()
	env, err := New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{env: env}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s := &site{name: "prosody", domain: domain}
	err = Together(
		func() (err error) {
			s.server, err = env.StartProsody(ctx, XMPPOptions{Components: []string{domain}})
			return
		},
		func() (err error) { w.xmpp, err = env.StartXMPPClients(); return },
		func() (err error) { w.matrix, err = env.StartMatrixClients(); return },
		func() (err error) {
			if err = env.BuildDendrite(ctx); err == nil {
				w.homeserver, err = env.StartDendrite(ctx, HomeserverOptions{})
			}
			return
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway, err = env.StartTransportd(ctx, GatewayOptions{Domain: domain, XMPP: s.server, Matrix: true, Binary: shared.env.Binary()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("transportd's log:\n%s", Tail(s.gateway.Log(), 100))
		}
		if fault := s.gateway.Fault(); fault != "" {
			t.Errorf("transportd reported a fault:\n%s", fault)
		}
	})
	return w, s
}

// freeze has the homeserver stand still, with all it has been asked; thaw lets it go on.
func (w *world) freeze(t *testing.T) (thaw func()) {
	t.Helper()
	pid := w.homeserver.Process().PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(thaw)
	return thaw
}

// talk is ben and anna in a room.
type talk struct {
	*pair
	garden, at string // the room on Matrix, and on XMPP
	sent       []sentLine
}

func (w *world) talk(t *testing.T, s *site, scenario string) *talk {
	t.Helper()
	p := w.meet(t, s, scenario)
	k := &talk{pair: p, garden: p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))}
	k.at = p.enter("")
	return k
}

// fence waits until transportd has accepted what ben said before: the answer comes
// from where that is done, whatever it is.
func (k *talk) fence() {
	k.Helper()
	must[Stanza](k.pair)(k.xmpp.Request(k.wait(), "get", k.at+"/me", `<ping xmlns='urn:xmpp:ping'/>`))
}

type sentLine struct{ id, body string }

// speak has ben say numbered lines.
func (k *talk) speak(word string, n int) {
	k.Helper()
	for i := range n {
		l := sentLine{k.xmpp.NewID(), fmt.Sprint(word, " ", i)}
		k.sent = append(k.sent, l)
		k.send(`<message to='%s' type='groupchat' id='%s'><body>%s</body></message>`, k.at, l.id, l.body)
	}
}

// settled waits until the last line is there on both sides, and looks at all of them:
// each is on Matrix once, in its order, and was shown to ben under its id.
func (k *talk) settled() {
	k.Helper()
	last := k.sent[len(k.sent)-1]
	k.hears(InRoom(k.garden), Sender(k.benID), Text(last.body))
	k.expect(Message(FromBare(k.at), ID(last.id), Body(last.body)))
	var want, got []string
	for _, l := range k.sent {
		want = append(want, l.body)
		ids := map[string]bool{}
		for _, st := range k.xmpp.Received(Message(FromBare(k.at), Body(l.body))) {
			ids[st.Attr("id")+" "+stanzaIDOf(st)] = true
		}
		if len(ids) != 1 {
			k.Errorf("%q was shown as %v", l.body, ids)
		}
		for id := range ids {
			if !strings.HasPrefix(id, l.id+" ") {
				k.Errorf("%q was shown as %s, not %s", l.body, id, l.id)
			}
		}
	}
	for _, ev := range k.anna.Received(InRoom(k.garden), Sender(k.benID)) {
		if ev.Type == "m.room.message" {
			got = append(got, ev.Body())
		}
	}
	if !slices.Equal(got, want) {
		k.Errorf("on Matrix there is %q, want %q", got, want)
	}
}

// TestOutbox: lines that transportd has accepted reach the homeserver once and in their
// order, whatever is killed meanwhile.
func TestOutbox(t *testing.T) {
	w, s := alone(t)
	k := w.talk(t, s, "outbox")
	k.speak("first", 3)
	k.settled()

	// The homeserver may have the first, and has not said so.
	thaw := w.freeze(t)
	k.speak("frozen", 8)
	k.fence()
	s.gateway.Kill9()
	thaw()
	k.id(k.anna.Say(k.wait(), k.garden, "thawed")) // what it was asked before is done, or given up
	k.try(s.gateway.Start(k.wait()))
	k.settled()

	// It is killed, and has forgotten what it was asked.
	w.freeze(t)
	k.speak("forgotten", 8)
	k.fence()
	s.gateway.Kill9()
	w.homeserver.Kill9()
	k.try(w.homeserver.Start(k.wait()))
	k.try(s.gateway.Start(k.wait()))
	k.settled()

	// It goes and comes back, while transportd waits for it.
	w.freeze(t)
	k.speak("waiting", 8)
	k.fence()
	w.homeserver.Kill9()
	k.try(w.homeserver.Start(k.wait()))
	k.settled()
}

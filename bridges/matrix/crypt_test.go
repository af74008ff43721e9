//go:build goolm

package matrix

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/bridges/matrix/keys"
	"transportd/internal/matrixtest"
)

// balcony is what a client knows of an encrypted room, whose people stay.
type balcony struct {
	room  id.RoomID
	users []id.UserID
}

func (b *balcony) Encryption(room id.RoomID) *event.EncryptionEventContent {
	if room != b.room {
		return nil
	}
	return &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}
}

func (b *balcony) Visibility(id.RoomID) *event.HistoryVisibilityEventContent  { return nil }
func (b *balcony) Shared(id.UserID) []id.RoomID                               { return []id.RoomID{b.room} }
func (b *balcony) Recipients(context.Context, id.RoomID) ([]id.UserID, error) { return b.users, nil }
func encryptedRoom(srv *matrixtest.Server) (bob *matrixtest.User, r *matrixtest.Room) {
	bob, r = publicRoom(srv)
	bob.State(r, "m.room.encryption", "", map[string]any{"algorithm": string(id.AlgorithmMegolmV1)})
	return bob, r
}

// phone is another client with a device.
type phone struct {
	t    *testing.T
	cli  *mautrix.Client
	mach *keys.Machine
	room id.RoomID
	next string
	kept *kept
}

func openPhone(t *testing.T, srv *matrixtest.Server, u *matrixtest.User, r *matrixtest.Room, users ...id.UserID) *phone {
	t.Helper()
	return openDevice(t, srv, u, "PHONE", r, users...)
}

func openDevice(t *testing.T, srv *matrixtest.Server, u *matrixtest.User, called string, r *matrixtest.Room, users ...id.UserID) *phone {
	t.Helper()
	cli, err := mautrix.NewClient(srv.URL, id.UserID(u.ID), "")
	if err != nil {
		t.Fatal(err)
	}
	token, device := u.Login(called)
	cli.Client, cli.DefaultHTTPRetries, cli.AccessToken, cli.DeviceID = srv.Client(), 0, token, id.DeviceID(device)
	p := &phone{t: t, cli: cli, room: id.RoomID(r.ID), kept: &kept{}}
	if p.mach, err = keys.Start(t.Context(), cli, p.kept, &balcony{p.room, users}); err != nil {
		t.Fatal(err)
	}
	p.sync()
	return p
}

// sync asks what is new and returns what others said encrypted.
func (p *phone) sync() (sealed []*event.Event) {
	p.t.Helper()
	resp, err := p.cli.FullSyncRequest(p.t.Context(), mautrix.ReqSync{Since: p.next, Timeout: 20000, SetPresence: event.PresenceOffline})
	if err != nil {
		p.t.Fatal(err)
	}
	p.mach.Sync(p.t.Context(), resp, p.next)
	p.next = resp.NextBatch
	if room := resp.Rooms.Join[p.room]; room != nil {
		sealed = slices.DeleteFunc(room.Timeline.Events, func(ev *event.Event) bool {
			return ev.Type.Type != event.EventEncrypted.Type || ev.Sender == p.cli.UserID
		})
	}
	return sealed
}

// hears waits for an encrypted line and wants it to be this.
func (p *phone) hears(text string) {
	p.t.Helper()
	var sealed []*event.Event
	for range 20 {
		if sealed = p.sync(); len(sealed) > 0 {
			break
		}
	}
	if len(sealed) == 0 {
		p.t.Fatalf("nothing encrypted comes instead of %q", text)
	}
	ev := sealed[0]
	ev.RoomID, ev.Type.Class = p.room, event.MessageEventType
	if err := ev.Content.ParseRaw(ev.Type); err != nil {
		p.t.Fatal(err)
	}
	plain, err := p.mach.Decrypt(p.t.Context(), ev)
	if err != nil {
		p.t.Fatal(err)
	}
	if body := readEvent(plain).Body; body != text {
		p.t.Fatalf("%q is read, not %q", body, text)
	}
}

func (p *phone) say(body string) id.EventID {
	p.t.Helper()
	sealed, err := p.mach.Encrypt(p.t.Context(), p.room, event.EventMessage, &event.MessageEventContent{MsgType: event.MsgText, Body: body})
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.cli.SendMessageEvent(p.t.Context(), p.room, event.EventEncrypted, sealed)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.EventID
}

// TestEncryptedRoom: what is said in an encrypted room crosses it encrypted, both ways
// and after a restart.
func TestEncryptedRoom(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := encryptedRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
	ref := l.say(inRoom(r), "wherefore art thou")
	want(l, "the outcome", func(m *bridges.Message) bool { return m.Ref == ref && m.Self })
	p.hears("wherefore art thou")
	ev := p.say("call me but love")
	if m := l.heard("call me but love"); string(m.ID) != string(ev) || m.From.ID != bridges.UserID(bob.ID) || m.Place != inRoom(r) {
		t.Errorf("the line is %+v", m)
	}
	l.stop()
	if err := l.ended(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	l = openLink(t, srv, Config{}, l.kept).online()
	l.join(r)
	p.say("with love's light wings")
	l.heard("with love's light wings")
	ref = l.say(inRoom(r), "they will murder thee")
	want(l, "the outcome", func(m *bridges.Message) bool { return m.Ref == ref && m.Self })
	p.hears("they will murder thee")
}

// late is a device to which keys come late.
type late struct {
	cipher
	came atomic.Bool
}

func (c *late) Decrypt(ctx context.Context, ev *event.Event) (*event.Event, error) {
	if !c.came.Load() {
		return nil, keys.ErrNoKey
	}
	return c.cipher.Decrypt(ctx, ev)
}

// TestLateKey: a line without its key is shown as one that cannot be read, once, and
// corrected when the key comes.
func TestLateKey(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := encryptedRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
	slow := &late{cipher: l.net.machineNow()}
	l.net.mu.Lock()
	l.net.machine = slow
	l.net.mu.Unlock()
	ev := p.say("this night")
	m := l.heard(sealedText)
	if string(m.ID) != string(ev) || m.Kind != bridges.Notice {
		t.Errorf("what stands for it is %+v", m)
	}
	l.net.mu.Lock()
	var sessions []id.SessionID
	for s := range l.net.unread {
		sessions = append(sessions, s)
	}
	l.net.mu.Unlock()
	if len(sessions) != 1 {
		t.Fatalf("%d keys are waited for", len(sessions))
	}
	l.net.keyCame("another")
	slow.came.Store(true)
	l.net.keyCame(sessions[0])
	if m := l.heard("this night"); string(m.Replaces) != string(ev) || m.ID == m.Replaces || m.From.ID != bridges.UserID(bob.ID) {
		t.Errorf("the correction is %+v", m)
	}
	l.net.keyCame(sessions[0]) // once
	p.say("good night")
	l.heard("good night")
	shown := 0
	for _, e := range l.all() {
		if m, ok := e.(*bridges.Message); ok && m.Body == "this night" {
			shown++
		}
	}
	if shown != 1 {
		t.Errorf("the line is shown %d times", shown)
	}
}

// held gives the link a device to which keys come late, and returns how to let them
// come.
func (l *linked) held() (come func()) {
	slow := &late{cipher: l.net.machineNow()}
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.net.machine = slow
	return func() {
		slow.came.Store(true)
		l.net.mu.Lock()
		var sessions []id.SessionID
		for s := range l.net.unread {
			sessions = append(sessions, s)
		}
		l.net.mu.Unlock()
		for _, s := range sessions {
			l.net.keyCame(s)
		}
	}
}

// TestLateKeyAfterRestart: what waits for its key waits over a restart, and is corrected
// once, be it that the key came when nobody could be told or that it comes later; also
// what was not to be read when the room was entered.
func TestLateKeyAfterRestart(t *testing.T) {
	for name, later := range map[string]bool{"the key is there": false, "the key comes later": true} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := encryptedRoom(srv)
			l := openLink(t, srv, Config{}, nil).online()
			l.join(r)
			p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
			l.held()
			first := p.say("this night")
			l.heard(sealedText)
			l.stop()
			l.ended()
			if waiting, err := l.kept.Load(t.Context(), stateUnread); err != nil || len(waiting) != 1 {
				t.Fatalf("stored are %v, %v", waiting, err)
			}
			second := p.say("and this")
			l = openLink(t, srv, Config{}, l.kept).online()
			come := func() {}
			if later {
				come = l.held()
			}
			l.join(r)
			come()
			got := map[string]bridges.MessageID{}
			want(l, "what was sealed", func(m *bridges.Message) bool {
				got[m.Body] = m.Replaces
				_, one := got["this night"]
				_, two := got["and this"]
				return one && (two || !later)
			})
			if got["this night"] != bridges.MessageID(first) || got["and this"] != "" && got["and this"] != bridges.MessageID(second) {
				t.Errorf("shown are %v", got)
			}
			p.say("good night")
			l.heard("good night")
			if waiting, err := l.kept.Load(t.Context(), stateUnread); err != nil || len(waiting) != 0 {
				t.Errorf("stored are still %v, %v", waiting, err)
			}
		})
	}
}

// TestNewDevice: a device that is new gets the key of the next line, even where the
// homeserver did not tell of it when it was asked, and this process is another by then;
// one that is gone gets none.
func TestNewDevice(t *testing.T) {
	for name, restart := range map[string]bool{"soon": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := encryptedRoom(srv)
			l := openLink(t, srv, Config{}, nil).online()
			l.join(r)
			p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
			l.say(inRoom(r), "one")
			p.hears("one")
			broken := matrixtest.Broken(500)
			broken.User, broken.Path = l.alice.ID, "/keys/query"
			fault := srv.Inject(broken)
			tablet := openDevice(t, srv, bob, "TABLET", r, id.UserID(bob.ID), id.UserID(l.alice.ID))
			fault.Wait(t, 1)
			if restart {
				l.stop()
				l.ended()
				fault.Remove()
				l = openLink(t, srv, Config{}, l.kept).online()
				l.join(r)
			} else {
				fault.Remove()
			}
			l.say(inRoom(r), "two")
			tablet.hears("two")
			p.hears("two")
		})
	}
}

// TestUnansweredDevices: while the homeserver does not say which devices there are,
// nothing is encrypted for those it said there were, and the line fails for certain.
func TestUnansweredDevices(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := encryptedRoom(srv)
	l := openLink(t, srv, Config{RetryFor: 2 * time.Second}, nil).online()
	l.join(r)
	p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
	l.say(inRoom(r), "one")
	p.hears("one")
	broken := matrixtest.Broken(500)
	broken.User, broken.Path = l.alice.ID, "/keys/query"
	fault := srv.Inject(broken)
	openDevice(t, srv, bob, "TABLET", r, id.UserID(bob.ID), id.UserID(l.alice.ID))
	fault.Wait(t, 1)
	ref := l.say(inRoom(r), "two")
	if e := want(l, "Failed", func(e *bridges.Failed) bool { return e.Ref == ref }); e.Err.Uncertain {
		t.Errorf("failed with %+v", e.Err)
	}
	if n := len(l.own(r, "m.room.encrypted")); n != 1 {
		t.Errorf("%d lines were sent", n)
	}
}

// TestJoinedInAGap: who came into the room while nobody looked can read what is said
// next.
func TestJoinedInAGap(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := encryptedRoom(srv)
	carol := srv.User("carol")
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	everybody := []id.UserID{id.UserID(bob.ID), id.UserID(l.alice.ID), id.UserID(carol.ID)}
	p := openPhone(t, srv, bob, r, everybody...)
	l.say(inRoom(r), "one")
	p.hears("one")
	l.stop()
	l.ended()
	carol.Join(r)
	for range (gapPages + 1) * gapLines { // more than is ever looked at
		bob.Say(r, "noise")
	}
	l = openLink(t, srv, Config{}, l.kept).online()
	l.join(r)
	c := openPhone(t, srv, carol, r, everybody...)
	l.say(inRoom(r), "two")
	c.hears("two")
}

// TestDeviceRemoved: whose session was removed logs in as another one, which is in
// encrypted rooms like any; whose token has only ended goes on with the session.
func TestDeviceRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*matrixtest.User)
		keeps bool
	}{
		"removed": {(*matrixtest.User).Logout, false},
		"ended":   {(*matrixtest.User).SoftLogout, true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := encryptedRoom(srv)
			l := openLink(t, srv, Config{}, nil).online()
			l.join(r)
			p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
			l.say(inRoom(r), "one")
			p.hears("one")
			was := l.net.account.Settings
			c.end(l.alice)
			if e := bridges.AsError(l.ended()); e.Kind != bridges.BadCredentials || !e.Permanent {
				t.Fatalf("Run: %v", e)
			}
			step, err := l.d.NewLogin(bridges.Account{Network: theNetwork, Settings: was, State: l.kept}).Answer(t.Context(),
				map[string]string{setUser: l.alice.ID, setPassword: l.alice.Password, setHomeserver: srv.URL})
			if err != nil || !step.Done {
				t.Fatalf("%+v, %v", step, err)
			}
			if kept := step.Settings[setDevice] == was[setDevice]; kept != c.keeps {
				t.Errorf("the session is %s, was %s", step.Settings[setDevice], was[setDevice])
			}
			step.Settings[setToken] = step.Secrets[setToken]
			l = openAs(t, srv, Config{}, l.kept, step.Settings)
			st := want(l, "Online", func(s *bridges.State) bool { return s.Kind == bridges.Online })
			if strings.Contains(st.Text, "cannot be read") {
				t.Errorf("the state is %q", st.Text)
			}
			l.join(r)
			l.say(inRoom(r), "two")
			p.hears("two")
			p.say("three")
			l.heard("three")
		})
	}
}

// TestRecovery: with the recovery key the gateway's session is one the account trusts,
// and the key is not kept.
func TestRecovery(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := encryptedRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	run := func(verb, key string) (string, error) {
		t.Helper()
		for _, cmd := range l.d.Commands() {
			if cmd.Verb == verb {
				return cmd.Run(t.Context(), l.net, bridges.Place{}, map[string]string{fieldKey: key})
			}
		}
		t.Fatalf("there is no command %s", verb)
		return "", nil
	}
	says := func(text string) func(string, error) {
		return func(got string, err error) {
			t.Helper()
			if err != nil {
				got = bridges.AsError(err).Text
			}
			if !strings.Contains(got, text) {
				t.Errorf("%q does not say %q", got, text)
			}
		}
	}
	says("no recovery key")(run("recovery", "EsTR"))
	says("does not trust it yet")(run("session", ""))

	l.alice.Join(r)
	old := openPhone(t, srv, l.alice, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
	machine := crypto.NewOlmMachine(old.cli, nil, keys.New(old.kept), nil)
	l.ok(machine.Load(t.Context()))
	key, err := machine.GenerateAndVerifyWithRecoveryKey(t.Context())
	l.ok(err)

	says("not the recovery key")(run("recovery", "EsTR wrong key"))
	says("is needed")(run("recovery", " "))
	says("trusted by your account now")(run("recovery", key))
	says("Your account trusts it")(run("session", ""))
	kept, err := l.kept.Load(t.Context(), "")
	l.ok(err)
	for name, value := range kept {
		if bytes.Contains(value, []byte(key)) {
			t.Errorf("the recovery key is kept in %s", name)
		}
	}
}

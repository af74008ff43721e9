//go:build goolm

package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/internal/matrixtest"
)

// fixed is a room in which the same people stay.
type fixed struct {
	room  id.RoomID
	users []id.UserID
}

func (f fixed) Encryption(room id.RoomID) *event.EncryptionEventContent {
	if room != f.room {
		return nil
	}
	return &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}
}

func (f fixed) Visibility(id.RoomID) *event.HistoryVisibilityEventContent { return nil }
func (f fixed) Shared(id.UserID) []id.RoomID                              { return []id.RoomID{f.room} }

func (f fixed) Recipients(context.Context, id.RoomID) ([]id.UserID, error) { return f.users, nil }

// device is a client with a device whose keys outlive it.
type device struct {
	*Machine
	t     *testing.T
	cli   *mautrix.Client
	disc  *memory
	rooms fixed
	next  string
	last  *mautrix.RespSync
	since string
}

func login(t *testing.T, srv *matrixtest.Server, name string, rooms fixed) *device {
	t.Helper()
	cli, err := mautrix.NewClient(srv.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	cli.Client, cli.DefaultHTTPRetries = srv.Client(), 0
	if _, err := cli.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: name},
		Password: srv.User(name).Password, StoreCredentials: true,
	}); err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, cli: cli, disc: newMemory(), rooms: rooms}
	d.start()
	return d
}

// start brings the device up from what is stored.
func (d *device) start() {
	d.t.Helper()
	m, err := Start(d.t.Context(), d.cli, d.disc, d.rooms)
	if err != nil {
		d.t.Fatal(err)
	}
	d.Machine = m
}

// take asks what is new and gives it to the machine; it returns the encrypted events.
func (d *device) take() (sealed []*event.Event) {
	d.t.Helper()
	resp, err := d.cli.FullSyncRequest(d.t.Context(), mautrix.ReqSync{Since: d.next, Timeout: 20000, SetPresence: event.PresenceOffline})
	if err != nil {
		d.t.Fatal(err)
	}
	d.last, d.since, d.next = resp, d.next, resp.NextBatch
	d.Sync(d.t.Context(), resp, d.since)
	for _, ev := range resp.Rooms.Join[d.rooms.room].Timeline.Events {
		if ev.Type.Type != event.EventEncrypted.Type {
			continue
		}
		ev.RoomID, ev.Type.Class = d.rooms.room, event.MessageEventType
		if err := ev.Content.ParseRaw(ev.Type); err != nil {
			d.t.Fatal(err)
		}
		sealed = append(sealed, ev)
	}
	return sealed
}

// hear takes until an encrypted event comes.
func (d *device) hear() *event.Event {
	d.t.Helper()
	for range 20 {
		if sealed := d.take(); len(sealed) > 0 {
			return sealed[0]
		}
	}
	d.t.Fatal("no encrypted event came")
	return nil
}

func (d *device) say(body string) {
	d.t.Helper()
	sealed, err := d.Encrypt(d.t.Context(), d.rooms.room, event.EventMessage, &event.MessageEventContent{MsgType: event.MsgText, Body: body})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.cli.SendMessageEvent(d.t.Context(), d.rooms.room, event.EventEncrypted, sealed); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) wantBody(ev *event.Event, want string) {
	d.t.Helper()
	plain, err := d.Decrypt(d.t.Context(), ev)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := plain.Content.ParseRaw(event.EventMessage); err != nil && !errors.Is(err, event.ErrContentAlreadyParsed) {
		d.t.Fatal(err)
	}
	if got := plain.Content.AsMessage().Body; got != want {
		d.t.Fatalf("%q, not %q", got, want)
	}
}

// verona is an encrypted room of some people.
func verona(t *testing.T, names ...string) (*matrixtest.Server, *matrixtest.Room, fixed) {
	t.Helper()
	srv := matrixtest.New(t)
	first := srv.User(names[0])
	room := first.Create(matrixtest.RoomOptions{Preset: "public_chat", Name: "Verona"})
	first.State(room, "m.room.encryption", "", map[string]any{"algorithm": string(id.AlgorithmMegolmV1)})
	f := fixed{room: id.RoomID(room.ID)}
	for _, n := range names {
		if n != names[0] {
			srv.User(n).Join(room)
		}
		f.users = append(f.users, id.UserID("@"+n+":hs.test"))
	}
	return srv, room, f
}

// TestMachinesOverRestarts: two devices speak, and go on where their process was
// killed before and after everything.
func TestMachinesOverRestarts(t *testing.T) {
	srv, room, rooms := verona(t, "juliet", "romeo")
	juliet, romeo := login(t, srv, "juliet", rooms), login(t, srv, "romeo", rooms)
	juliet.take()
	romeo.take()
	for i, line := range []string{"but soft", "what light", "through yonder", "window"} {
		from, to := juliet, romeo
		if i%2 == 1 {
			from, to = romeo, juliet
		}
		from.start()
		from.say(line)
		if e := room.Events()[len(room.Events())-1]; e.Type != "m.room.encrypted" {
			t.Fatalf("%s was sent", e.Type)
		}
		sealed := to.hear()
		to.wantBody(sealed, line)
		// What was handled and not noted comes again.
		to.start()
		to.Sync(t.Context(), to.last, to.since)
		to.wantBody(sealed, line)
		for own := from.hear(); ; own = from.hear() {
			if own.ID == sealed.ID {
				from.wantBody(own, line) // one's own lines can be read too
				break
			}
		}
	}
}

// TestReplayedCiphertext: a line that is sent again under another id is not read.
func TestReplayedCiphertext(t *testing.T) {
	srv, _, rooms := verona(t, "juliet", "romeo")
	juliet, romeo := login(t, srv, "juliet", rooms), login(t, srv, "romeo", rooms)
	juliet.take()
	romeo.take()
	juliet.say("once")
	ev := romeo.hear()
	romeo.wantBody(ev, "once")
	again := *ev
	again.ID = "$another"
	if _, err := romeo.Decrypt(t.Context(), &again); !errors.Is(err, ErrUnreadable) {
		t.Errorf("replayed: %v", err)
	}
}

// TestMissingKey: a line whose key is not there can be read when it has come.
func TestMissingKey(t *testing.T) {
	srv, _, rooms := verona(t, "juliet", "romeo")
	juliet := login(t, srv, "juliet", rooms)
	juliet.take()
	juliet.rooms.users = []id.UserID{"@juliet:hs.test"} // romeo is forgotten
	juliet.start()
	romeo := login(t, srv, "romeo", rooms)
	romeo.take()
	juliet.say("alone")
	ev := romeo.hear()
	if _, err := romeo.Decrypt(t.Context(), ev); !errors.Is(err, ErrNoKey) {
		t.Fatalf("without a key: %v", err)
	}
	if err := romeo.Request(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	// The key comes by another road: the room's keys exported and imported.
	came := make(chan id.SessionID, 1)
	romeo.OnKey(func(room id.RoomID, session id.SessionID) {
		if room == rooms.room {
			came <- session
		}
	})
	session, err := juliet.store.GetGroupSession(t.Context(), rooms.room, ev.Content.AsEncrypted().SessionID)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := session.Internal.Export(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := romeo.mach.ImportRoomKeyFromBackup(t.Context(), "1", rooms.room, session.ID(), &backup.MegolmSessionData{
		Algorithm: id.AlgorithmMegolmV1, SenderKey: session.SenderKey, SessionKey: string(exported),
		SenderClaimedKeys: backup.SenderClaimedKeys{Ed25519: session.SigningKey},
	}); err != nil {
		t.Fatal(err)
	}
	if got := <-came; got != session.ID() {
		t.Errorf("told of %s", got)
	}
	romeo.wantBody(ev, "alone")
}

// TestRecover: a new device is signed with the recovery key and reads what was said
// before it was there.
func TestRecover(t *testing.T) {
	srv, _, rooms := verona(t, "juliet")
	old := login(t, srv, "juliet", rooms)
	ctx := t.Context()
	if _, err := old.Recover(ctx, "anything"); !errors.Is(err, ErrNoRecovery) {
		t.Errorf("without a recovery: %v", err)
	}
	recovery, err := old.mach.GenerateAndVerifyWithRecoveryKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	old.take()
	old.say("in the old days")
	ev := old.hear()
	session, err := old.store.GetGroupSession(ctx, rooms.room, ev.Content.AsEncrypted().SessionID)
	if err != nil {
		t.Fatal(err)
	}
	old.backUp(recovery, session.ID())

	juliet := login(t, srv, "juliet", rooms)
	juliet.take()
	if ok, err := juliet.Verified(ctx); ok || err != nil {
		t.Errorf("verified at once: %t, %v", ok, err)
	}
	if _, err := juliet.Decrypt(ctx, ev); !errors.Is(err, ErrNoKey) {
		t.Errorf("readable at once: %v", err)
	}
	if _, err := juliet.Recover(ctx, "EsTR mistyped"); !errors.Is(err, ErrRecovery) {
		t.Errorf("a wrong key: %v", err)
	}
	n, err := juliet.Recover(ctx, recovery)
	if err != nil || n != 1 {
		t.Fatalf("recovered %d keys, %v", n, err)
	}
	juliet.start()
	if ok, err := juliet.Verified(ctx); !ok || err != nil {
		t.Errorf("verified: %t, %v", ok, err)
	}
	juliet.wantBody(ev, "in the old days")
	for name, value := range juliet.disc.values {
		if bytes.Contains(value, []byte(recovery)) {
			t.Errorf("the recovery key is kept in %s", name)
		}
	}
}

// backUp puts a session into a new backup on the server, as another client would.
func (d *device) backUp(recovery string, session id.SessionID) {
	d.t.Helper()
	ctx := d.t.Context()
	check := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	keyID, data, err := d.mach.SSSS.GetDefaultKeyData(ctx)
	check(err)
	secret, err := data.VerifyRecoveryKey(keyID, recovery)
	check(err)
	key, err := backup.NewMegolmBackupKey()
	check(err)
	check(d.mach.SSSS.SetEncryptedAccountData(ctx, event.AccountDataMegolmBackupKey, key.Bytes(), secret))
	version, err := d.cli.CreateKeyBackupVersion(ctx, &mautrix.ReqRoomKeysVersionCreate[backup.MegolmAuthData]{
		Algorithm: id.KeyBackupAlgorithmMegolmBackupV1,
		AuthData:  backup.MegolmAuthData{PublicKey: id.Ed25519(base64.RawStdEncoding.EncodeToString(key.PublicKey().Bytes()))},
	})
	check(err)
	g, err := d.store.GetGroupSession(ctx, d.rooms.room, session)
	check(err)
	exported, err := g.Internal.Export(0)
	check(err)
	sealed, err := backup.EncryptSessionData(key, backup.MegolmSessionData{
		Algorithm: id.AlgorithmMegolmV1, SenderKey: g.SenderKey, SessionKey: string(exported), ForwardingKeyChain: []string{},
		SenderClaimedKeys: backup.SenderClaimedKeys{Ed25519: g.SigningKey},
	})
	check(err)
	raw, err := json.Marshal(sealed)
	check(err)
	_, err = d.cli.PutKeysInBackupForRoomAndSession(ctx, version.Version, d.rooms.room, session, &mautrix.ReqKeyBackupData{SessionData: raw})
	check(err)
}

// TestReplacedDevice: keys that do not belong together are noticed at the start.
func TestReplacedDevice(t *testing.T) {
	srv, _, rooms := verona(t, "juliet")
	d := login(t, srv, "juliet", rooms)
	d.disc = newMemory() // what was stored is lost
	if _, err := Start(t.Context(), d.cli, d.disc, rooms); !errors.Is(err, ErrReplaced) {
		t.Errorf("got %v", err)
	}
}

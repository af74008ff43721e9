//go:build goolm

package keys

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// memory is a storage whose contents outlive the stores over it.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error
}

func (m *memory) Load(_ context.Context, prefix string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]byte{}
	for n, v := range m.values {
		if strings.HasPrefix(n, prefix) {
			out[n] = slices.Clone(v)
		}
	}
	return out, m.fail
}

func (m *memory) Save(_ context.Context, changes map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	maps.Copy(m.values, changes)
	maps.DeleteFunc(m.values, func(_ string, v []byte) bool { return v == nil })
	return nil
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

// must fails the test on an error.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestOlmOverRestarts: two accounts speak with each other, and go on where their
// stores were opened again after each message.
func TestOlmOverRestarts(t *testing.T) {
	ctx := t.Context()
	discs := [2]*memory{newMemory(), newMemory()}
	var stores [2]*Store
	reopen := func() { stores = [2]*Store{New(discs[0]), New(discs[1])} }
	reopen()
	for _, s := range stores {
		a := crypto.NewOlmAccount()
		if err := a.Internal.GenOneTimeKeys(1); err != nil {
			t.Fatal(err)
		}
		a.Shared = true
		if err := s.PutAccount(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	alice, bob := must(stores[0].GetAccount(ctx))(t), must(stores[1].GetAccount(ctx))(t)
	if !alice.Shared || alice.IdentityKey() == bob.IdentityKey() {
		t.Fatal("the accounts did not come back")
	}
	var oneTime id.Curve25519
	for _, k := range must(bob.Internal.OneTimeKeys())(t) {
		oneTime = k
	}
	first := must(alice.Internal.NewOutboundSession(bob.IdentityKey(), oneTime))(t)
	now := time.Now()
	out := &crypto.OlmSession{Internal: first}
	out.CreationTime, out.LastEncryptedTime, out.LastDecryptedTime = now, now, now
	if err := stores[0].AddSession(ctx, bob.IdentityKey(), out); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		reopen()
		from, to := i%2, 1-i%2
		keys := [2]id.SenderKey{alice.IdentityKey(), bob.IdentityKey()}
		sender := must(stores[from].GetLatestSession(ctx, keys[to]))(t)
		typ, cipher, err := sender.Encrypt([]byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stores[from].UpdateSession(ctx, keys[to], sender); err != nil {
			t.Fatal(err)
		}
		reopen()
		receiver := must(stores[to].GetLatestSession(ctx, keys[from]))(t)
		if receiver == nil {
			receiver = must(must(stores[to].GetAccount(ctx))(t).NewInboundSessionFrom(keys[from], string(cipher)))(t)
			if err := stores[to].AddSession(ctx, keys[from], receiver); err != nil {
				t.Fatal(err)
			}
		}
		if plain, err := receiver.Decrypt(string(cipher), typ); err != nil || string(plain) != "hello" {
			t.Fatalf("message %d: %q, %v", i, plain, err)
		}
		if err := stores[to].UpdateSession(ctx, keys[from], receiver); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	if !stores[0].HasSession(ctx, bob.IdentityKey()) || stores[0].HasSession(ctx, "somebody else") {
		t.Error("HasSession")
	}
	if at := must(stores[0].GetNewestSessionCreationTS(ctx, bob.IdentityKey()))(t); !at.Equal(now) {
		t.Errorf("created %v, not %v", at, now)
	}
	if err := stores[0].DeleteSession(ctx, bob.IdentityKey(), out); err != nil || len(must(New(discs[0]).GetSessions(ctx, bob.IdentityKey()))(t)) != 0 {
		t.Errorf("the session is still there: %v", err)
	}
	for n := range discs[0].values {
		if !strings.HasPrefix(n, "sealed/") {
			t.Errorf("%s is not sealed", n)
		}
	}
}

// TestMegolmOverRestarts: what one device encrypts for a room another decrypts, with
// both opened again after each message.
func TestMegolmOverRestarts(t *testing.T) {
	ctx := t.Context()
	const room = id.RoomID("!a/b:hs")
	from, to := newMemory(), newMemory()
	out := must(crypto.NewOutboundGroupSession(room, &event.EncryptionEventContent{RotationPeriodMessages: 7}, nil))(t)
	out.Shared = true
	if err := New(from).AddOutboundGroupSession(ctx, out); err != nil {
		t.Fatal(err)
	}
	in := must(crypto.NewInboundGroupSession("sender", "signing", room, out.Internal.Key(), time.Hour, 100, nil, false))(t)
	if err := New(to).PutGroupSession(ctx, in); err != nil {
		t.Fatal(err)
	}
	for i := range uint(4) {
		g := must(New(from).GetOutboundGroupSession(ctx, room))(t)
		if !g.Shared || g.MaxMessages != 7 || g.MessageCount != int(i) || g.RoomID != room {
			t.Fatalf("the outbound session came back as %+v", g)
		}
		cipher := must(g.Internal.Encrypt([]byte("hello")))(t)
		g.MessageCount++
		s := New(from)
		if err := s.UpdateOutboundGroupSession(ctx, g); err != nil {
			t.Fatal(err)
		}
		r := must(New(to).GetGroupSession(ctx, room, in.ID()))(t)
		if r.SenderKey != "sender" || r.SigningKey != "signing" || r.MaxAge != time.Hour.Milliseconds() {
			t.Fatalf("the inbound session came back as %+v", r)
		}
		if plain, index, err := r.Internal.Decrypt(cipher); err != nil || string(plain) != "hello" || index != i {
			t.Fatalf("message %d: %q, %d, %v", i, plain, index, err)
		}
	}
	s := New(to)
	for i, c := range []struct {
		event id.EventID
		at    int64
		want  bool
	}{{"", 0, true}, {"$a", 1, true}, {"$a", 1, true}, {"$b", 1, false}, {"$a", 2, false}, {"", 0, false}} {
		if ok := must(s.ValidateMessageIndex(ctx, in.ID(), c.event, 3, c.at))(t); ok != c.want {
			t.Errorf("index %d: %t", i, ok)
		}
	}
	if err := s.MarkOutboundGroupSessionShared(ctx, "@u:hs", "key", "session"); err != nil || !must(New(to).IsOutboundGroupSessionShared(ctx, "@u:hs", "key", "session"))(t) ||
		must(s.IsOutboundGroupSessionShared(ctx, "@u:hs", "key", "other"))(t) {
		t.Errorf("shared: %v", err)
	}
	// A key that is withheld does not take the place of one that is there.
	w := event.RoomKeyWithheldEventContent{RoomID: room, SessionID: in.ID(), Code: event.RoomKeyWithheldBlacklisted, Reason: "no"}
	if err := s.PutWithheldGroupSession(ctx, w); err != nil {
		t.Fatal(err)
	}
	if _, err := New(to).GetGroupSession(ctx, room, in.ID()); err != nil {
		t.Errorf("replaced: %v", err)
	}
	w.SessionID = "other"
	if err := s.PutWithheldGroupSession(ctx, w); err != nil {
		t.Fatal(err)
	}
	if _, err := New(to).GetGroupSession(ctx, room, "other"); !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		t.Errorf("withheld: %v", err)
	}
	if got := must(s.GetWithheldGroupSession(ctx, room, "other"))(t); got == nil || got.Reason != "no" {
		t.Errorf("withheld: %+v", got)
	}
	if list := must(s.GetAllGroupSessions(ctx).AsList())(t); len(list) != 1 || list[0].ID() != in.ID() {
		t.Errorf("all sessions: %v", list)
	}
	if gone := must(s.RedactGroupSessions(ctx, room, "", "left"))(t); len(gone) != 1 {
		t.Errorf("redacted %v", gone)
	}
	if _, err := s.GetGroupSession(ctx, room, in.ID()); !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		t.Errorf("after redaction: %v", err)
	}
	if list := must(s.GetGroupSessionsForRoom(ctx, room).AsList())(t); len(list) != 0 {
		t.Errorf("after redaction: %v", list)
	}
	if err := s.RemoveOutboundGroupSession(ctx, room); err != nil || must(New(from).GetOutboundGroupSession(ctx, "!other"))(t) != nil {
		t.Errorf("outbound: %v", err)
	}
}

// TestInboundInMemory: more sessions than are kept in memory are all there.
func TestInboundInMemory(t *testing.T) {
	ctx, disc := t.Context(), newMemory()
	s := New(disc)
	var ids []id.SessionID
	for range maxInbound + 10 {
		out := must(olm.NewOutboundGroupSession())(t)
		in := must(crypto.NewInboundGroupSession("s", "k", "!r", out.Key(), 0, 0, nil, false))(t)
		if err := s.PutGroupSession(ctx, in); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, in.ID())
	}
	if len(s.inbound) != maxInbound || len(s.order) != maxInbound {
		t.Errorf("%d sessions in memory, %d in order", len(s.inbound), len(s.order))
	}
	for _, session := range ids {
		if g := must(s.GetGroupSession(ctx, "!r", session))(t); g == nil || g.ID() != session {
			t.Fatalf("session %s is %v", session, g)
		}
	}
}

func TestDevices(t *testing.T) {
	ctx, disc := t.Context(), newMemory()
	s := New(disc)
	device := func(name string) *id.Device {
		return &id.Device{UserID: "@u:hs", DeviceID: id.DeviceID(name), IdentityKey: id.IdentityKey("key " + name), SigningKey: id.SigningKey("sign " + name)}
	}
	if list := must(s.GetDevices(ctx, "@u:hs"))(t); list != nil {
		t.Errorf("devices of a stranger: %v", list)
	}
	if err := s.PutDevices(ctx, "@u:hs", map[id.DeviceID]*id.Device{"A": device("A"), "B": device("B")}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutDevices(ctx, "@empty:hs", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.MarkTrackedUsersOutdated(ctx, []id.UserID{"@u:hs", "@stranger:hs"}); err != nil {
		t.Fatal(err)
	}
	if users := must(New(disc).GetOutdatedTrackedUsers(ctx))(t); !slices.Equal(users, []id.UserID{"@u:hs"}) {
		t.Errorf("outdated: %v", users)
	}
	if err := s.PutDevices(ctx, "@u:hs", map[id.DeviceID]*id.Device{"B": device("B")}); err != nil {
		t.Fatal(err)
	}
	if users := must(s.GetOutdatedTrackedUsers(ctx))(t); len(users) != 0 {
		t.Errorf("still outdated: %v", users)
	}
	if list := must(New(disc).GetDevices(ctx, "@u:hs"))(t); len(list) != 1 || list["B"] == nil || *list["B"] != *device("B") {
		t.Errorf("devices: %v", list)
	}
	if d := must(s.GetDevice(ctx, "@u:hs", "A"))(t); d == nil || !d.Deleted {
		t.Errorf("the deleted device: %+v", d)
	}
	if d := must(s.FindDeviceByKey(ctx, "@u:hs", "key B"))(t); d == nil || d.DeviceID != "B" {
		t.Errorf("by key: %+v", d)
	}
	if users := must(s.FilterTrackedUsers(ctx, []id.UserID{"@empty:hs", "@stranger:hs", "@u:hs"}))(t); !slices.Equal(users, []id.UserID{"@empty:hs", "@u:hs"}) {
		t.Errorf("tracked: %v", users)
	}
	if err := s.PutDevice(ctx, "@u:hs", device("C")); err != nil || len(must(s.GetDevices(ctx, "@u:hs"))(t)) != 2 {
		t.Errorf("one more: %v", err)
	}
}

func TestCrossSigning(t *testing.T) {
	ctx, disc := t.Context(), newMemory()
	s := New(disc)
	for _, key := range []id.Ed25519{"one", "two"} {
		if err := s.PutCrossSigningKey(ctx, "@u:hs", id.XSUsageMaster, key); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(New(disc).GetCrossSigningKeys(ctx, "@u:hs"))(t)[id.XSUsageMaster]; got.Key != "two" || got.First != "one" {
		t.Errorf("master key %+v", got)
	}
	if err := s.ResetMasterKeyTOFU(ctx, "@u:hs", "one"); err == nil {
		t.Error("a key that is not the present one is trusted")
	}
	if err := s.ResetMasterKeyTOFU(ctx, "@u:hs", "two"); err != nil || must(s.GetCrossSigningKeys(ctx, "@u:hs"))(t)[id.XSUsageMaster].First != "two" {
		t.Errorf("reset: %v", err)
	}
	if err := s.PutSignature(ctx, "@u:hs", "k/1", "@v:hs", "m", "sig"); err != nil {
		t.Fatal(err)
	}
	if ok := must(New(disc).IsKeySignedBy(ctx, "@u:hs", "k/1", "@v:hs", "m"))(t); !ok {
		t.Error("not signed")
	}
	if ok := must(s.IsKeySignedBy(ctx, "@u:hs", "k/1", "@v:hs", "other"))(t); ok {
		t.Error("signed by a key that did not")
	}
	if got := must(s.GetSignaturesForKeyBy(ctx, "@u:hs", "k/1", "@v:hs"))(t); got["m"] != "sig" {
		t.Errorf("signatures %v", got)
	}
	if n := must(s.DropSignaturesByKey(ctx, "@v:hs", "m"))(t); n != 1 || must(s.IsKeySignedBy(ctx, "@u:hs", "k/1", "@v:hs", "m"))(t) {
		t.Errorf("dropped %d", n)
	}
}

func TestSecretsAndHashes(t *testing.T) {
	ctx, disc := t.Context(), newMemory()
	s := New(disc)
	if err := s.PutSecret(ctx, id.SecretMegolmBackupV1, "hush"); err != nil || must(New(disc).GetSecret(ctx, id.SecretMegolmBackupV1))(t) != "hush" {
		t.Errorf("secret: %v", err)
	}
	if err := s.DeleteSecret(ctx, id.SecretMegolmBackupV1); err != nil || must(s.GetSecret(ctx, id.SecretMegolmBackupV1))(t) != "" {
		t.Errorf("secret: %v", err)
	}
	now := time.UnixMilli(time.Now().UnixMilli())
	if err := s.PutOlmHash(ctx, [32]byte{1}, now); err != nil || !must(New(disc).GetOlmHash(ctx, [32]byte{1}))(t).Equal(now) {
		t.Errorf("hash: %v", err)
	}
	if err := s.PutOlmHash(ctx, [32]byte{2}, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteOldOlmHashes(ctx, now.Add(-time.Minute)); err != nil || !must(s.GetOlmHash(ctx, [32]byte{2}))(t).IsZero() || must(s.GetOlmHash(ctx, [32]byte{1}))(t).IsZero() {
		t.Errorf("hashes: %v", err)
	}
	disc.fail = errors.New("the disk is full")
	if err := s.PutSecret(ctx, "x", "y"); !errors.Is(err, disc.fail) {
		t.Errorf("got %v", err)
	}
	if _, err := s.GetSecret(ctx, "x"); !errors.Is(err, disc.fail) {
		t.Errorf("got %v", err)
	}
}

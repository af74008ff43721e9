//go:build goolm

package matrixtest

import (
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// secret is a client with a device that encrypts.
type secret struct {
	*client
	*crypto.OlmMachine
	state *mautrix.MemoryStateStore
}

func encrypting(t *testing.T, s *Server, name string, r *Room) *secret {
	t.Helper()
	c := login(t, s, name)
	state := mautrix.NewMemoryStateStore().(*mautrix.MemoryStateStore)
	if err := state.SetEncryptionEvent(t.Context(), id.RoomID(r.ID), &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}); err != nil {
		t.Fatal(err)
	}
	m := crypto.NewOlmMachine(c.Client, nil, crypto.NewMemoryStore(nil), state)
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.ShareKeys(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return &secret{c, m, state}
}

// take syncs once and gives the machine what came.
func (c *secret) take() *mautrix.RespSync {
	c.t.Helper()
	since := c.next
	resp := c.sync()
	c.ProcessSyncResponse(c.t.Context(), resp, since)
	return resp
}

// TestEncryption sends from device to device what nobody between can read.
func TestEncryption(t *testing.T) {
	s := New(t)
	r := public(s, "Room", "alice", "carol")
	rid := id.RoomID(r.ID)
	s.User("bob").State(r, "m.room.encryption", "", object{"algorithm": "m.megolm.v1.aes-sha2"})
	alice, carol := encrypting(t, s, "alice", r), encrypting(t, s, "carol", r)
	alice.take()
	carol.take()
	ctx := t.Context()
	if err := alice.ShareGroupSession(ctx, rid, []id.UserID{"@alice:hs.test", "@carol:hs.test"}); err != nil {
		t.Fatal(err)
	}
	sealed := must(alice.EncryptMegolmEvent(ctx, rid, event.EventMessage, text("m.text", "psst")))(t)
	must(alice.SendMessageEvent(ctx, rid, event.EventEncrypted, sealed))(t)
	if e := r.Events()[len(r.Events())-1]; e.Type != "m.room.encrypted" || e.Get("ciphertext") == "" {
		t.Fatalf("%+v", e)
	}
	var got *event.Event
	for got == nil { // the key may come with another sync
		for _, e := range carol.take().Rooms.Join[rid].Timeline.Events {
			if e.Type.Type == "m.room.encrypted" {
				got = e
			}
		}
	}
	got.RoomID = rid
	got.Type.Class = event.MessageEventType
	if err := got.Content.ParseRaw(got.Type); err != nil {
		t.Fatal(err)
	}
	if plain := must(carol.DecryptMegolmEvent(ctx, got))(t); plain.Content.AsMessage().Body != "psst" {
		t.Fatalf("%+v", plain)
	}
}

// TestRecoveryKey verifies a second device through the server.
func TestRecoveryKey(t *testing.T) {
	s := New(t)
	r := public(s, "Room", "alice")
	one := encrypting(t, s, "alice", r)
	key := must(one.GenerateAndVerifyWithRecoveryKey(t.Context()))(t)
	two := encrypting(t, s, "alice", r)
	if err := two.VerifyWithRecoveryKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if has, verified, err := two.GetOwnVerificationStatus(t.Context()); !has || !verified || err != nil {
		t.Fatal(has, verified, err)
	}
}

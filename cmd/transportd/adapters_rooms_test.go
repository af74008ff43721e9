package main

import (
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"

	"transportd/session"
	"transportd/store"
)

// What a user chose for rooms comes back from the store as it was said.
func TestRoomSettingsAreStored(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "x.db"), KeyFile: filepath.Join(dir, "x.key")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	const user = "alice@example.org"
	s := &sessionStore{db: db, gateway: "irc.example.org", log: slog.New(slog.DiscardHandler)}
	no := false
	want := session.Record{
		Rooms: []session.RoomSetting{
			{Room: "#a%net@irc.example.org", Persistent: true, Nick: "Alice", Password: "key"},
			{Room: "#b%net@irc.example.org", Record: &no},
		},
		Defaults: session.Defaults{Record: &no},
	}
	for _, set := range append(want.Rooms, session.RoomSetting{Room: "#gone%net@irc.example.org", Persistent: true}) {
		if err := s.SaveRoom(ctx, user, set); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RemoveRoom(ctx, user, "#gone%net@irc.example.org"); err != nil {
		t.Fatal(err)
	}
	yes := true
	for _, d := range []session.Defaults{{Record: &yes, Persistent: &yes}, want.Defaults} {
		if err := s.SaveDefaults(ctx, user, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SaveRoom(ctx, "bob@example.org", want.Rooms[1]); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Record(ctx, user); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("stored is %+v, not %+v, %v", got, want, err)
	}
	keepers, err := s.KeepsRooms(ctx)
	if err != nil || !reflect.DeepEqual(keepers, []string{user}) {
		t.Errorf("those who keep rooms are %v, %v", keepers, err)
	}
	if err := s.ForgetHistory(ctx, user, "#a%net@irc.example.org"); err != nil {
		t.Error(err)
	}
}

package main

import (
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"

	"transportd/bridges/bridgetest"
	"transportd/session"
	"transportd/store"
)

// What is between a user and people comes back from the store, apart from what is
// between the user and the gateway.
func TestSubscriptionsToPeopleAreStored(t *testing.T) {
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
	const user, gateway = "alice@example.org", "irc.example.org"
	s := &sessionStore{db: db, driver: bridgetest.NewScript(), gateway: gateway, log: slog.New(slog.DiscardHandler)}
	for _, address := range []string{gateway, "net@" + gateway} {
		if err := db.PutSubscription(ctx, store.Subscription{Gateway: gateway, User: user, Address: address, Sends: true}); err != nil {
			t.Fatal(err)
		}
	}
	want := session.Record{
		Subscribed: []string{gateway, "net@" + gateway},
		People: []session.Subscription{
			{Address: "bob%net@" + gateway, Sends: true, Receives: true, Asked: true},
			{Address: "carol%net@" + gateway, Asked: true},
		},
	}
	if err := s.SaveSubscriptions(ctx, user, append(want.People, session.Subscription{Address: "dave%net@" + gateway, Receives: true})); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveSubscriptions(ctx, user, []session.Subscription{{Address: "dave%net@" + gateway}, {Address: "nobody%net@" + gateway}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveSubscriptions(ctx, user, nil); err != nil {
		t.Fatal(err)
	}
	got, err := s.Record(ctx, user)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("stored is %+v, not %+v, %v", got, want, err)
	}
}

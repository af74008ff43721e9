package store

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestUsers(t *testing.T) { onBoth(t, testUsers) }

func testUsers(t *testing.T) {
	db, ctx := open(t), t.Context()
	if _, err := db.User(ctx, gw, juli); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown user: %v", err)
	}
	if err := db.SetOnline(ctx, gw, juli, false); err != nil {
		t.Fatal(err)
	}
	u, err := db.User(ctx, gw, juli)
	if err != nil || u.Online {
		t.Errorf("logged out user: %+v, %v", u, err)
	}
	for name, value := range map[string]string{"lang": "de", "markup": "on"} {
		if err := db.SetPreference(ctx, gw, juli, name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.SetPreference(ctx, gw, juli, "markup", ""); err != nil {
		t.Fatal(err)
	}
	prefs, err := db.Preferences(ctx, gw, juli)
	if err != nil || !maps.Equal(prefs, map[string]string{"lang": "de"}) {
		t.Errorf("preferences: %v, %v", prefs, err)
	}
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	if err := db.Seen(ctx, gw, juli, later); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if u, err = db.User(ctx, gw, juli); err != nil || !u.Seen.Equal(later) {
		t.Errorf("seen %v, want %v (%v)", u.Seen, later, err)
	}
	if err := db.SetOnline(ctx, gw, romeo, true); err != nil {
		t.Fatal(err)
	}
	var names []string
	for u, err := range db.Users(ctx, gw) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, u.JID)
	}
	if strings.Join(names, " ") != juli+" "+romeo {
		t.Errorf("users: %v", names)
	}
}

func TestDeleteUserLeavesNothing(t *testing.T) { onBoth(t, testDeleteUserLeavesNothing) }

func testDeleteUserLeavesNothing(t *testing.T) {
	db, ctx := open(t), t.Context()
	for _, user := range []string{juli, romeo} {
		if err := db.PutAccount(ctx, account(user, "n")); err != nil {
			t.Fatal(err)
		}
		if err := db.SetPreference(ctx, gw, user, "a", "b"); err != nil {
			t.Fatal(err)
		}
		if err := db.PutSubscription(ctx, Subscription{Gateway: gw, User: user, Address: gw, Sends: true}); err != nil {
			t.Fatal(err)
		}
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: user + "/r", Room: "#a@" + gw, Nick: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.DeleteUser(ctx, gw, juli); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"users", "accounts", "preferences", "subscriptions", "occupancies"} {
		var n int
		if err := db.read.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n != 1 {
			t.Errorf("%s: %d rows are left, want the other user's one (%v)", table, n, err)
		}
	}
	if err := db.DeleteUser(ctx, gw, juli); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting twice: %v", err)
	}
}

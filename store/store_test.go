package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/internal/secret"
)

const (
	gw    = "irc.example.org"
	juli  = "juliet@example.org"
	romeo = "romeo@example.net"
)

func account(user, network string) Account {
	return Account{
		Gateway: gw, User: user, Network: network,
		Settings: map[string]string{"nick": "jul", "channels": "#a\n#b", "empty": ""},
		Secrets:  map[string]secret.Text{"password": "s3cret of " + secret.Text(user)},
	}
}

func sameAccount(t *testing.T, got, want Account) {
	t.Helper()
	if got.Gateway != want.Gateway || got.User != want.User || got.Network != want.Network {
		t.Errorf("identity: got %s %s %s", got.Gateway, got.User, got.Network)
	}
	if !maps.Equal(got.Settings, want.Settings) {
		t.Errorf("settings: got %v, want %v", got.Settings, want.Settings)
	}
	if !maps.Equal(got.Secrets, want.Secrets) {
		t.Errorf("secrets of %s differ", got.User)
	}
}

func TestAccountsRoundTrip(t *testing.T) { onBoth(t, testAccountsRoundTrip) }

func testAccountsRoundTrip(t *testing.T) {
	db, ctx := open(t), t.Context()
	want := account(juli, "libera")
	if err := db.PutAccount(ctx, want); err != nil {
		t.Fatal(err)
	}
	got, err := db.Account(ctx, gw, juli, "libera")
	if err != nil {
		t.Fatal(err)
	}
	sameAccount(t, got, want)
	if got.Created.IsZero() || time.Since(got.Created) > time.Hour {
		t.Errorf("created %v", got.Created)
	}
	all := got.All()
	if all["password"] != "s3cret of "+juli || all["nick"] != "jul" || len(all) != 4 {
		t.Errorf("All: %d entries", len(all))
	}

	// Replacing forgets what is not given again.
	want.Settings = map[string]string{"nick": "other"}
	want.Secrets = nil
	if err := db.PutAccount(ctx, want); err != nil {
		t.Fatal(err)
	}
	if got, err = db.Account(ctx, gw, juli, "libera"); err != nil {
		t.Fatal(err)
	}
	if len(got.Settings) != 1 || len(got.Secrets) != 0 {
		t.Errorf("after replacing: %v, %d secrets", got.Settings, len(got.Secrets))
	}

	if err := db.DeleteAccount(ctx, gw, juli, "libera"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Account(ctx, gw, juli, "libera"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted account: %v", err)
	}
	if err := db.DeleteAccount(ctx, gw, juli, "libera"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting twice: %v", err)
	}
	if _, err := db.User(ctx, gw, juli); err != nil {
		t.Errorf("the user went with the account: %v", err)
	}
}

func TestSettingBothOpenAndSecretIsRefused(t *testing.T) {
	onBoth(t, testSettingBothOpenAndSecretIsRefused)
}

func testSettingBothOpenAndSecretIsRefused(t *testing.T) {
	db := open(t)
	a := account(juli, "x")
	a.Settings["password"] = "open"
	if err := db.PutAccount(t.Context(), a); err == nil {
		t.Error("accepted")
	}
	if _, err := db.Account(t.Context(), gw, juli, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("half an account was kept: %v", err)
	}
}

func TestAccountsWalkIsPagedAndComplete(t *testing.T) { onBoth(t, testAccountsWalkIsPagedAndComplete) }

func testAccountsWalkIsPagedAndComplete(t *testing.T) {
	db, ctx := open(t), t.Context()
	const users = pageSize + pageSize/2
	for i := range users {
		for _, n := range []string{"a", "b"} {
			if err := db.PutAccount(ctx, account(fmt.Sprintf("u%04d@x", i), n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := account("u@x", "a")
	other.Gateway = "other.example.org"
	if err := db.PutAccount(ctx, other); err != nil {
		t.Fatal(err)
	}
	n, last := 0, ""
	for a, err := range db.Accounts(ctx, gw) {
		if err != nil {
			t.Fatal(err)
		}
		if key := a.User + " " + a.Network; key <= last {
			t.Fatalf("%s after %s", key, last)
		} else {
			last = key
		}
		if a.Secrets["password"].Reveal() != "s3cret of "+a.User {
			t.Fatalf("secret of %s", a.User)
		}
		n++
		// Writing between pages must not be blocked by the walk.
		if n == 1 {
			if err := db.SetOnline(ctx, gw, "u0000@x", false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != 2*users {
		t.Errorf("%d accounts, want %d", n, 2*users)
	}
	loggedIn, err := db.LoggedIn(ctx, gw)
	if err != nil || len(loggedIn) != users-1 {
		t.Errorf("logged in: %d, %v", len(loggedIn), err)
	}
	mine, err := db.UserAccounts(ctx, gw, "u0001@x")
	if err != nil || len(mine) != 2 || mine[0].Network != "a" || mine[1].Network != "b" {
		t.Errorf("accounts of one user: %d, %v", len(mine), err)
	}
}

func TestSubscriptions(t *testing.T) { onBoth(t, testSubscriptions) }

func testSubscriptions(t *testing.T) {
	db, ctx := open(t), t.Context()
	put := func(user, address string, sends, receives bool) {
		t.Helper()
		if err := db.PutSubscription(ctx, Subscription{Gateway: gw, User: user, Address: address, Sends: sends, Receives: receives}); err != nil {
			t.Fatal(err)
		}
	}
	put(juli, gw, true, false)
	put(juli, gw, true, true)
	put(juli, "libera@"+gw, false, true)
	put(romeo, gw, true, false)
	put(romeo, "x@"+gw, true, false)
	put(romeo, "x@"+gw, false, false)
	put("nobody@x", gw, false, false)
	got, err := db.UserSubscriptions(ctx, gw, juli)
	want := []Subscription{{gw, juli, gw, true, true, false}, {gw, juli, "libera@" + gw, false, true, false}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v (%v)", got, want, err)
	}
	n := 0
	for _, err := range db.Subscriptions(ctx, gw) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d subscriptions, want 3", n)
	}
	asked := Subscription{Gateway: gw, User: romeo, Address: "bob@" + gw, Asked: true}
	if err := db.PutSubscription(ctx, asked, Subscription{Gateway: gw, User: romeo, Address: gw}); err != nil {
		t.Fatal(err)
	}
	if got, err := db.UserSubscriptions(ctx, gw, romeo); err != nil || fmt.Sprint(got) != fmt.Sprint([]Subscription{asked}) {
		t.Errorf("got %v, want %v (%v)", got, asked, err)
	}
	if _, err := db.User(ctx, gw, "nobody@x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removing a subscription made a user: %v", err)
	}
}

func TestGatewayKeyStays(t *testing.T) { onBoth(t, testGatewayKeyStays) }

func testGatewayKeyStays(t *testing.T) {
	dir := t.TempDir()
	db, ctx := openAt(t, dir), t.Context()
	one, err := db.GatewayKey(ctx, gw, "occupant-id")
	if err != nil || len(one) != KeySize {
		t.Fatalf("%d bytes, %v", len(one), err)
	}
	other, err := db.GatewayKey(ctx, "b.example.org", "occupant-id")
	if err != nil || string(other) == string(one) {
		t.Errorf("two gateways share a key (%v)", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, dir)
	defer func() { _ = db.Close() }()
	again, err := db.GatewayKey(ctx, gw, "occupant-id")
	if err != nil || string(again) != string(one) {
		t.Errorf("the key changed over a restart (%v)", err)
	}
}

func TestFilesAreNotReadableByOthers(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	defer func() { _ = db.Close() }()
	if err := db.PutAccount(t.Context(), account(juli, "n")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 4 { // database, -wal, -shm, key
		t.Errorf("only %d files", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", e.Name(), info.Mode().Perm())
		}
	}
}

func TestSecretsAreNotInTheFile(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	if err := db.PutAccount(t.Context(), account(juli, "n")); err != nil {
		t.Fatal(err)
	}
	o := Occupancy{Gateway: gw, User: juli + "/r", Room: "#a@" + gw, Nick: "x", Password: "s3cret of the room"}
	if err := db.SaveOccupancy(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "t.db"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), juli) {
		t.Fatal("the file does not hold what was stored")
	}
	if strings.Contains(string(data), "s3cret") {
		t.Error("a secret is readable in the file")
	}
}

func TestConcurrentWriters(t *testing.T) { onBoth(t, testConcurrentWriters) }

func testConcurrentWriters(t *testing.T) {
	db, ctx := open(t), t.Context()
	const workers, rounds = 8, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				user := fmt.Sprintf("u%d@x", w)
				errs := []error{
					db.PutAccount(ctx, account(user, fmt.Sprintf("n%d", i))),
					db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: user + "/r", Room: fmt.Sprintf("#%d@%s", i, gw), Nick: "n"}),
					db.SetPreference(ctx, gw, user, fmt.Sprint(i), "v"),
					db.PutSubscription(ctx, Subscription{Gateway: gw, User: user, Address: fmt.Sprint(i), Sends: true}),
				}
				if _, err := db.UserAccounts(ctx, gw, user); err != nil {
					errs = append(errs, err)
				}
				if err := errors.Join(errs...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for name, count := range map[string]func() (int, error){
		"accounts":      func() (int, error) { return seqLen(db.Accounts(ctx, gw)) },
		"occupancies":   func() (int, error) { return seqLen(db.Occupancies(ctx, gw)) },
		"subscriptions": func() (int, error) { return seqLen(db.Subscriptions(ctx, gw)) },
	} {
		if n, err := count(); n != workers*rounds || err != nil {
			t.Errorf("%s: %d, want %d (%v)", name, n, workers*rounds, err)
		}
	}
}

func seqLen[T any](seq func(yield func(T, error) bool)) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestAClosedDatabaseSaysSo(t *testing.T) { onBoth(t, testAClosedDatabaseSaysSo) }

func testAClosedDatabaseSaysSo(t *testing.T) {
	db := openAt(t, t.TempDir())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err := db.Account(ctx, gw, juli, "n")
	for name, err := range map[string]error{
		"account":   err,
		"put":       db.PutAccount(ctx, account(juli, "n")),
		"occupancy": db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: juli + "/r"}),
		"close":     db.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACancelledContextEndsAWait(t *testing.T) { onBoth(t, testACancelledContextEndsAWait) }

func testACancelledContextEndsAWait(t *testing.T) {
	db := open(t)
	db.writing <- struct{}{} // somebody else writes
	defer func() { <-db.writing }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.PutAccount(ctx, account(juli, "n")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestObserve(t *testing.T) { onBoth(t, testObserve) }

func testObserve(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	o := options(t, t.TempDir())
	o.Observe = func(op string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if took < 0 {
			t.Errorf("%s took %v", op, took)
		}
		seen[op]++
	}
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PutAccount(t.Context(), account(juli, "n")); err != nil {
		t.Fatal(err)
	}
	if err := db.Seen(t.Context(), gw, juli, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.User(t.Context(), gw, juli); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"put account", "batch", "user"} {
		if seen[op] != 1 {
			t.Errorf("%s observed %d times", op, seen[op])
		}
	}
}

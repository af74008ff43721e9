package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"transportd/internal/secret"
)

func occupancies(t *testing.T, db *DB) []Occupancy {
	t.Helper()
	var out []Occupancy
	for o, err := range db.Occupancies(t.Context(), gw) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

func TestOccupanciesRoundTrip(t *testing.T) { onBoth(t, testOccupanciesRoundTrip) }

func testOccupanciesRoundTrip(t *testing.T) {
	dir := t.TempDir()
	db, ctx := openAt(t, dir), t.Context()
	room := "#a%libera@" + gw
	save := func(user, room, nick string, password secret.Text) {
		t.Helper()
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: user, Room: room, Nick: nick, Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	save(juli+"/phone", room, "jul", "key")
	save(juli+"/a/b c", room, "jul", "") // a resource may hold slashes
	save(juli+"/phone", "#b%libera@"+gw, "jul", "")
	save(romeo+"/r", room, "rom", "")
	if err := db.RemoveOccupancy(ctx, gw, romeo+"/r", room); err != nil {
		t.Fatal(err)
	}
	save(juli+"/phone", room, "jul2", "other") // the last word counts
	if err := db.RemoveOccupancy(ctx, gw, "nobody@x/y", room); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil { // writes what is queued
		t.Fatal(err)
	}
	db = openAt(t, dir)
	defer func() { _ = db.Close() }()
	got := occupancies(t, db)
	if len(got) != 3 {
		t.Fatalf("%d occupancies: %v", len(got), got)
	}
	if got[0].User != juli+"/a/b c" || got[2].User != juli+"/phone" {
		t.Errorf("order or resources: %v", got)
	}
	if o := got[1]; o.Room != room || o.Nick != "jul2" || o.Password != "other" || o.Since.IsZero() {
		t.Errorf("got %+v", o)
	}
	for _, bad := range []string{juli, "", "/r", juli + "/"} {
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: bad, Room: room}); err == nil {
			t.Errorf("%q was taken for a full JID", bad)
		}
		if err := db.RemoveOccupancy(ctx, gw, bad, room); err == nil {
			t.Errorf("%q was taken for a full JID", bad)
		}
	}
}

func TestOccupanciesWalkIsPaged(t *testing.T) { onBoth(t, testOccupanciesWalkIsPaged) }

func testOccupanciesWalkIsPaged(t *testing.T) {
	db, ctx := open(t), t.Context()
	const n = 2*pageSize + 7
	for i := range n {
		o := Occupancy{Gateway: gw, User: fmt.Sprintf("u%d@x/r%d", i%10, i%7), Room: fmt.Sprintf("#%d@%s", i, gw), Nick: "n"}
		if err := db.SaveOccupancy(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if got := occupancies(t, db); len(got) != n {
		t.Errorf("%d occupancies, want %d", len(got), n)
	}
}

// block keeps the store's writers out until the function it returns is called.
func block(db *DB) func() {
	db.writing <- struct{}{}
	return func() { <-db.writing }
}

func fillQueue(t *testing.T, db *DB, ctx context.Context) (accepted int, err error) {
	t.Helper()
	for i := range 4 * QueueLimit {
		err = db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: "u@x/r", Room: fmt.Sprint(i), Nick: "n"})
		if err != nil {
			return i, err
		}
	}
	t.Fatal("the queue has no bound")
	return 0, nil
}

func TestAFullQueueMakesCallersWait(t *testing.T) { onBoth(t, testAFullQueueMakesCallersWait) }

func testAFullQueueMakesCallersWait(t *testing.T) {
	db := open(t)
	release := block(db)
	released := false
	defer func() {
		if !released {
			release()
		}
	}()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	// A caller that cannot wait is refused at once.
	accepted, err := fillQueue(t, db, done)
	if !errors.Is(err, ErrBacklog) || !errors.Is(err, context.Canceled) {
		t.Fatalf("after %d: %v", accepted, err)
	}
	if accepted < QueueLimit || accepted > 2*QueueLimit { // the second is a batch under way
		t.Errorf("%d changes were taken, the limit is %d", accepted, QueueLimit)
	}
	// What is queued already may change.
	if err := db.SaveOccupancy(done, Occupancy{Gateway: gw, User: "u@x/r", Room: fmt.Sprint(accepted - 1), Nick: "new"}); err != nil {
		t.Errorf("a change of a queued row: %v", err)
	}
	// A caller that can wait gets in when there is room.
	waiting := make(chan error)
	go func() {
		waiting <- db.SaveOccupancy(t.Context(), Occupancy{Gateway: gw, User: "u@x/r", Room: "last", Nick: "n"})
	}()
	select {
	case err := <-waiting:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	released = true
	release()
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if got := occupancies(t, db); len(got) != accepted+1 {
		t.Errorf("%d rows, want %d: something that was taken is lost", len(got), accepted+1)
	}
	if n := db.Queued(); n != 0 {
		t.Errorf("%d are queued after everything was read", n)
	}
}

// failWrites makes every write fail as on a full disk, until the function it
// returns is called.
func failWrites(t *testing.T, db *DB) (heal func()) {
	t.Helper()
	var pages int
	if err := db.batch.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	set := func(n int) {
		release := block(db)
		defer release()
		for _, q := range []string{fmt.Sprintf("PRAGMA max_page_count = %d", n)} {
			if _, err := db.batch.Exec(q); err != nil {
				t.Error(err)
			}
			if _, err := db.durable.Exec(q); err != nil {
				t.Error(err)
			}
		}
	}
	set(pages)
	return func() { set(1 << 30) }
}

func TestAFullDiskLosesNothingThatWasQueued(t *testing.T) {
	db, ctx := open(t), t.Context()
	heal := failWrites(t, db)
	const n = 2000 // more than the free space of the pages there are
	for i := range n {
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: "u@x/r", Room: fmt.Sprint(i), Nick: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(ctx); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("flush on a full disk: %v", err)
	}
	// Beyond the bound callers are refused at once, with the reason.
	accepted, err := fillQueue(t, db, ctx)
	if !errors.Is(err, ErrBacklog) || !errors.Is(err, ErrDiskFull) {
		t.Fatalf("after %d: %v", accepted, err)
	}
	heal()
	for db.Flush(ctx) != nil { // the next try may be a failed one still on its way
	}
	if got := occupancies(t, db); len(got) < n || len(got) != max(n, accepted) {
		t.Errorf("%d rows, %d had been taken", len(got), max(n, accepted))
	}
}

func TestCloseTellsWhatItCouldNotWrite(t *testing.T) {
	db, ctx := openAt(t, t.TempDir()), t.Context()
	failWrites(t, db)
	for i := range 2000 {
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: "u@x/r", Room: fmt.Sprint(i), Nick: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); !errors.Is(err, ErrDiskFull) {
		t.Errorf("got %v", err)
	}
}

func TestDurableWriteOnAFullDisk(t *testing.T) {
	db, ctx := open(t), t.Context()
	heal := failWrites(t, db)
	var err error
	taken := 0
	for ; taken < 2000 && err == nil; taken++ {
		err = db.PutAccount(ctx, account(fmt.Sprintf("u%d@x", taken), "n"))
	}
	if !errors.Is(err, ErrDiskFull) {
		t.Fatalf("after %d accounts: %v", taken, err)
	}
	heal()
	if n, err := seqLen(db.Accounts(ctx, gw)); n != taken-1 || err != nil {
		t.Errorf("%d accounts, %d were taken (%v)", n, taken-1, err)
	}
}

// Who is in which room is told again to a database server that was killed and forgot it;
// not of a user who was deleted meanwhile.
func TestSeatsOverAKillOfTheServer(t *testing.T) {
	pg := ownPostgres(t)
	db := openOptions(t, Options{Postgres: secret.Text(pg.DSN()), KeyFile: filepath.Join(t.TempDir(), "key")})
	defer func() { _ = db.Close() }()
	sit := func(user, room string) {
		t.Helper()
		if err := errors.Join(db.SaveOccupancy(t.Context(), Occupancy{Gateway: gw, User: user + "/r", Room: room, Nick: "x", Since: time.Unix(5, 0)}), db.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		sit(juli, fmt.Sprint("#a", round))
		sit("gone@x", "#b")
		if err := db.DeleteUser(t.Context(), gw, "gone@x"); err != nil {
			t.Fatal(err)
		}
		sit(juli, fmt.Sprint("#c", round))
		pg.Kill9()
		if err := pg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for db.SetPreference(t.Context(), gw, juli, "back", "yes") != nil { // until it is held again
			time.Sleep(50 * time.Millisecond)
		}
		sit(juli, fmt.Sprint("#d", round))
		if err := db.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seats := map[string]int{}
	for o, err := range db.Occupancies(t.Context(), gw) {
		if err != nil {
			t.Fatal(err)
		}
		seats[o.User]++
	}
	if want := map[string]int{juli + "/r": 9}; !maps.Equal(seats, want) {
		t.Errorf("there are %v, not %v", seats, want)
	}
}

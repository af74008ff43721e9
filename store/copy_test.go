package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"transportd/archive"
)

// many is more rows than one transaction of a copy has.
const many = copyCommit + copyRows + 7

// fill stores something of everything.
func fill(t *testing.T, o Options) {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, user := range []string{juli, romeo} {
		a := account(user, "libera")
		a.Settings["odd"] = "\x00\xff'\"?$1"
		err = errors.Join(err, db.PutAccount(ctx, a), db.SetPreference(ctx, gw, user, "lang", "de ? ünï"),
			db.PutSubscription(ctx, Subscription{Gateway: gw, User: user, Address: gw, Sends: true}), db.SetOnline(ctx, gw, user, user == juli),
			db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: user + "/r", Room: "#a@" + gw, Nick: "x", Password: "pw", Since: time.Unix(5, 0)}),
			db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: user + "/r", Room: "#b@" + gw, Nick: "x", Since: time.Unix(6, 0)}))
	}
	if _, e := db.GatewayKey(ctx, gw, "k"); e != nil {
		err = errors.Join(err, e)
	}
	room := archive.Room{Gateway: gw, Network: "n", Room: "#r"}
	err = errors.Join(err, db.SaveUserRoom(ctx, UserRoom{Gateway: gw, User: juli, JID: "#r@" + gw, Persistent: true, Password: "room pw"}),
		db.WriteArchive(ctx, []archive.Op{
			&archive.Enter{Room: room, User: juli, JID: "#r@" + gw, At: 1},
			&archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: 2, Tie: 3}, Nick: "ünï", Body: "b", Extra: []byte("<x/>")}},
			&archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: 4}, Nick: "me", Body: "mine", Only: juli, Self: true}},
			&archive.AddPrivate{Gateway: gw, User: juli, Private: archive.Private{Key: archive.Key{At: 5}, Body: "p", NetID: "$p", Extra: []byte("<x/>"), Pending: true}},
			&archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: 6}, NetID: "$n", Body: "named"}, Named: true},
			&archive.SaveState{Gateway: gw, User: juli, Network: "libera", Changes: map[string][]byte{"token": []byte("t\x00"), "sealed/key": []byte("state s3cret"), "empty": {}}},
		}))
	// Somebody was there and is gone: the number is not given to another.
	err = errors.Join(err, db.WriteArchive(ctx, []archive.Op{&archive.Enter{Room: room, User: "gone@x", JID: "#r@" + gw, At: 1}}),
		db.DeleteUser(ctx, gw, "gone@x"))
	_, e := db.durable.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO preferences ("user", name, value) SELECT (SELECT id FROM users WHERE jid = ?), 'p' || i, 'v' FROM n`, many, romeo)
	if err := errors.Join(err, e, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// everything describes all a database holds, secrets opened.
func everything(t *testing.T, o Options) []string {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var out []string
	note := func(v any, err error) {
		if err != nil {
			t.Error(err)
		}
		out = append(out, fmt.Sprintf("%+v", v))
	}
	for u, err := range db.Users(t.Context(), gw) {
		note(u, err)
		p, err := db.Preferences(t.Context(), gw, u.JID)
		for _, name := range slices.Sorted(maps.Keys(p)) {
			note(name+"="+p[name], err)
		}
	}
	for a, err := range db.Accounts(t.Context(), gw) {
		note(a, err)
		note(fmt.Sprintf("%q", a.All()), nil)
	}
	for s, err := range db.Subscriptions(t.Context(), gw) {
		note(s, err)
	}
	for o, err := range db.Occupancies(t.Context(), gw) {
		note(o, err)
		note(o.Password.Reveal(), nil)
	}
	key, err := db.GatewayKey(t.Context(), gw, "k")
	note(key, err)
	rooms, err := db.UserRooms(t.Context(), gw, juli)
	note(rooms, err)
	for _, r := range rooms {
		note(r.Password.Reveal(), nil)
	}
	lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gw, User: juli, JID: "#r@" + gw, Limit: 10})
	note(lines, err)
	named, err := db.ArchiveByNetID(t.Context(), gw, juli, "#r@"+gw, []string{"$n"})
	note(named, err)
	pending, err := db.PendingPrivate(t.Context(), gw, juli, 10)
	note(pending, err)
	state, err := db.AccountState(t.Context(), gw, juli, "libera", "")
	note(state, err)
	return out
}

// bothOptions are a database of each kind with one key file.
func bothOptions(t *testing.T) (lite, pg Options) {
	t.Helper()
	lite = options(t, t.TempDir())
	return lite, Options{Postgres: schemaFor(t, shared.postgres(t), t.TempDir()), KeyFile: lite.KeyFile}
}

func TestCopyThereAndBack(t *testing.T) {
	lite, pg := bothOptions(t)
	fill(t, lite)
	want := everything(t, lite)
	if len(want) < many {
		t.Fatalf("only %d things", len(want))
	}
	back := Options{Path: options(t, t.TempDir()).Path, KeyFile: lite.KeyFile}
	for i, way := range [][2]Options{{lite, pg}, {pg, back}} {
		var last CopyProgress
		reports := 0
		counts, err := Copy(t.Context(), way[0], way[1], func(p CopyProgress) {
			if reports++; p.Table == last.Table && p.Done < last.Done || p.Done > p.Total {
				t.Errorf("%+v after %+v", p, last)
			}
			last = p
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(counts); got != fmt.Sprintf("[{users 2} {preferences %d} {accounts 2} {settings 10} {occupancies 4} {subscriptions 2} {gateway_keys 1} "+
			"{archives 1} {listeners 1} {visits 1} {views 1} {lines 3} {privates 1} {garbage %d} {user_rooms 1} {account_state 3} {line_names 1}]", many+2, i+1) {
			t.Errorf("counts %s", got)
		}
		if reports < many/copyReport {
			t.Errorf("only %d reports", reports)
		}
		if got := everything(t, way[1]); !slices.Equal(got, want) {
			t.Errorf("way %d: the copy holds something else", i)
			for j := range min(len(got), len(want)) {
				if got[j] != want[j] {
					t.Fatalf("%s\nis not\n%s", got[j], want[j])
				}
			}
		}
		// New rows get ids of their own.
		db, err := Open(t.Context(), way[1])
		if err != nil {
			t.Fatal(err)
		}
		var number int
		err = errors.Join(db.WriteArchive(t.Context(), []archive.Op{
			&archive.Enter{Room: archive.Room{Gateway: gw, Network: "n", Room: "#r"}, User: "new@x", JID: "#r@" + gw, At: 1}}),
			db.durable.QueryRow(`SELECT id FROM listeners WHERE "user" = (SELECT id FROM users WHERE jid = 'new@x')`).Scan(&number))
		if want := 3 + i; err != nil || number != want { // juliet is 1, who is gone was 2
			t.Errorf("way %d: a new listener is number %d, not %d (%v)", i, number, want, err)
		}
		if err := errors.Join(db.PutAccount(t.Context(), account("new@x", "n")), db.DeleteUser(t.Context(), gw, "new@x"), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestCopyRefusals(t *testing.T) {
	lite, pg := bothOptions(t)
	fill(t, lite)
	db, err := Open(t.Context(), lite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), lite, pg, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("from a database in use: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	missing := options(t, t.TempDir())
	if _, err := Copy(t.Context(), missing, pg, nil); !errors.Is(err, ErrCannotOpen) {
		t.Errorf("from nothing: %v", err)
	}
	if _, err := Copy(t.Context(), lite, pg, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), lite, pg, nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a database with something in it: %v", err)
	}
	if db, err = Open(t.Context(), pg); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := Copy(t.Context(), pg, missing, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("from a server's database in use: %v", err)
	}
}

func TestAnInterruptedCopyIsRefused(t *testing.T) { onBoth(t, testAnInterruptedCopyIsRefused) }

func testAnInterruptedCopyIsRefused(t *testing.T) {
	from := Options{Path: t.TempDir() + "/from.db", KeyFile: t.TempDir() + "/key"}
	fill(t, from)
	to := options(t, t.TempDir())
	to.KeyFile = from.KeyFile
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Copy(ctx, from, to, func(p CopyProgress) {
		if p.Table == "accounts" { // the tables before are in the target by now
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := Open(t.Context(), to); !errors.Is(err, ErrIncomplete) {
		t.Errorf("opened: %v", err)
	}
	if _, err := Copy(t.Context(), from, to, nil); !errors.Is(err, ErrIncomplete) {
		t.Errorf("copied again: %v", err)
	}
	if _, err := RotateKey(t.Context(), to, nil); !errors.Is(err, ErrIncomplete) {
		t.Errorf("rotated: %v", err)
	}
}

func TestEveryTableIsCopiedAndEverySealedColumnRotated(t *testing.T) {
	db := open(t)
	names, err := page(t.Context(), db, "tables", scanString,
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'meta' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	if listed := slices.Sorted(slices.Values(tables)); !slices.Equal(names, listed) {
		t.Errorf("there are the tables %v, listed are %v", names, listed)
	}
	blobs, err := page(t.Context(), db, "blobs", scanString,
		"SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.type = 'BLOB'")
	if err != nil || len(blobs) < 3 {
		t.Fatalf("%v, %v", blobs, err)
	}
	for _, b := range blobs {
		if b == "lines.extra" || b == "privates.extra" {
			continue // open, as the text beside it
		}
		if !slices.ContainsFunc(sealedColumns, func(c sealedColumn) bool { return c.table+"."+c.column == b }) {
			t.Errorf("%s is not sealed anew when the key is rotated", b)
		}
	}
}

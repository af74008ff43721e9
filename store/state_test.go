package store

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"transportd/archive"
)

// keep stores what a driver keeps of alice's account.
func keep(t *testing.T, db *DB, changes map[string][]byte) {
	t.Helper()
	writeArchive(t, db, &archive.SaveState{Gateway: gate, User: alice, Network: "net", Changes: changes})
}

// kept is what a driver keeps of it.
func kept(t *testing.T, db *DB, prefix string) map[string][]byte {
	t.Helper()
	got, err := db.AccountState(t.Context(), gate, alice, "net", prefix)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func register(t *testing.T, db *DB) {
	t.Helper()
	if err := db.PutAccount(t.Context(), Account{Gateway: gate, User: alice, Network: "net"}); err != nil {
		t.Fatal(err)
	}
}

func TestStateGoesWithTheAccount(t *testing.T) { onBoth(t, testStateGoesWithTheAccount) }

func testStateGoesWithTheAccount(t *testing.T) {
	db := open(t)
	none := func(when string) {
		t.Helper()
		if got := kept(t, db, ""); len(got) != 0 {
			t.Errorf("%s there is %v", when, got)
		}
		if n := count(t, db, "SELECT count(*) FROM account_state"); n != 0 {
			t.Errorf("%s %d rows are left", when, n)
		}
	}
	changes := map[string][]byte{"token": []byte("1"), "sealed/key": []byte("k")}
	keep(t, db, changes)
	none("without an account")
	if n := count(t, db, "SELECT count(*) FROM users"); n != 0 {
		t.Error("a user was made for it")
	}
	for name, remove := range map[string]func() error{
		"account": func() error { return db.DeleteAccount(t.Context(), gate, alice, "net") },
		"user":    func() error { return db.DeleteUser(t.Context(), gate, alice) },
	} {
		register(t, db)
		keep(t, db, changes)
		register(t, db) // anew, without removing it
		if got := kept(t, db, ""); !reflect.DeepEqual(got, changes) {
			t.Errorf("%s: kept are %q", name, got)
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		none("once the " + name + " is gone")
		keep(t, db, changes)
		none("for a " + name + " that is gone")
		register(t, db)
		none("for who comes after the " + name)
		if err := db.DeleteAccount(t.Context(), gate, alice, "net"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSealedState(t *testing.T) { onBoth(t, testSealedState) }

func testSealedState(t *testing.T) {
	db := open(t)
	register(t, db)
	keep(t, db, map[string][]byte{"sealed/a": []byte("hush"), "sealed/b": []byte("hush"), "open": []byte("loud")})
	values, err := page(t.Context(), db, "values", scanString, "SELECT value FROM account_state ORDER BY name")
	if err != nil || len(values) != 3 || values[0] != "loud" || bytes.Contains([]byte(values[1]+values[2]), []byte("hush")) || values[1] == values[2] {
		t.Errorf("stored are %q (%v)", values, err)
	}
	// One in another's place does not open; the others do.
	if _, err := db.durable.Exec("UPDATE account_state SET value = (SELECT value FROM account_state WHERE name = 'sealed/a') WHERE name = 'sealed/b'"); err != nil {
		t.Fatal(err)
	}
	got, err := db.AccountState(t.Context(), gate, alice, "net", "")
	if want := map[string][]byte{"sealed/a": []byte("hush"), "open": []byte("loud")}; !errors.Is(err, ErrSealBroken) || !reflect.DeepEqual(got, want) {
		t.Errorf("there is %q, %v", got, err)
	}
}

// Much state comes whole, and a part of it by its prefix.
func TestMuchState(t *testing.T) { onBoth(t, testMuchState) }

func testMuchState(t *testing.T) {
	db := open(t)
	register(t, db)
	changes := map[string][]byte{}
	for i := range 1000 {
		changes[fmt.Sprintf("room/%d", i)] = bytes.Repeat([]byte{byte(i)}, 2048)
	}
	for range 2 {
		keep(t, db, changes)
	}
	if got := kept(t, db, ""); !reflect.DeepEqual(got, changes) {
		t.Errorf("there are %d of %d", len(got), len(changes))
	}
	if got := kept(t, db, "room/99"); len(got) != 11 {
		t.Errorf("of that prefix there are %d", len(got))
	}
	gone := map[string][]byte{}
	for name := range changes {
		gone[name] = nil
	}
	gone["room/7"] = []byte("stays")
	keep(t, db, gone)
	if got := kept(t, db, ""); len(got) != 1 || string(got["room/7"]) != "stays" {
		t.Errorf("left are %q", got)
	}
}

// Names of lines go with the lines: with age, with who alone saw them, with the archive.
func TestNamesGoWithLines(t *testing.T) { onBoth(t, testNamesGoWithLines) }

func testNamesGoWithLines(t *testing.T) {
	db := open(t)
	own := archive.Room{Gateway: gate, Network: "net", Room: "#own", Owner: alice}
	now := time.Now()
	at := func(days int) int64 { return now.Add(-time.Duration(days) * 24 * time.Hour).UnixMicro() }
	named := func(room archive.Room, at int64, id, only string) archive.Op {
		return &archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: at, Tie: 1}, NetID: id, Body: "b", Only: only}, Named: true}
	}
	ops := []archive.Op{
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: at(100)}, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: at(100)},
		&archive.Enter{Room: own, User: alice, JID: "#own@gw", At: at(100)},
		named(lobbyRoom, at(5), "$all", ""), named(lobbyRoom, at(4), "$copies", alice), named(lobbyRoom, at(4)+1, "$copies", carol),
		named(own, at(3), "$own", ""), lineAt(at(60)-1, ""),
	}
	for i := range int64(1200) {
		ops = append(ops, named(lobbyRoom, at(60)+i, fmt.Sprint("$old", i), ""))
	}
	writeArchive(t, db, ops...)
	writeArchive(t, db, ops...)
	found := func(user, jid, id string, want int) {
		t.Helper()
		lines, err := db.ArchiveByNetID(t.Context(), gate, user, jid, []string{id, "$none"})
		if err != nil || len(lines) != want || want > 0 && lines[0].NetID != id {
			t.Errorf("%s finds %v as %s, %v", user, lines, id, err)
		}
	}
	names := func(want int) {
		t.Helper()
		if n := count(t, db, "SELECT count(*) FROM line_names"); n != want {
			t.Errorf("%d names are left, not %d", n, want)
		}
	}
	names(1204)
	for _, user := range []string{alice, carol} {
		found(user, lobby, "$all", 1)
		found(user, lobby, "$old7", 1)
		found(user, lobby, "$copies", 1)
	}
	found("dave@x", lobby, "$all", 0)
	found(alice, "#own@gw", "$own", 1)
	found(alice, "#own@gw", "$all", 0)
	if res, err := db.TrimArchive(t.Context(), TrimOptions{OlderThan: now.Add(-30 * 24 * time.Hour)}); err != nil || res.Lines != 1201 {
		t.Errorf("%+v %v", res, err)
	}
	names(4)
	found(alice, lobby, "$old7", 0)
	if err := db.DeleteUser(t.Context(), gate, alice); err != nil {
		t.Fatal(err)
	}
	if _, err := db.TrimArchive(t.Context(), TrimOptions{}); err != nil {
		t.Fatal(err)
	}
	names(2) // what carol sees
	found(carol, lobby, "$copies", 1)
	if err := db.ForgetArchive(t.Context(), gate, carol, lobby, nil); err != nil {
		t.Fatal(err)
	}
	names(1)
	if err := db.DeleteUser(t.Context(), gate, carol); err != nil {
		t.Fatal(err)
	}
	if res, err := db.TrimArchive(t.Context(), TrimOptions{}); err != nil || res.Archives != 1 {
		t.Errorf("%+v %v", res, err)
	}
	names(0)
}

func TestPrivateByID(t *testing.T) { onBoth(t, testPrivateByID) }

func testPrivateByID(t *testing.T) {
	db := open(t)
	add := func(at int64, peer, id, netid string) archive.Op {
		return &archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: at}, Peer: peer, ID: id, NetID: netid, Body: fmt.Sprint(at)}}
	}
	ops := []archive.Op{add(1, "bob", "a", "$1"), add(2, "bob", "b", ""), add(3, "eve", "a", "$1"), add(4, "bob", "a", "$4"), add(5, "bob", "", "")}
	for i := range int64(recentLines - 3) {
		ops = append(ops, add(10+i, "bob", "other", "$other"))
	}
	writeArchive(t, db, ops...)
	for _, c := range []struct {
		user, peer string
		ids        []string
		want       string
	}{
		{alice, "bob", []string{"a"}, "[4]"}, // the first is not among the last thousands
		{alice, "bob", []string{"$4"}, "[4]"},
		{alice, "bob", []string{"b"}, "[2]"},
		{alice, "bob", []string{"a", "$4", "nothing"}, "[4]"},
		{alice, "eve", []string{"$1"}, "[3]"},
		{carol, "eve", []string{"$1"}, "[]"},
		{alice, "bob", nil, "[]"},
	} {
		found, err := db.PrivateByID(t.Context(), gate, c.user, c.peer, c.ids)
		var at []int64
		for _, p := range found {
			at = append(at, p.At)
		}
		if got := fmt.Sprint(at); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

// Of what one batch changes of many accounts each keeps its own, as the last change left
// it, and nothing is kept of those that are not there.
func TestStateOfManyAccountsAtOnce(t *testing.T) { onBoth(t, testStateOfManyAccountsAtOnce) }

func testStateOfManyAccountsAtOnce(t *testing.T) {
	db := open(t)
	const accounts = 3*stateRows/2 + 1
	user := func(i int) string { return fmt.Sprintf("u%d@home.example", i) }
	for i := range accounts {
		if i%10 == 3 {
			continue
		}
		if err := db.PutAccount(t.Context(), Account{Gateway: gate, User: user(i), Network: "net"}); err != nil {
			t.Fatal(err)
		}
	}
	var ops []archive.Op
	for i := range accounts {
		save := func(changes map[string][]byte) {
			ops = append(ops, &archive.SaveState{Gateway: gate, User: user(i), Network: "net", Changes: changes})
		}
		save(map[string][]byte{"sync": []byte("1"), "gone": []byte("x"), "sealed/key": []byte(user(i))})
		save(map[string][]byte{"sync": []byte("2"), "gone": nil, "back": nil})
		save(map[string][]byte{"sync": []byte("3"), "back": []byte("y")})
	}
	writeArchive(t, db, ops...)
	for i := range accounts {
		got, err := db.AccountState(t.Context(), gate, user(i), "net", "")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{"sync": []byte("3"), "back": []byte("y"), "sealed/key": []byte(user(i))}
		if i%10 == 3 {
			want = map[string][]byte{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s has %q, not %q", user(i), got, want)
		}
	}
}

package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

const (
	gate  = "gw.example"
	alice = "alice@home.example"
	carol = "carol@home.example"
	lobby = "#room%net@gw.example"
)

var lobbyRoom = archive.Room{Gateway: gate, Network: "net", Room: "#room"}

func writeArchive(t testing.TB, db *DB, ops ...archive.Op) {
	t.Helper()
	if err := db.WriteArchive(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
}

// chaos makes changes at random, of all kinds, among a few users and rooms.
type chaos struct {
	*rand.Rand
	users []string
	rooms []archive.Room
	keys  []archive.Key
	at    int64
}

func newChaos(seed uint64) *chaos {
	return &chaos{
		Rand: rand.New(rand.NewPCG(seed, 1)), users: []string{alice, carol, "dave@home.example"}, at: 1_000_000,
		rooms: []archive.Room{lobbyRoom, {Gateway: gate, Network: "net", Room: "#other"}, {Gateway: gate, Network: "net", Room: "#room", Owner: alice}},
	}
}

func pick[T any](c *chaos, list []T) T { return list[c.IntN(len(list))] }

func (c *chaos) op() archive.Op {
	c.at += c.Int64N(5)
	room := pick(c, c.rooms)
	user := pick(c, c.users)
	if room.Owner != "" {
		user = room.Owner
	}
	switch n := c.IntN(20); {
	case n < 10 || len(c.keys) == 0:
		l := archive.Line{Key: archive.Key{At: c.at, Tie: c.Uint32()}, Nick: pick(c, []string{"Bob", "eve"}), Body: pick(c, []string{"", fmt.Sprint("line ", c.at), fmt.Sprint("line ", c.at)}),
			ID: pick(c, []string{"", "id" + fmt.Sprint(c.IntN(5))}), NetID: pick(c, []string{"", "n"}), Occupant: pick(c, []string{"", "o"}),
			Extra: pick(c, [][]byte{nil, []byte("<x/>")})}
		if room.Owner == "" {
			switch c.IntN(4) {
			case 0:
				l.Only, l.Self = user, c.IntN(2) == 0
			case 1:
				l.Except = user
			}
		}
		if c.IntN(6) == 0 { // put in place
			l.At -= c.Int64N(100)
		}
		if !l.Self { // those are never restricted
			c.keys = append(c.keys, l.Key)
		}
		named := c.IntN(3) == 0
		if named {
			l.NetID = fmt.Sprint("$", c.IntN(40))
		}
		return &archive.AddLine{Room: room, Line: l, Named: named}
	case n < 13:
		c.at++ // nobody comes in the moment they go
		return &archive.Enter{Room: room, User: user, JID: room.Room + "@gw", At: c.at}
	case n < 16:
		c.at++
		return &archive.Leave{Room: room, User: user, At: c.at}
	case n < 18:
		if room.Owner != "" {
			c.at++
			return &archive.Enter{Room: room, User: user, JID: room.Room + "@gw", At: c.at}
		}
		return &archive.Restrict{Room: room, Key: pick(c, c.keys), Only: pick(c, []string{"", user})}
	}
	switch c.IntN(4) {
	case 0:
		return &archive.Amend{Room: room, Key: pick(c, c.keys), Retracted: c.at}
	case 1:
		return &archive.AddPrivate{Gateway: gate, User: user, Private: archive.Private{Key: archive.Key{At: c.at, Tie: c.Uint32()}, Peer: pick(c, []string{"bob", "eve"}),
			ID: fmt.Sprint("id", c.IntN(5)), NetID: pick(c, []string{"", "$1", "$2"}), Extra: pick(c, [][]byte{nil, []byte("<y/>")}), Body: "b", Out: c.IntN(2) == 0, Pending: c.IntN(2) == 0}}
	case 2:
		changes := map[string][]byte{}
		for range c.IntN(5) {
			changes[pick(c, stateNames)] = pick(c, [][]byte{nil, {}, []byte("x"), []byte(fmt.Sprint(c.at))})
		}
		return &archive.SaveState{Gateway: gate, User: user, Network: "net", Changes: changes}
	}
	return &archive.Amend{Room: room, Key: pick(c, c.keys), Body: "edited", Edited: c.at}
}

// stateNames are some of what a driver keeps, and prefixes of them.
var stateNames = []string{"a", "a/1", "a/2", "ab", "sealed/k", "sealed/l", "\uD7FF", "\uD7FFx", "\uE000", "\U0010FFFF", "\U0010FFFFx"}

func (c *chaos) query() archive.Query {
	q := archive.Query{Gateway: gate, User: pick(c, c.users), JID: pick(c, c.rooms).Room + "@gw", Limit: 1 + c.IntN(40), Last: c.IntN(2) == 0}
	key := func() archive.Key {
		k := pick(c, c.keys)
		if c.IntN(3) == 0 {
			k.Tie++ // of no line
		}
		return k
	}
	for _, set := range []func(){
		func() { q.After = key() }, func() { q.Before = key() }, func() { q.From = key().At }, func() { q.To = key().At },
		func() { q.Nick = "bob" }, func() { q.Self = true }, func() { q.Occupant = "o" }, func() { q.NoBody = true },
	} {
		if c.IntN(5) == 0 {
			set()
		}
	}
	return q
}

// Whatever happens in whatever order, and however often a batch is repeated, the
// database shows what a simple model shows.
func TestArchiveAgainstModel(t *testing.T) { onBoth(t, testArchiveAgainstModel) }

func testArchiveAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			db, model, c := open(t), archivetest.NewModel(), newChaos(seed)
			var first []archive.Op // everybody was everywhere once
			for _, user := range c.users {
				for _, room := range c.rooms {
					if room.Owner == "" || room.Owner == user {
						first = append(first, &archive.Enter{Room: room, User: user, JID: room.Room + "@gw", At: 1}, &archive.Leave{Room: room, User: user, At: 2})
					}
				}
			}
			writeArchive(t, db, first...)
			if err := model.WriteArchive(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			for _, user := range c.users {
				if err := db.PutAccount(t.Context(), Account{Gateway: gate, User: user, Network: "net"}); err != nil {
					t.Fatal(err)
				}
			}
			for range 25 {
				ops := make([]archive.Op, 1+c.IntN(200))
				for i := range ops {
					ops[i] = c.op()
				}
				for range 1 + c.IntN(2) { // a killed process repeats
					writeArchive(t, db, ops...)
				}
				if err := model.WriteArchive(t.Context(), ops); err != nil {
					t.Fatal(err)
				}
				for range 20 {
					compareQuery(t, db, model, c.query())
				}
				user, jid := pick(c, c.users), pick(c, c.rooms).Room+"@gw"
				keys := []archive.Key{pick(c, c.keys), pick(c, c.keys)}
				got, err := db.ArchiveByKey(t.Context(), gate, user, jid, keys)
				want, _ := model.ArchiveByKey(t.Context(), gate, user, jid, keys)
				if err != nil || !sameLines(got, want) {
					t.Fatalf("by key %v: %v, %v, not %v", keys, got, err, want)
				}
				compareNames(t, db, model, c, user, jid)
			}
		})
	}
}

// compareNames asks for what is found by name.
func compareNames(t *testing.T, db *DB, model *archivetest.Model, c *chaos, user, jid string) {
	t.Helper()
	ids := []string{fmt.Sprint("$", c.IntN(40)), fmt.Sprint("$", c.IntN(40)), "n"}
	got, err := db.ArchiveByNetID(t.Context(), gate, user, jid, ids)
	want, _ := model.ArchiveByNetID(t.Context(), gate, user, jid, ids)
	for _, list := range [][]archive.Line{got, want} {
		slices.SortFunc(list, func(a, b archive.Line) int { return a.Compare(b.Key) })
	}
	if err != nil || !sameLines(slices.CompactFunc(got, func(a, b archive.Line) bool { return a.Key == b.Key }), want) {
		t.Fatalf("by network id %v: %v, %v, not %v", ids, got, err, want)
	}
	ids = []string{fmt.Sprint("id", c.IntN(5)), "$1"}
	one, err := db.PrivateByID(t.Context(), gate, user, "bob", ids)
	if other, _ := model.PrivateByID(t.Context(), gate, user, "bob", ids); err != nil || !slices.EqualFunc(one, other, func(a, b archive.Private) bool { return reflect.DeepEqual(a, b) }) {
		t.Fatalf("one-to-one %v: %v, %v, not %v", ids, one, err, other)
	}
	for _, prefix := range append(stateNames, "") {
		one, err := db.AccountState(t.Context(), gate, user, "net", prefix)
		if other, _ := model.AccountState(t.Context(), gate, user, "net", prefix); err != nil || !reflect.DeepEqual(one, other) {
			t.Fatalf("state %q: %q, %v, not %q", prefix, one, err, other)
		}
	}
}

// sameLines compares but for whom a line is for, of which a reader is not told.
func sameLines(a, b []archive.Line) bool {
	return slices.EqualFunc(a, b, func(x, y archive.Line) bool {
		x.Only, x.Except, y.Only, y.Except = "", "", "", ""
		return reflect.DeepEqual(x, y)
	})
}

func compareQuery(t *testing.T, db *DB, model *archivetest.Model, q archive.Query) {
	t.Helper()
	got, more, err := db.ArchiveLines(t.Context(), &q)
	if err != nil {
		t.Fatal(err)
	}
	want, wantMore, _ := model.ArchiveLines(t.Context(), &q)
	if !sameLines(got, want) || more != wantMore {
		t.Fatalf("%+v:\n%v %v\nnot\n%v %v", q, got, more, want, wantMore)
	}
	n, err := db.ArchiveCount(t.Context(), &q)
	if wantN, _ := model.ArchiveCount(t.Context(), &q); err != nil || n != wantN {
		t.Fatalf("%+v: counted %d, not %d (%v)", q, n, wantN, err)
	}
}

func TestPrivateLines(t *testing.T) { onBoth(t, testPrivateLines) }

func testPrivateLines(t *testing.T) {
	db := open(t)
	add := func(at int64, pending bool) *archive.AddPrivate {
		return &archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: at, Tie: 1}, Peer: "bob%net@gw", Nick: "bob", Via: "v", ID: "i", Body: "b", Pending: pending}}
	}
	writeArchive(t, db, add(3, true), add(1, true), add(2, false), add(3, true))
	pending := func(limit int) (at []int64) {
		lines, err := db.PendingPrivate(t.Context(), gate, alice, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range lines {
			if want := add(p.At, true).Private; !reflect.DeepEqual(p, want) {
				t.Errorf("%+v, not %+v", p, want)
			}
			at = append(at, p.At)
		}
		return at
	}
	if got := pending(10); !slices.Equal(got, []int64{1, 3}) {
		t.Errorf("pending are %v", got)
	}
	if got := pending(1); !slices.Equal(got, []int64{1}) {
		t.Errorf("one of them is %v", got)
	}
	writeArchive(t, db, &archive.SettlePrivate{Gateway: gate, User: alice, Key: archive.Key{At: 1, Tie: 1}}, &archive.SettlePrivate{Gateway: gate, User: alice, Key: archive.Key{At: 2, Tie: 1}, Again: true})
	if got := pending(10); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("pending are %v", got)
	}
	if users, err := db.PendingUsers(t.Context(), gate); err != nil || !slices.Equal(users, []string{alice}) {
		t.Errorf("users with pending lines: %v %v", users, err)
	}
	if users, _ := db.PendingUsers(t.Context(), "other.example"); len(users) != 0 {
		t.Errorf("of another gateway: %v", users)
	}
}

func lineAt(at int64, only string) *archive.AddLine {
	return &archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: at}, Nick: "bob", Body: "b", Only: only}}
}

func count(t *testing.T, db *DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.read.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// testVisitsAheadOfTheClock: the clock was set back before the process began.
func testVisitsAheadOfTheClock(t *testing.T) {
	db := open(t)
	other, quiet := lobbyRoom, lobbyRoom
	other.Gateway, quiet.Room = "other.example", "#quiet"
	own := archive.Room{Gateway: gate, Network: "net", Room: "#own", Owner: alice}
	old := archive.Room{Gateway: gate, Network: "net", Room: "#old"}
	writeArchive(t, db,
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 50}, lineAt(55, ""),
		&archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 60},
		&archive.Enter{Room: other, User: alice, JID: lobby, At: 50},
		&archive.Enter{Room: quiet, User: alice, JID: "#quiet@gw", At: 70},
		&archive.Enter{Room: own, User: alice, JID: "#own@gw", At: 5}, &archive.AddLine{Room: own, Line: archive.Line{Key: archive.Key{At: 80}}},
		&archive.Enter{Room: old, User: alice, JID: "#old@gw", At: 5}, &archive.Leave{Room: old, User: alice, At: 9})
	if err := db.CloseVisits(t.Context(), gate, time.UnixMicro(20)); err != nil {
		t.Fatal(err)
	}
	ends, err := page(t.Context(), db, "visits", scanString, `SELECT network || room || ' ' || since || ' ' || coalesce(until, 0) FROM visits
		JOIN archives ON archives.id = archive WHERE gateway = ? ORDER BY room, since`, gate)
	if want := []string{"net#old 5 9", "net#own 5 81", "net#quiet 70 71", "net#room 50 56", "net#room 60 61"}; err != nil || !slices.Equal(ends, want) {
		t.Errorf("visits are %q, %v", ends, err)
	}
	ahead, err := db.ArchivesAhead(t.Context(), gate, 20)
	if want := (map[archive.Room]int64{lobbyRoom: 61, quiet: 71, own: 81}); err != nil || !reflect.DeepEqual(ahead, want) {
		t.Errorf("ahead are %v, %v", ahead, err)
	}
	if ahead, err := db.ArchivesAhead(t.Context(), gate, 100); err != nil || len(ahead) != 0 {
		t.Errorf("ahead of all are %v, %v", ahead, err)
	}
}

func TestVisitsEndWithTheProcess(t *testing.T) { onBoth(t, testVisitsEndWithTheProcess) }

func testVisitsEndWithTheProcess(t *testing.T) {
	testVisitsAheadOfTheClock(t)

	db := open(t)
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 10}, lineAt(15, ""))
	if err := db.CloseVisits(t.Context(), gate, time.UnixMicro(20)); err != nil {
		t.Fatal(err)
	}
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 30}, lineAt(35, ""))
	lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: alice, JID: lobby, Limit: 10})
	if err != nil || len(lines) != 1 || lines[0].At != 15 {
		t.Errorf("%v %v", lines, err)
	}
	if room, ok, err := db.ArchiveRoom(t.Context(), gate, alice, lobby); err != nil || !ok || room != lobbyRoom {
		t.Errorf("the room is %v %v %v", room, ok, err)
	}
	if _, ok, err := db.ArchiveRoom(t.Context(), gate, "dave@x", lobby); err != nil || ok {
		t.Errorf("of a stranger: %v %v", ok, err)
	}
}

// A user who is gone leaves nothing behind, and one who comes later under the same
// address inherits nothing.
func TestDeletedUserLeavesNothing(t *testing.T) { onBoth(t, testDeletedUserLeavesNothing) }

func testDeletedUserLeavesNothing(t *testing.T) {
	db := open(t)
	own := lobbyRoom
	own.Owner = alice
	fill := func() {
		writeArchive(t, db,
			&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 1},
			&archive.Enter{Room: own, User: alice, JID: "#own@gw", At: 1},
			lineAt(5, ""), lineAt(6, alice), lineAt(7, carol),
			&archive.AddLine{Room: own, Line: archive.Line{Key: archive.Key{At: 5}, Body: "own"}},
			&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: 1}}})
	}
	fill()
	if err := db.DeleteUser(t.Context(), gate, alice); err != nil {
		t.Fatal(err)
	}
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 100})
	lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: alice, JID: lobby, Limit: 10})
	if err != nil || len(lines) != 0 {
		t.Errorf("who comes later sees %v %v", lines, err)
	}
	res, err := db.TrimArchive(t.Context(), TrimOptions{})
	if err != nil || res.Lines != 2 || res.Archives != 1 {
		t.Errorf("trimmed: %+v %v", res, err)
	}
	if n := count(t, db, "SELECT count(*) FROM lines"); n != 2 { // the lobbyRoom one and carol's
		t.Errorf("%d lines are left", n)
	}
	if n := count(t, db, "SELECT count(*) FROM privates") + count(t, db, "SELECT count(*) FROM garbage"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	fill() // also with numbers remembered from before
}

func TestForgetArchive(t *testing.T) { onBoth(t, testForgetArchive) }

func testForgetArchive(t *testing.T) {
	db := open(t)
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 1},
		lineAt(5, ""), lineAt(6, alice))
	if err := db.ForgetArchive(t.Context(), gate, alice, lobby, nil); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second).UnixMicro()
	writeArchive(t, db, lineAt(later, ""), lineAt(later+1, alice))
	if _, err := db.TrimArchive(t.Context(), TrimOptions{}); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{alice: 2, carol: 2} {
		lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: user, JID: lobby, Limit: 10})
		if err != nil || len(lines) != want {
			t.Errorf("%s sees %v %v", user, lines, err)
		}
	}
}

func TestTrimByAge(t *testing.T) { onBoth(t, testTrimByAge) }

func testTrimByAge(t *testing.T) {
	db := open(t)
	now := time.Now()
	day := func(n int) int64 { return now.Add(-time.Duration(n) * 24 * time.Hour).UnixMicro() }
	ops := []archive.Op{
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: day(100)}, &archive.Leave{Room: lobbyRoom, User: alice, At: day(50)},
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: day(20)},
		&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: day(90)}}},
		&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: day(12)}, Pending: true}},
		&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: day(1)}}},
	}
	for i := range 1200 {
		ops = append(ops, lineAt(day(60)+int64(i), ""))
	}
	ops = append(ops, lineAt(day(5), ""))
	writeArchive(t, db, ops...)
	res, err := db.TrimArchive(t.Context(), TrimOptions{OlderThan: now.Add(-10 * 24 * time.Hour)})
	if err != nil || res.Lines != 1200 || res.Privates != 1 {
		t.Errorf("%+v %v", res, err)
	}
	if n := count(t, db, "SELECT count(*) FROM visits"); n != 1 {
		t.Errorf("%d visits are left", n)
	}
	if lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: alice, JID: lobby, Limit: 10}); err != nil || len(lines) != 1 {
		t.Errorf("%v %v", lines, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.TrimArchive(ctx, TrimOptions{OlderThan: now}); err == nil {
		t.Error("it goes on after it was told to stop")
	}
}

// The oldest lines of all rooms go first, and the file gets smaller.
func TestTrimBySize(t *testing.T) { onBoth(t, testTrimBySize) }

func testTrimBySize(t *testing.T) {
	db := open(t)
	other := archive.Room{Gateway: gate, Network: "net", Room: "#other"}
	body := fmt.Sprintf("%0400d", 7)
	const each = 4000
	for i := 0; i < each; i += 500 {
		var ops []archive.Op
		for j := i; j < i+500; j++ {
			for k, room := range []archive.Room{lobbyRoom, other} {
				ops = append(ops, &archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: int64(2*j + k)}, Body: body}})
			}
		}
		writeArchive(t, db, ops...)
	}
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}, &archive.Enter{Room: other, User: alice, JID: "#other@gw", At: 1})
	before, err := db.ArchiveSize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	limit := before / 2
	res, err := db.TrimArchive(t.Context(), TrimOptions{MaxBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	after, err := db.ArchiveSize(t.Context())
	if err != nil || after > limit || after < limit*3/4 {
		t.Errorf("%d bytes became %d, allowed are %d (%+v, %v)", before, after, limit, res, err)
	}
	a := count(t, db, "SELECT min(at) FROM lines WHERE archive = (SELECT id FROM archives WHERE room = '#room')")
	b := count(t, db, "SELECT min(at) FROM lines WHERE archive = (SELECT id FROM archives WHERE room = '#other')")
	if d := a - b; d < -1 || d > 1 {
		t.Errorf("the rooms begin at %d and %d", a, b)
	}
	if onPostgres(t) {
		return
	}
	if free := count(t, db, "PRAGMA freelist_count"); free > 300 {
		t.Errorf("%d free pages were not given back", free)
	}
}

// Who comes in while archives that nobody sees are removed is recorded, and finds
// what was said.
func TestComingInWhileTrimming(t *testing.T) { onBoth(t, testComingInWhileTrimming) }

func testComingInWhileTrimming(t *testing.T) {
	db := open(t)
	writeArchive(t, db, lineAt(5, ""))
	tr := trim{db: db, ctx: t.Context(), pool: db.batch}
	if err := tr.empty(); err != nil || tr.result.Archives != 1 {
		t.Fatal(tr.result, err)
	}
	enter := &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}
	writeArchive(t, db, enter, lineAt(6, ""))                                              // gone, and the trim is not over
	if err := tr.unseen(int64(count(t, db, "SELECT max(id) FROM archives"))); err != nil { // still there, and was found unseen before
		t.Fatal(err)
	}
	lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: alice, JID: lobby, Limit: 10})
	if err != nil || len(lines) != 1 {
		t.Errorf("alice sees %v %v", lines, err)
	}
}

// A user who is deleted leaves rooms, and the archive hears of it afterwards: that
// does not bring them back.
func TestDeletedUserStaysDeleted(t *testing.T) { onBoth(t, testDeletedUserStaysDeleted) }

func testDeletedUserStaysDeleted(t *testing.T) {
	db := open(t)
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1},
		&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: 1}, Pending: true}})
	if err := db.DeleteUser(t.Context(), gate, alice); err != nil {
		t.Fatal(err)
	}
	writeArchive(t, db, &archive.Leave{Room: lobbyRoom, User: alice, At: 9},
		lineAt(5, ""), &archive.Restrict{Room: lobbyRoom, Key: archive.Key{At: 5}, Only: alice},
		lineAt(6, ""), &archive.Restrict{Room: lobbyRoom, Key: archive.Key{At: 6}, Except: alice},
		&archive.SettlePrivate{Gateway: gate, User: alice, Key: archive.Key{At: 1}})
	if n := count(t, db, "SELECT count(*) FROM users") + count(t, db, "SELECT count(*) FROM listeners"); n != 0 {
		t.Errorf("%d rows of a deleted user came back", n)
	}
	if n := count(t, db, "SELECT count(*) FROM lines"); n != 1 {
		t.Errorf("of a line that was the user's alone and one of the others there are %d", n)
	}
}

// What a transaction has found is not remembered where it was deleted before that.
func TestNumbersDeletedMeanwhile(t *testing.T) {
	var ids archiveIDs
	w := &archiveWrite{age: ids.age(), archives: map[archive.Room]int64{lobbyRoom: 7}}
	ids.forget()
	ids.learn(w)
	if id := ids.archive(lobbyRoom); id != 0 {
		t.Errorf("a deleted archive is remembered as %d", id)
	}
	w.age = ids.age()
	ids.learn(w)
	if id := ids.archive(lobbyRoom); id != 7 {
		t.Errorf("an archive is remembered as %d", id)
	}
}

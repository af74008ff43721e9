package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"transportd/archive"
)

// exported are the records of a user as JSON, a line each.
func exported(t *testing.T, o Options, gateway, user string) (out []string) {
	t.Helper()
	for r, err := range Export(t.Context(), o, gateway, user) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func TestExport(t *testing.T) { onBoth(t, testExport) }

func testExport(t *testing.T) {
	o := options(t, t.TempDir())
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx, no := t.Context(), false
	own := archive.Room{Gateway: gate, Network: "net", Room: "#own", Owner: alice}
	for _, user := range []string{alice, carol} {
		a := account(user, "libera")
		a.Gateway = gate
		err = errors.Join(err, db.PutAccount(ctx, a), db.SetPreference(ctx, gate, user, "lang", "de"),
			db.PutSubscription(ctx, Subscription{Gateway: gate, User: user, Address: "bob%net@" + gate, Sends: true}),
			db.SaveOccupancy(ctx, Occupancy{Gateway: gate, User: user + "/r", Room: lobby, Nick: "x", Password: "hunter2", Since: time.Unix(5, 0)}),
			db.SaveUserRoom(ctx, UserRoom{Gateway: gate, User: user, JID: lobby, Record: &no, Persistent: true, Nick: "al", Password: "hunter2"}))
	}
	if err := errors.Join(err, db.Flush(ctx), db.SetPreference(ctx, "other.example", alice, "lang", "en")); err != nil {
		t.Fatal(err)
	}
	writeArchive(t, db,
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 10}, &archive.Leave{Room: lobbyRoom, User: alice, At: 20},
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 30}, &archive.Enter{Room: lobbyRoom, User: alice, JID: "other" + lobby, At: 30},
		&archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 1},
		&archive.Enter{Room: own, User: alice, JID: "#own%net@" + gate, At: 1},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: 5}, Body: "before"}},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: 15}, Body: "heard"}},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: 25}, Body: "away"}},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: 35}, Body: "to carol", Only: carol}},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: 36}, Body: "kept from alice", Except: alice}},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: 37}, Body: "mine", Only: alice, Self: true, ID: "m1", Extra: []byte("<x/>")}},
		&archive.AddLine{Room: own, Line: archive.Line{Key: archive.Key{At: 40}, Body: "owned"}},
		&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: 50}, Peer: "bob%net@" + gate, Body: "psst", NetID: "$psst", Pending: true}},
		&archive.SaveState{Gateway: gate, User: alice, Network: "libera", Changes: map[string][]byte{"of the driver": []byte("kept token"), "sealed/key": []byte("kept key")}},
		&archive.AddPrivate{Gateway: gate, User: carol, Private: archive.Private{Key: archive.Key{At: 51}, Peer: "bob%net@" + gate, Body: "hey carol"}})

	got := exported(t, o, gate, alice) // the database is in use all the while
	all := strings.Join(got, "\n")
	kinds := map[string]int{}
	for _, line := range got {
		var r struct{ Kind, Gateway string }
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Gateway != gate {
			t.Errorf("%s: %v", line, err)
		}
		kinds[r.Kind]++
	}
	want := map[string]int{"user": 1, "preference": 1, "account": 1, "setting": 4, "subscription": 1, "occupancy": 1,
		"room": 1, "visit": 3, "line": 3, "private": 1}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("there are %v, want %v\n%s", kinds, want, all)
	}
	for _, s := range []string{
		`{"kind":"line","gateway":"gw.example","data":{"room":"#room%net@gw.example","id":"` + (archive.Key{At: 37}).String() +
			`","time":"1970-01-01T00:00:00.000037Z","nick":"","self":true,"body":"mine","message_id":"m1","extra":"\u003cx/\u003e"}}`,
		`"body":"heard"`, `"body":"owned"`, `"body":"psst","network_id":"$psst"`,
		`"data":{"network":"libera","name":"nick","value":"jul"}`, `"data":{"network":"libera","name":"password","secret":true}`,
		`"record":false,"persistent":true,"nick":"al","password":true`,
		`"since":"1970-01-01T00:00:00.00001Z","until":"1970-01-01T00:00:00.00002Z"`, `"since":"1970-01-01T00:00:00.00003Z","until":null`,
	} {
		if !strings.Contains(all, s) {
			t.Errorf("there is no %s in\n%s", s, all)
		}
	}
	for _, s := range []string{"before", "away", "from alice", "carol", "hunter2", "s3cret", "of the driver", "kept"} {
		if strings.Contains(all, s) {
			t.Errorf("there is %q in\n%s", s, all)
		}
	}
	if n := len(exported(t, o, "", alice)); n != len(got)+2 {
		t.Errorf("at both gateways there are %d records, at one %d", n, len(got))
	}
	for _, err := range Export(ctx, o, gate, "nobody@x") {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("of nobody: %v", err)
		}
	}
	told := 0
	for range Export(ctx, o, gate, alice) { // a reader that has enough is asked no more
		if told++; told == 5 {
			break
		}
	}
}

// More than a page of everything that has pages comes once and in order.
func TestExportOfManyPages(t *testing.T) { onBoth(t, testExportOfManyPages) }

func testExportOfManyPages(t *testing.T) {
	o := options(t, t.TempDir())
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const n = 2*pageSize + 3
	var ops []archive.Op
	for i := range int64(n) {
		line := lineAt(10*i+1, "")
		if i%3 == 0 {
			line = lineAt(10*i+1, alice)
		}
		ops = append(ops, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 10 * i}, line, &archive.Leave{Room: lobbyRoom, User: alice, At: 10*i + 5},
			&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: i / 2, Tie: uint32(i)}}})
	}
	writeArchive(t, db, ops...)
	counts, last := map[string]int{}, map[string]string{}
	for r, err := range Export(t.Context(), o, gate, alice) {
		if err != nil {
			t.Fatal(err)
		}
		key := ""
		switch d := r.Data.(type) {
		case ExportedLine:
			key = d.ID
		case ExportedPrivate:
			key = d.ID
		case ExportedVisit:
			key = d.Since.Format("15:04:05.000000")
		}
		if key != "" && key <= last[r.Kind] {
			t.Errorf("%s %s after %s", r.Kind, key, last[r.Kind])
		}
		last[r.Kind] = key
		counts[r.Kind]++
	}
	if want := map[string]int{"user": 1, "visit": n, "line": n, "private": n}; fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("there are %v, want %v", counts, want)
	}
}

func TestExportMakesNoDatabase(t *testing.T) {
	o := options(t, t.TempDir())
	for _, err := range Export(t.Context(), o, gate, alice) {
		if !errors.Is(err, ErrCannotOpen) {
			t.Errorf("got %v", err)
		}
	}
}

package store

import (
	"fmt"
	"strings"
	"testing"

	"transportd/archive"
)

// What reads or deletes lines, names, state and one-to-one lines goes through an index,
// however many there are.
func TestPlans(t *testing.T) { onBoth(t, testPlans) }

func testPlans(t *testing.T) {
	db := open(t)
	register(t, db)
	var ops []archive.Op
	ops = append(ops, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1})
	for i := range int64(5000) {
		ops = append(ops, &archive.AddLine{Room: lobbyRoom, Named: true, Line: archive.Line{Key: archive.Key{At: 10 + i}, NetID: fmt.Sprint("$", i)}},
			&archive.AddPrivate{Gateway: gate, User: alice, Private: archive.Private{Key: archive.Key{At: i}, Peer: fmt.Sprint("p", i%1000), ID: "i"}})
	}
	changes := map[string][]byte{}
	for i := range 5000 {
		changes[fmt.Sprintf("room/%d", i)] = []byte("x")
	}
	writeArchive(t, db, append(ops, &archive.SaveState{Gateway: gate, User: alice, Network: "net", Changes: changes})...)
	if _, err := db.durable.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
	const these = " WHERE (archive, at, tie) IN (SELECT archive, at, tie FROM lines WHERE archive = 1 AND at < 300 ORDER BY archive, at, tie LIMIT 500)"
	explain := "EXPLAIN QUERY PLAN "
	if onPostgres(t) { // of so few rows it would rather read all
		execAll(t, db.durable, "SET enable_seqscan = off", "SET enable_hashjoin = off")
		explain = "EXPLAIN "
	}
	for _, c := range []struct{ query, scan string }{
		{"DELETE FROM line_names" + these, "line_names"},
		{"DELETE FROM lines" + these, "lines"},
		{"SELECT at, tie FROM line_names WHERE archive = 1 AND netid = '$7'", "line_names"},
		{"SELECT name FROM account_state WHERE account = 1 AND name >= 'room/1' AND name < 'room/2'", "account_state"},
		{"SELECT body FROM privates WHERE listener = 1 AND peer = 'p7' ORDER BY at DESC, tie DESC LIMIT 2000", "privates"},
	} {
		rows, err := db.durable.Query(explain + c.query)
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := rows.Columns()
		var plan []string
		for rows.Next() {
			row := make([]any, len(columns))
			for i := range row {
				row[i] = new(any)
			}
			if err := rows.Scan(row...); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, fmt.Sprint(*row[len(row)-1].(*any)))
		}
		_ = rows.Close()
		all := strings.Join(plan, "\n")
		if strings.Contains(all, "Seq Scan on "+c.scan+" ") || strings.Contains(all, "SCAN "+c.scan) {
			t.Errorf("%s\n%s", c.query, all)
		}
	}
}

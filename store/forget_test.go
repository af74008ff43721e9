package store

import (
	"testing"
	"time"

	"transportd/archive"
)

// What is forgotten is gone at once, from an archive of one's own too, and what is
// said afterwards stays.
func TestForgetArchiveAtOnce(t *testing.T) { onBoth(t, testForgetArchiveAtOnce) }

func testForgetArchiveAtOnce(t *testing.T) {
	for name, owner := range map[string]string{"shared": "", "own": alice} {
		room, jid := archive.Room{Gateway: gate, Network: "net", Room: "#" + name, Owner: owner}, "#"+name+"@"+gate
		mine := alice
		if owner != "" {
			mine = ""
		}
		add := func(at int64, only string) archive.Op {
			return &archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: at}, Body: "b", Only: only}}
		}
		db := open(t)
		writeArchive(t, db, &archive.Enter{Room: room, User: alice, JID: jid, At: 1}, add(5, ""), add(6, mine))
		if err := db.ForgetArchive(t.Context(), gate, alice, jid); err != nil {
			t.Fatal(err)
		}
		q := &archive.Query{Gateway: gate, User: alice, JID: jid, Limit: 10}
		if lines, _, err := db.ArchiveLines(t.Context(), q); err != nil || len(lines) != 0 {
			t.Errorf("%s: what is left: %v %v", name, lines, err)
		}
		now := time.Now().Add(time.Second).UnixMicro()
		writeArchive(t, db, add(now, ""), add(now+1, mine))
		if _, err := db.TrimArchive(t.Context(), TrimOptions{}); err != nil {
			t.Fatal(err)
		}
		if lines, _, err := db.ArchiveLines(t.Context(), q); err != nil || len(lines) != 2 {
			t.Errorf("%s: of what came later there is %v %v", name, lines, err)
		}
	}
}

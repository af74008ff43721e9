package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"transportd/archive"
)

// refusing is a database that takes nothing.
type refusing struct{ *DB }

func (refusing) WriteArchive(context.Context, []archive.Op) error { return errors.New("not now") }

// TestNoSecretInTheJournal: what is secret lies sealed in the journal, too, and is read as
// it was once the database has it.
func TestNoSecretInTheJournal(t *testing.T) { onBoth(t, testNoSecretInTheJournal) }

func testNoSecretInTheJournal(t *testing.T) {
	db := open(t)
	register(t, db)
	path := filepath.Join(t.TempDir(), "journal")
	a, err := archive.Open(archive.Options{Backend: refusing{db}, Database: "one", Journal: path})
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string][]byte{"sealed/key": []byte("the secret"), "token": []byte("no secret")}
	if !a.Apply(&archive.SaveState{Gateway: gate, User: alice, Network: "net", Changes: changes}) {
		t.Fatal("not taken")
	}
	if string(changes["sealed/key"]) != "the secret" {
		t.Error("the caller's value was changed")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("the secret")) || !bytes.Contains(raw, []byte("no secret")) {
		t.Error("the journal has what it should not, or has not what it should")
	}
	if n, err := archive.Pending(path); n != 1 || err != nil {
		t.Errorf("%d changes wait, %v", n, err)
	}
	if a, err = archive.Open(archive.Options{Backend: db, Database: "one", Journal: path}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, db, ""); string(got["sealed/key"]) != "the secret" || string(got["token"]) != "no secret" {
		t.Errorf("kept is %q", got)
	}
	if n := count(t, db, "SELECT count(*) FROM account_state WHERE sealed = 1"); n != 1 {
		t.Errorf("%d values are sealed", n)
	}
	if n, err := archive.Pending(path); n != 0 || err != nil {
		t.Errorf("%d changes wait, %v", n, err)
	}
}

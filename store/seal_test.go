package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"transportd/internal/secret"
)

func testSealer(t *testing.T, fill byte) *sealer {
	t.Helper()
	s, err := newSealer(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpensOnlyInItsPlace(t *testing.T) {
	s := testSealer(t, 1)
	at := place{"settings", "value", "a", "bc", "d", "e"}
	sealed := s.seal(at, []byte("plain"))
	if got, err := s.open(at, sealed); err != nil || string(got) != "plain" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, other := range []place{
		{"settings", "value", "ab", "c", "d", "e"}, // the same letters, cut elsewhere
		{"settings", "value", "a", "bc", "d"},
		{"settings", "other", "a", "bc", "d", "e"},
		{"occupancies", "value", "a", "bc", "d", "e"},
	} {
		if _, err := s.open(other, sealed); !errors.Is(err, ErrSealBroken) {
			t.Errorf("opened at %v: %v", other, err)
		}
	}
	if _, err := testSealer(t, 2).open(at, sealed); !errors.Is(err, ErrSealBroken) {
		t.Errorf("opened with another key: %v", err)
	}
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := s.open(at, broken); !errors.Is(err, ErrSealBroken) {
			t.Errorf("opened with byte %d changed: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := s.open(at, sealed[:n]); !errors.Is(err, ErrSealBroken) {
			t.Errorf("opened when cut to %d bytes: %v", n, err)
		}
	}
	if bytes.Equal(sealed, s.seal(at, []byte("plain"))) {
		t.Error("the same text seals to the same bytes")
	}
}

func TestCiphertextMovedToAnotherRowDoesNotOpen(t *testing.T) {
	onBoth(t, testCiphertextMovedToAnotherRowDoesNotOpen)
}

func testCiphertextMovedToAnotherRowDoesNotOpen(t *testing.T) {
	db, ctx := open(t), t.Context()
	for _, user := range []string{juli, romeo} {
		if err := db.PutAccount(ctx, account(user, "n")); err != nil {
			t.Fatal(err)
		}
	}
	// Romeo's row gets Juliet's ciphertext, as somebody with the file could do.
	if _, err := db.durable.Exec(`UPDATE settings SET value = (
			SELECT value FROM settings JOIN accounts ON accounts.id = account JOIN users ON users.id = "user" WHERE jid = ? AND name = 'password')
		WHERE name = 'password' AND account = (SELECT accounts.id FROM accounts JOIN users ON users.id = "user" WHERE jid = ?)`,
		juli, romeo); err != nil {
		t.Fatal(err)
	}
	a, err := db.Account(ctx, gw, romeo, "n")
	if !errors.Is(err, ErrSealBroken) {
		t.Errorf("moved ciphertext: %v", err)
	}
	if _, there := a.Secrets["password"]; there || a.Settings["nick"] != "jul" {
		t.Errorf("account with a broken secret: %v, %d secrets", a.Settings, len(a.Secrets))
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Error("the error tells a secret")
	}
	// The walk goes on past it.
	var good, bad int
	for a, err := range db.Accounts(ctx, gw) {
		switch {
		case errors.Is(err, ErrSealBroken) && a.User == romeo:
			bad++
		case err == nil && a.User == juli:
			good++
		default:
			t.Errorf("%s: %v", a.User, err)
		}
	}
	if good != 1 || bad != 1 {
		t.Errorf("walk: %d good, %d bad", good, bad)
	}
	if _, err := db.UserAccounts(ctx, gw, romeo); !errors.Is(err, ErrSealBroken) {
		t.Errorf("accounts of the user: %v", err)
	}
}

func TestRoomPasswordMovedToAnotherRoomDoesNotOpen(t *testing.T) {
	onBoth(t, testRoomPasswordMovedToAnotherRoomDoesNotOpen)
}

func testRoomPasswordMovedToAnotherRoomDoesNotOpen(t *testing.T) {
	db, ctx := open(t), t.Context()
	for room, password := range map[string]secret.Text{"#a@" + gw: "one", "#b@" + gw: "two"} {
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: juli + "/r", Room: room, Nick: "n", Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.durable.Exec("UPDATE occupancies SET password = (SELECT password FROM occupancies WHERE room LIKE '#a%') WHERE room LIKE '#b%'"); err != nil {
		t.Fatal(err)
	}
	for o, err := range db.Occupancies(ctx, gw) {
		if o.Room == "#a@"+gw && (err != nil || o.Password != "one") {
			t.Errorf("untouched row: %v", err)
		}
		if o.Room == "#b@"+gw && (!errors.Is(err, ErrSealBroken) || o.Password != "") {
			t.Errorf("row with a moved ciphertext: %v", err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	good := bytes.Repeat([]byte{7}, KeySize)
	cases := []struct {
		name  string
		setup func(path string) error
		want  error
		words string
	}{
		{"missing", func(string) error { return nil }, ErrKeyMissing, "missing"},
		{"group may read", func(p string) error { return writeMode(p, good, 0o640) }, ErrKeyInvalid, "0640"},
		{"world may read", func(p string) error { return writeMode(p, good, 0o604) }, ErrKeyInvalid, "0604"},
		{"too short", func(p string) error { return writeMode(p, good[1:], 0o600) }, ErrKeyInvalid, "31 bytes"},
		{"too long", func(p string) error { return writeMode(p, append(good, 1), 0o600) }, ErrKeyInvalid, "33 bytes"},
		{"folder", func(p string) error { return os.Mkdir(p, 0o700) }, ErrKeyInvalid, "plain file"},
		{"fine", func(p string) error { return writeMode(p, good, 0o600) }, nil, ""},
		{"read only", func(p string) error { return writeMode(p, good, 0o400) }, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := c.setup(path); err != nil {
				t.Fatal(err)
			}
			key, err := readKey(path)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && (!strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), path)) {
				t.Errorf("%q names neither %q nor the file", err, c.words)
			}
			if err == nil && !bytes.Equal(key, good) {
				t.Error("another key was read")
			}
		})
	}
}

func writeMode(path string, data []byte, mode os.FileMode) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func TestCreateKeyNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key, err := createKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := createKey(path); err == nil {
		t.Error("an existing key was replaced")
	}
	again, err := readKey(path)
	if err != nil || !bytes.Equal(again, key) {
		t.Errorf("the key on disk is another (%v)", err)
	}
}

func TestWrongOrMissingKeyIsRecognisedAtStart(t *testing.T) {
	onBoth(t, testWrongOrMissingKeyIsRecognisedAtStart)
}

func testWrongOrMissingKeyIsRecognisedAtStart(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	if err := db.PutAccount(t.Context(), account(juli, "n")); err != nil {
		t.Fatal(err)
	}
	id := db.seal.id
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "t.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), options(t, dir))
	if !errors.Is(err, ErrKeyMissing) || !strings.Contains(err.Error(), id) {
		t.Errorf("without the key: %v", err)
	}
	if _, err := os.Stat(key); err == nil {
		t.Fatal("a new key was made for a database sealed with another")
	}
	if _, err := createKey(key); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), options(t, dir))
	if !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), key) {
		t.Errorf("with another key: %v", err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, dir)
	defer func() { _ = db.Close() }()
	a, err := db.Account(t.Context(), gw, juli, "n")
	if err != nil {
		t.Fatal(err)
	}
	sameAccount(t, a, account(juli, "n"))
}

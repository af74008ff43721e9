package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the two files of a backup.
const (
	BackupDatabase = "transportd.db"
	BackupKey      = "transportd.key"
)

// Backup copies a database and its key file into dir, which is made with mode
// 0700 when it is not there; the files have mode 0600. The copy is one
// consistent snapshot, checked before it gets its name, and the database may be
// in use by a running transportd all the while. Nothing is overwritten:
// ErrBackupExists. Putting the two files back where they came from restores it.
func Backup(ctx context.Context, path, keyFile, dir string) error {
	id, err := databaseKeyID(ctx, path)
	if err != nil {
		return err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return err
	}
	seal, err := newSealer(key)
	if err != nil {
		return err
	}
	if err := checkKey(keyFile, seal.id, id); err != nil {
		return err
	}
	if err := prepareBackupDir(dir); err != nil {
		return err
	}
	if err := snapshot(ctx, path, filepath.Join(dir, BackupDatabase)); err != nil {
		return err
	}
	if err := writeFileOnce(filepath.Join(dir, BackupKey), key); err != nil {
		return fmt.Errorf("backup: the key file: %w", err)
	}
	return nil
}

func databaseKeyID(ctx context.Context, path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("backup: %w: %w", ErrCannotOpen, err)
	}
	b := &sqlite{path: path}
	db, err := b.pool(readPool)
	if err != nil {
		return "", explain(b, "backup", err)
	}
	defer func() { _ = db.Close() }()
	var app int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return "", explain(b, "backup", err)
	}
	if app != applicationID {
		return "", explain(b, "backup", ErrNotOurs)
	}
	var id string
	err = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'key_id'").Scan(&id)
	return id, explain(b, "backup", err)
}

func prepareBackupDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("backup: %s has mode %04o: a backup holds the key, others must not read its folder (chmod 700)", dir, mode)
	}
	for _, name := range []string{BackupDatabase, BackupKey} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("backup: %s: %w", dir, ErrBackupExists)
		}
	}
	return nil
}

// snapshot copies the database with VACUUM INTO: one read transaction, so it is
// consistent and, unlike SQLite's page-wise backup, never starts over because
// another process writes.
func snapshot(ctx context.Context, path, to string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*") // 0600, and VACUUM INTO takes an empty file
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() {
		_ = tmp.Close()
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	b := &sqlite{path: path}
	db, err := b.pool(durablePool)
	if err != nil {
		return explain(b, "backup", err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", tmp.Name()); err != nil {
		return explain(b, "backup", err)
	}
	if err := checkCopy(ctx, tmp.Name()); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := os.Rename(tmp.Name(), to); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return syncDir(filepath.Dir(to))
}

// checkCopy reads the whole copy through.
func checkCopy(ctx context.Context, path string) error {
	b := &sqlite{path: path}
	db, err := b.pool(readPool)
	if err != nil {
		return explain(b, "backup", err)
	}
	defer func() { _ = db.Close() }()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return explain(b, "backup", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("backup: %s: %w (%s)", path, ErrCorrupt, verdict)
	}
	return nil
}

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
// 0700 when it is not there; the files have mode 0600. The copy is an SQLite file
// whatever the database is: one consistent snapshot, checked before it gets its
// name, and the database may be in use by a running transportd all the while.
// Nothing is overwritten: ErrBackupExists. Putting the two files back where they
// came from restores it; into PostgreSQL with Copy.
func Backup(ctx context.Context, o Options, dir string) error {
	s, err := openSource(ctx, o, false)
	if err != nil {
		return err
	}
	defer s.close()
	var id string
	if err := s.tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'key_id'").Scan(&id); err != nil {
		return explain(s.backend, "backup", err)
	}
	key, err := readKey(o.KeyFile)
	if err != nil {
		return err
	}
	seal, err := newSealer(key)
	if err != nil {
		return err
	}
	if err := checkKey(o.KeyFile, seal.id, id); err != nil {
		return err
	}
	if err := prepareBackupDir(dir); err != nil {
		return err
	}
	if err := snapshot(ctx, s, id, filepath.Join(dir, BackupDatabase)); err != nil {
		return err
	}
	if err := writeFileOnce(filepath.Join(dir, BackupKey), key); err != nil {
		return fmt.Errorf("backup: the key file: %w", err)
	}
	return nil
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

// snapshot copies what a source shows into a file that gets its name when it is
// complete.
func snapshot(ctx context.Context, s *source, keyID, to string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*") // 0600
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() {
		_ = tmp.Close()
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, file := s.backend.(*sqlite); file {
		err = s.vacuumInto(ctx, tmp.Name())
	} else {
		err = s.writeInto(ctx, &sqlite{path: tmp.Name()})
	}
	if err != nil {
		return err
	}
	if err := checkCopy(ctx, tmp.Name(), keyID); err != nil {
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

// vacuumInto writes an SQLite database anew into an empty file: one read
// transaction, so it is consistent and, unlike SQLite's page-wise backup, never
// starts over because another process writes. It cannot run inside the source's
// own transaction.
func (s *source) vacuumInto(ctx context.Context, file string) error {
	pool, err := s.backend.pool(durablePool)
	if err != nil {
		return explain(s.backend, "backup", err)
	}
	defer func() { _ = pool.Close() }()
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", file)
	return explain(s.backend, "backup", err)
}

// writeInto copies the source's snapshot into an empty file.
func (s *source) writeInto(ctx context.Context, to *sqlite) error {
	pool, err := to.pool(durablePool)
	if err != nil {
		return explain(to, "backup", err)
	}
	if _, err = migrate(ctx, to, pool, schema, migrations); err == nil {
		c := copier{source: s, target: to, pool: pool}
		_, err = c.all(ctx)
	}
	return explain(to, "backup", errors.Join(err, pool.Close()))
}

// checkCopy reads the whole copy through, and looks that the key was not rotated
// meanwhile.
func checkCopy(ctx context.Context, path, keyID string) error {
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
	var id string
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'key_id'").Scan(&id); err != nil {
		return explain(b, "backup", err)
	}
	if id != keyID {
		return errors.New("backup: the key was rotated meanwhile, take the backup again")
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"transportd/archive"
)

// openArchive opens what records conversations. Its journal lies beside the key
// file, which is on this machine whatever database there is.
func (d *daemon) openArchive(ctx context.Context) error {
	identity, err := d.store.Identity(ctx)
	if err != nil {
		return err
	}
	d.archive, err = archive.Open(archive.Options{
		Backend: d.store, Database: identity, Journal: journalFile(d.cfg.Store.KeyFile), Log: d.log.With("part", "archive"),
	})
	if errors.Is(err, archive.ErrForeignJournal) {
		return errors.Join(err, errors.New("it was left behind by a process that was killed: start that database once more, or move the file away and lose those lines"))
	}
	if err != nil {
		return err
	}
	d.metrics.Gauge("archive_queue", "Changes of archives waiting to be written to the database.", func() float64 { return float64(d.archive.Stats().Waiting) })
	d.metrics.Gauge("archive_journal_used", "The part of the archive's journal that is in use, 0 to 1.", func() float64 { return d.archive.Stats().Journal })
	d.metrics.Counter("archive_lines_total", "Lines recorded.", func() float64 { return float64(d.archive.Stats().Lines) })
	d.metrics.Counter("archive_refused_total", "Changes of archives that could not be kept.", func() float64 { return float64(d.archive.Stats().Refused) })
	return nil
}

// drain waits until all that is recorded of a user is where it can be deleted.
func drain(ctx context.Context, a *archive.Archive, user string) error {
	if a == nil {
		return nil
	}
	return a.Drain(ctx, user)
}

// journalFile is where the archive's journal lies.
func journalFile(keyFile string) string {
	return strings.TrimSuffix(keyFile, filepath.Ext(keyFile)) + ".journal"
}

// journalIsEmpty refuses a journal in which a process that was killed has left something:
// what is secret there is sealed with the present key.
func journalIsEmpty(keyFile string) error {
	n, err := archive.Pending(journalFile(keyFile))
	if err == nil && n > 0 {
		err = fmt.Errorf("%d changes that a killed process left behind in %s are not in the database yet: start transportd once, and stop it", n, journalFile(keyFile))
	}
	return err
}

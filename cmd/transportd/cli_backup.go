package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"transportd/store"
)

func newBackupCommand(f *sharedFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the database and its key file, also while running",
		Long: `Backup copies the database and the key file into DIR, which is made with mode
0700 if it is not there. The daemon may run all the while: the copy is one
consistent moment, read through once before it gets its name. An earlier backup
in DIR is not overwritten.

The copy is an SQLite file, also of a PostgreSQL database, for which pg_dump
together with a copy of the key file is the other way.

DIR then holds every stored password together with the key to it: keep it as
safe as the originals. To restore, stop the daemon, put both files back where
the config has them, remove the database's -wal and -shm files, and start it;
into PostgreSQL with transportd db copy.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return &usageError{errors.New("backup takes one folder")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			where, err := storeOptions(&c.Store)
			if err != nil {
				return err
			}
			if err := store.Backup(cmd.Context(), where, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "database: %s\nkey file: %s\n",
				filepath.Join(args[0], store.BackupDatabase), filepath.Join(args[0], store.BackupKey))
			return err
		},
	}
	f.settingFlags(cmd)
	return cmd
}

package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"transportd/config"
	"transportd/internal/secret"
	"transportd/store"
)

func newDBCommand(f *sharedFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Copy the database to another one, rotate its key",
		Long: `Db has the commands that work on the whole database. The daemon must not run
meanwhile; backup is the one that may run beside it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCopyCommand(f), newRotateCommand(f))
	return cmd
}

func newCopyCommand(f *sharedFlags) *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "copy",
		Short: "Copy everything into another database",
		Long: `Copy takes everything from one database into an empty other one, SQLite or
PostgreSQL either way, tells how far it has come, and counts every table again at
the end. Then put the new place into the config and start the daemon.

A place is one of

  config                             the database of the config
  /var/lib/transportd/transportd.db  an SQLite file
  postgres://user@host/database      a PostgreSQL database, without a password
  @/etc/transportd/postgres.address  a file that holds the address of one, where
                                     it may have a password

The key file of the config belongs to both: sealed values are copied as they are.
The source is only read. A copy that was interrupted leaves a database that no
transportd starts on: remove it (the file, or the schema's tables) and copy again.
Neither database may be in use by a running daemon.`,
		Example: `  transportd db copy --to @/etc/transportd/postgres.address
  transportd db copy --from @/etc/transportd/postgres.address --to /var/lib/transportd/new.db`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			return runCopy(cmd, &c.Store, from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "config", "the `place` to copy from")
	cmd.Flags().StringVar(&to, "to", "", "the `place` to copy to, empty so far; required")
	f.settingFlags(cmd)
	return cmd
}

func runCopy(cmd *cobra.Command, c *config.Store, from, to string) error {
	source, err := databaseAt(c, "--from", from)
	if err != nil {
		return err
	}
	target, err := databaseAt(c, "--to", to)
	if err != nil {
		return err
	}
	bar := newProgressBar(cmd.ErrOrStderr())
	counts, err := store.Copy(cmd.Context(), source, target, bar.report)
	bar.end()
	if err != nil {
		return err
	}
	var b strings.Builder
	var sum int64
	for _, n := range counts {
		fmt.Fprintf(&b, "%-20s %12d\n", n.Table, n.Rows)
		sum += n.Rows
	}
	fmt.Fprintf(&b, "%-20s %12d rows, counted again in the copy\n", "all", sum)
	_, err = io.WriteString(cmd.OutOrStdout(), b.String())
	return err
}

// databaseAt understands what --from and --to name.
func databaseAt(c *config.Store, flag, place string) (store.Options, error) {
	o := store.Options{KeyFile: c.KeyFile}
	switch {
	case place == "":
		return o, &usageError{fmt.Errorf("%s is missing: a file, config, @FILE or postgres://…", flag)}
	case place == "config":
		return storeOptions(c)
	case strings.HasPrefix(place, "@"):
		address, err := (&config.Store{PostgresFile: place[1:]}).ReadPostgres()
		if err != nil {
			return o, fmt.Errorf("%s: %w", flag, err)
		}
		o.Postgres = address
	case strings.HasPrefix(place, "postgres://"), strings.HasPrefix(place, "postgresql://"):
		// Every user of the machine reads command lines.
		u, err := url.Parse(place)
		if err != nil {
			return o, &usageError{fmt.Errorf("%s is no address of the form postgres://user@host/database", flag)}
		}
		if _, has := u.User.Password(); has || u.Query().Has("password") {
			return o, &usageError{fmt.Errorf("%s has a password, which everybody on this machine can see: put the address into a file and write @FILE", flag)}
		}
		o.Postgres = secret.Text(place)
	default:
		o.Path = place
	}
	return o, nil
}

func newRotateCommand(f *sharedFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Seal all stored passwords anew with a new key",
		Long: `Rotate-key makes a new key, seals every stored password, room password and
gateway key anew with it in one transaction, and puts it in the key file's place.
The old key is gone then: it opens only the backups that were made with it, which
have their own copy.

Do it when somebody may have seen the key file. Whoever has an old copy of the
database as well knows the passwords in it all the same.

It can be interrupted at any moment: the new key waits beside the old one, with
.new behind its name, until the database has changed, and the next start uses the
one that fits. The daemon must not run meanwhile, and must have ended by itself: what
a killed one left in its journal is sealed with the old key, and stored at the next
start.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			where, err := storeOptions(&c.Store)
			if err != nil {
				return err
			}
			r, err := store.RotateKey(cmd.Context(), where, func() error { return journalIsEmpty(c.Store.KeyFile) })
			if err != nil {
				return err
			}
			if r.Broken > 0 {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d values did not open with the old key and stay as they were\n", r.Broken)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d values sealed anew: key %s instead of %s\nkey file: %s\nTake a backup now: older ones need the old key, which they hold.\n",
				r.Sealed, r.New, r.Old, c.Store.KeyFile)
			return err
		},
	}
	f.settingFlags(cmd)
	return cmd
}

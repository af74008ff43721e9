package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"transportd/component"
	"transportd/store"
)

func newExportCommand(f *sharedFlags) *cobra.Command {
	var gateway, output string
	cmd := &cobra.Command{
		Use:   "export USER",
		Short: "Write everything that is stored of a user, as JSON, also while running",
		Long: `Export writes everything that is stored of a user, a bare JID, to standard output:
JSON Lines, one object a line, each with its kind (user, preference, account,
setting, subscription, occupancy, room, visit, line, private), the gateway and the
data. Of rooms it is exactly what the user may see: the lines of the time they
were there. Of passwords it tells only that one is stored.

The daemon may run meanwhile; it is not disturbed, and what changes during the
export may be in it or not. The key file is not needed.

With --output the file is made with mode 0600 and must not be there yet; it gets
its name when it is complete.`,
		Example: `  transportd export juliet@example.org --output juliet.jsonl
  transportd export juliet@example.org --gateway irc.example.org | jq .data.body`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return &usageError{errors.New("export takes one user")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			user, err := component.ParseJID(args[0])
			if err != nil || user.Bare() != user {
				return &usageError{fmt.Errorf("%s is no bare JID, as juliet@example.org", args[0])}
			}
			c, err := f.load()
			if err != nil {
				return err
			}
			where, err := storeOptions(&c.Store)
			if err != nil {
				return err
			}
			if output == "" {
				_, err := export(cmd.Context(), cmd.OutOrStdout(), where, gateway, user.String())
				return err
			}
			n, err := exportFile(cmd.Context(), output, where, gateway, user.String())
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d records\n", output, n)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&gateway, "gateway", "", "only what a gateway's `domain` has; by default all of them")
	cmd.Flags().StringVarP(&output, "output", "o", "", "the `file` to write, instead of standard output")
	f.settingFlags(cmd)
	return cmd
}

// export writes a user's records and tells how many there were.
func export(ctx context.Context, to io.Writer, where store.Options, gateway, user string) (n int, err error) {
	out := bufio.NewWriter(to)
	json := json.NewEncoder(out)
	json.SetEscapeHTML(false)
	for record, err := range store.Export(ctx, where, gateway, user) {
		if errors.Is(err, store.ErrNotFound) {
			return n, fmt.Errorf("nothing is stored of %s", user)
		}
		if err == nil {
			err = json.Encode(record)
		}
		if err != nil {
			return n, errors.Join(err, out.Flush())
		}
		n++
	}
	return n, out.Flush()
}

// exportFile writes them into a new file, which is there complete or not at all.
func exportFile(ctx context.Context, path string, where store.Options, gateway, user string) (n int, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".export-*") // 0600
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	n, err = export(ctx, tmp, where, gateway, user)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return n, err
	}
	return n, os.Link(tmp.Name(), path) // unlike a rename, never replaces
}

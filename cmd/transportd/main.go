// Command transportd is a gateway between XMPP and other chat networks: a
// component (XEP-0114) of an ordinary XMPP server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"transportd/config"
)

// Exit codes. A service manager need not start a program again that ended with
// exitConfig: nothing changes before somebody edits the file.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 78 // EX_CONFIG
)

func main() {
	// The first signal ends the program politely, a second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var problems config.Problems
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errLogged):
		return exitFailure
	case errors.As(err, &problems):
		_, _ = fmt.Fprintln(stderr, err)
		return exitConfig
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "transportd: %s\nTry: transportd --help\n", err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "transportd: %s\n", err)
	return exitFailure
}

// errLogged is a failure that is in the log already.
var errLogged = errors.New("the reason is in the log")

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

package matrix

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"transportd/bridges"
	"transportd/bridges/matrix/keys"
)

// consoleHelp is what the console says about itself.
const consoleHelp = `/recovery KEY: makes this session trusted, and reads the keys of old encrypted messages. KEY is the recovery key (or phrase) that your Matrix client gave you; it is not kept here.
/session: says which session of your account this is, and whether it is trusted.`

// consoleVerbs are what can be written to the console.
var consoleVerbs = map[string]func(n *network, ctx context.Context, rest string) (string, *bridges.Error){
	"recovery": (*network).recovery,
	"session":  (*network).session,
	"help":     func(*network, context.Context, string) (string, *bridges.Error) { return consoleHelp, nil },
}

// Raw implements bridges.Console. What is written may be a secret: it goes into no
// error and no log.
func (n *network) Raw(ref bridges.Ref, line string) error {
	verb, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "/"), " ")
	run := consoleVerbs[strings.ToLower(verb)]
	if run == nil {
		return bridges.NewError(bridges.Unsupported, "There is no such command.\n"+consoleHelp)
	}
	return n.do(ref, "console", func(ctx context.Context) {
		text, err := run(n, ctx, strings.TrimSpace(rest))
		if err != nil {
			n.outcome(ctx, ref, err)
			return
		}
		n.tell(ctx, &bridges.Done{Ref: ref, Text: text})
	})
}

// noDevice says why there is no encryption.
func noDevice() *bridges.Error {
	return bridges.NewError(bridges.Unsupported, "The gateway has no device of your account to encrypt with: log in again with your password.")
}

func (n *network) recovery(ctx context.Context, key string) (string, *bridges.Error) {
	m := n.machineNow()
	switch {
	case m == nil:
		return "", noDevice()
	case key == "":
		return "", bridges.NewError(bridges.Invalid, "Write your recovery key behind the command.")
	}
	count, err := m.Recover(ctx, key)
	switch {
	case err == nil:
	case errors.Is(err, keys.ErrRecovery):
		return "", bridges.NewError(bridges.Invalid, "This is not the recovery key of your account.")
	case errors.Is(err, keys.ErrNoRecovery):
		return "", bridges.NewError(bridges.NotFound, "Your account has no recovery key: set it up in a Matrix client first.")
	default:
		return "", failure(ctx, err)
	}
	text := "This session is trusted by your account now."
	if count > 0 {
		text += fmt.Sprintf(" %d keys of encrypted messages are here.", count)
	}
	return text, nil
}

func (n *network) session(ctx context.Context, _ string) (string, *bridges.Error) {
	m := n.machineNow()
	if m == nil {
		return "", noDevice()
	}
	trusted, err := m.Verified(ctx)
	if err != nil {
		return "", failure(ctx, err)
	}
	text := fmt.Sprintf("This is the session “%s” of %s. ", n.creds.device, n.creds.user)
	if trusted {
		return text + "Your account trusts it.", nil
	}
	return text + "Your account does not trust it yet: write /recovery and your recovery key.", nil
}

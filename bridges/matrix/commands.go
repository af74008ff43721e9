package matrix

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"transportd/bridges"
	"transportd/bridges/matrix/keys"
)

// fieldKey is what is asked for by the command that trusts a session.
const fieldKey = "key"

// Commands implements bridges.Commander.
func (d *Driver) Commands() []bridges.Command {
	return []bridges.Command{
		{
			Verb: "recovery", Name: "Trust this session", At: bridges.AddressNetwork,
			Help: "makes the gateway's session one that your account trusts, and reads the keys of old encrypted messages.",
			Fields: []bridges.Field{{
				Name: fieldKey, Label: "Recovery key", Kind: bridges.FieldSecret, Required: true,
				Help: "The recovery key, or phrase, that your Matrix client gave you. It is not kept here.",
			}},
			Run: run(func(ctx context.Context, n *network, values map[string]string) (string, *bridges.Error) {
				return n.recovery(ctx, strings.TrimSpace(values[fieldKey]))
			}),
		},
		{
			Verb: "session", Name: "Your session", At: bridges.AddressNetwork,
			Help: "says which session of your account the gateway is, and whether your account trusts it.",
			Run: run(func(ctx context.Context, n *network, _ map[string]string) (string, *bridges.Error) {
				return n.session(ctx)
			}),
		},
	}
}

// run makes a command of what is done in a lane of the link: one at a time, and not
// beyond the connection. What was filled in may be a secret: it goes into no error and
// no log.
func run(do func(context.Context, *network, map[string]string) (string, *bridges.Error)) func(context.Context, bridges.Network, bridges.Place, map[string]string) (string, error) {
	return func(ctx context.Context, link bridges.Network, _ bridges.Place, values map[string]string) (string, error) {
		n := link.(*network)
		type answer struct {
			text string
			err  *bridges.Error
		}
		done := make(chan answer, 1)
		n.mu.Lock()
		life := n.life
		err := n.enqueue(&job{lane: "commands", run: func(life context.Context) {
			asked, cancel := context.WithCancel(life)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			text, err := do(asked, n, values)
			done <- answer{text, err}
		}})
		n.mu.Unlock()
		if err != nil {
			return "", err
		}
		select {
		case a := <-done:
			if a.err != nil {
				return "", a.err
			}
			return a.text, nil
		case <-ctx.Done():
			return "", failure(ctx, ctx.Err())
		case <-life.Done():
			return "", errOffline()
		}
	}
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
		return "", bridges.NewError(bridges.Invalid, "Your recovery key is needed for this.")
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

func (n *network) session(ctx context.Context) (string, *bridges.Error) {
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
	return text + "Your account does not trust it yet: send “recovery” and your recovery key.", nil
}

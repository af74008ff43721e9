// Package secret has a type for passwords and keys that cannot be printed by
// accident. It knows only the standard library.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Hidden is what a set secret prints as.
const Hidden = "[hidden]"

// Text is a secret. Every way of printing it (fmt with any verb, slog, JSON,
// text) shows Hidden, or nothing when it is empty; only Reveal gives it away.
type Text string

// Reveal returns the secret itself. Its result must not reach a log or an error.
func (t Text) Reveal() string { return string(t) }

// String hides the secret.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return Hidden
}

// Format hides the secret from every verb of fmt, %x and %#v included.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue hides the secret from slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the secret from encoders of text, JSON among them.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

package bridgetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"transportd/bridges"
)

// lineID names the next line of the user's, where the network names lines.
func (n *ScriptNet) lineID() bridges.MessageID {
	if c := n.d.Caps; !c.Edit && !c.Reply && !c.React && !c.Retract && !c.Read {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines++
	return bridges.MessageID(fmt.Sprint("$", n.lines))
}

// parts are what a line says beside its text, for the list of calls.
func parts(m *bridges.Outgoing) string {
	var b strings.Builder
	for _, p := range []struct{ name, value string }{
		{"html", m.HTML}, {"replaces", string(m.Replaces)}, {"reply", string(m.ReplyTo)}, {"thread", string(m.Thread)}, {"link", m.Link}, {"file", fileOf(m)},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, " [%s %s]", p.name, p.value)
		}
	}
	if m.Location != nil {
		fmt.Fprintf(&b, " [at %s]", m.Location.URI())
	}
	for _, id := range m.Mentions {
		fmt.Fprintf(&b, " [names %s]", id)
	}
	return b.String()
}

// asked notes the token of what the network is asked.
func (n *ScriptNet) asked(token string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tokens = append(n.tokens, token)
}

// Tokens are those of what was said, reacted and retracted so far.
func (n *ScriptNet) Tokens() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.tokens)
}

// React implements bridges.Reactor.
func (n *ScriptNet) React(ref bridges.Ref, token string, at bridges.Place, line bridges.MessageID, keys []string) error {
	n.asked(token)
	return n.act(fmt.Sprintf("react %s%s %s %s", at.Room, at.User, line, strings.Join(keys, " ")), func() {
		n.emit(&bridges.Reacted{Ref: ref, Place: at, ID: line, From: n.Self(), Self: true, Keys: keys})
	})
}

// Retract implements bridges.Retractor. "$secret" may not be taken back.
func (n *ScriptNet) Retract(ref bridges.Ref, token string, at bridges.Place, line bridges.MessageID, reason string) error {
	n.asked(token)
	return n.act(strings.TrimSpace(fmt.Sprintf("retract %s%s %s %s", at.Room, at.User, line, reason)), func() {
		if line == "$secret" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "Not yours.")})
			return
		}
		n.emit(&bridges.Retracted{Ref: ref, Place: at, ID: line, By: n.Self(), Self: true, Reason: reason})
	})
}

// OpenMedia implements bridges.MediaOpener. A file says its name.
func (n *ScriptNet) OpenMedia(_ context.Context, ref string) (*bridges.Media, error) {
	text := "file " + ref
	return &bridges.Media{ReadCloser: io.NopCloser(strings.NewReader(text)), Type: "text/plain", Size: int64(len(text))}, nil
}

// fileOf is what is in the file of a line, as text.
func fileOf(m *bridges.Outgoing) string {
	if m.File == nil {
		return ""
	}
	r, err := m.File.Open(context.Background())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

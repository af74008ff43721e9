package bridgetest

import (
	"fmt"
	"strings"

	"transportd/bridges"
)

// lineID names the next line of the user's, where the network names lines.
func (n *ScriptNet) lineID() bridges.MessageID {
	if c := n.d.Caps; !c.Edit && !c.Reply && !c.React && !c.Retract {
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
		{"html", m.HTML}, {"replaces", string(m.Replaces)}, {"reply", string(m.ReplyTo)}, {"thread", string(m.Thread)}, {"link", m.Link},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, " [%s %s]", p.name, p.value)
		}
	}
	for _, id := range m.Mentions {
		fmt.Fprintf(&b, " [names %s]", id)
	}
	return b.String()
}

// React implements bridges.Reactor.
func (n *ScriptNet) React(ref bridges.Ref, at bridges.Place, line bridges.MessageID, keys []string) error {
	return n.act(fmt.Sprintf("react %s%s %s %s", at.Room, at.User, line, strings.Join(keys, " ")), func() {
		n.emit(&bridges.Reacted{Ref: ref, Place: at, ID: line, From: n.Self(), Self: true, Keys: keys})
	})
}

// Retract implements bridges.Retractor. "$secret" may not be taken back.
func (n *ScriptNet) Retract(ref bridges.Ref, at bridges.Place, line bridges.MessageID, reason string) error {
	return n.act(strings.TrimSpace(fmt.Sprintf("retract %s%s %s %s", at.Room, at.User, line, reason)), func() {
		if line == "$secret" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "Not yours.")})
			return
		}
		n.emit(&bridges.Retracted{Ref: ref, Place: at, ID: line, By: n.Self(), Self: true, Reason: reason})
	})
}

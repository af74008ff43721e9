package bridgetest

import (
	"context"
	"slices"

	"transportd/bridges"
)

// History implements bridges.Historian over what the test says is Older.
func (n *ScriptNet) History(_ context.Context, at bridges.Place, before bridges.MessageID, limit int) ([]*bridges.Message, bool, error) {
	if n.Ask != nil {
		n.Ask()
	}
	if n.d.FailHistory != nil {
		return nil, false, n.d.FailHistory
	}
	lines := n.d.Older[at.Room]
	if i := slices.IndexFunc(lines, func(m *bridges.Message) bool { return m.ID == before }); i >= 0 {
		lines = lines[:i]
	}
	n.called("history", string(at.Room)+string(at.User), string(before))
	from := max(0, len(lines)-limit)
	return lines[from:], from > 0, nil
}

// Group implements bridges.Grouper over what the test says are Groups.
func (n *ScriptNet) Group(_ context.Context, name string) ([]bridges.DirectoryEntry, error) {
	entries, ok := n.d.Groups[name]
	if !ok && name != "" {
		return nil, bridges.NewError(bridges.NotFound, "There is no such group.")
	}
	return entries, nil
}

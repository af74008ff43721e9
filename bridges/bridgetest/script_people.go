package bridgetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"transportd/bridges"
)

// scriptAccount is a network whose accounts have contacts: where Script.Contacts is
// set.
type scriptAccount struct{ *ScriptNet }

// Members implements bridges.Network. Accounts have an address that is not their nick.
func (n *scriptAccount) Members(id bridges.RoomID) (bridges.Member, []bridges.Member, bool) {
	self, members, ok := n.ScriptNet.Members(id)
	self.Address = fold(self.Nick)
	return self, members, ok
}

// Befriend implements bridges.Befriender. "nobody" does not exist, "silent" does
// not answer.
func (n *scriptAccount) Befriend(ref bridges.Ref, user bridges.UserID) error {
	return n.act("befriend "+string(user), func() {
		switch user {
		case "nobody":
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.NotFound, "There is no such person.")})
		case "silent":
		default:
			n.emit(&bridges.Contact{Member: Person(string(user))})
		}
	})
}

// Unfriend implements bridges.Befriender.
func (n *scriptAccount) Unfriend(_ bridges.Ref, user bridges.UserID) error {
	return n.act("unfriend "+string(user), func() {
		n.emit(&bridges.Contact{Member: Person(string(user)), Gone: true})
	})
}

// Knock implements bridges.Knocker. "#fort" takes nobody.
func (n *scriptAccount) Knock(ref bridges.Ref, room, reason string) error {
	return n.act(strings.TrimSpace("knock "+room+" "+reason), func() {
		if room == "#fort" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "Nobody may ask here.")})
			return
		}
		n.emit(&bridges.Done{Ref: ref})
	})
}

// Block implements bridges.Blocker. "nobody" does not exist.
func (n *scriptAccount) Block(ref bridges.Ref, user bridges.UserID, blocked bool) error {
	return n.act(fmt.Sprintf("block %s %t", user, blocked), func() {
		if user == "nobody" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.NotFound, "There is no such person.")})
			return
		}
		n.emit(&bridges.Done{Ref: ref})
	})
}

// Blocked implements bridges.Blocker.
func (n *scriptAccount) Blocked() []string { return slices.Clone(n.d.Blocked) }

// SetTyping implements bridges.Typist.
func (n *ScriptNet) SetTyping(at bridges.Place, on bool) error {
	return n.act(fmt.Sprintf("typing %s%s %t", at.Room, at.User, on), func() {})
}

// SetRead implements bridges.Reader.
func (n *ScriptNet) SetRead(at bridges.Place, line bridges.MessageID) error {
	return n.act(fmt.Sprintf("read %s%s %s", at.Room, at.User, line), func() {})
}

// Quit implements bridges.Quitter. "#prison" lets nobody go.
func (n *ScriptNet) Quit(ref bridges.Ref, room bridges.RoomID, reason string) error {
	return n.act(strings.TrimSpace(fmt.Sprintf("quit %s %s", room, reason)), func() {
		if room == "#prison" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "Nobody leaves.")})
			return
		}
		n.mu.Lock()
		if r := n.rooms[room]; r != nil {
			r.In = false
		}
		self := Person(n.nick)
		n.mu.Unlock()
		n.emit(&bridges.Left{Ref: ref, Room: room, Member: self, Self: true, Reason: reason})
	})
}

// Decline implements bridges.Decliner. There is no invitation to "#elsewhere".
func (n *ScriptNet) Decline(ref bridges.Ref, room, reason string) error {
	return n.act(strings.TrimSpace(fmt.Sprintf("decline %s %s", room, reason)), func() {
		if room == "#elsewhere" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.NotFound, "There is no such invitation.")})
			return
		}
		n.emit(&bridges.Done{Ref: ref})
	})
}

// Rooms implements bridges.Directory.
func (n *scriptAccount) Rooms(context.Context) ([]bridges.DirectoryEntry, error) {
	if n.Ask != nil {
		n.Ask()
	}
	return slices.Clone(n.d.Directory), nil
}

// List implements bridges.Lister.
func (n *scriptAccount) List(_ context.Context, room bridges.RoomID, a bridges.Affiliation) ([]bridges.ListEntry, error) {
	n.called(fmt.Sprintf("list %s %d", room, a))
	return slices.Clone(n.d.Outcasts), nil
}

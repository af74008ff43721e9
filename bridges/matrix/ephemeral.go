package matrix

import (
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// ephemeral takes what passes: who writes, who has read.
func (t *turn) ephemeral(r *room, ev *event.Event) {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	place, ok := n.place(r)
	if !ok {
		return
	}
	o := readObject(ev.Content.VeryRaw)
	switch ev.Type.Type {
	case "m.typing":
		var now []id.UserID
		for _, u := range o.strs("user_ids") {
			if user := id.UserID(u); user != n.creds.user && !n.ignored[user] && len(now) < maxFaces {
				now = append(now, user)
			}
		}
		for _, user := range now {
			if !slices.Contains(r.typing, user) {
				t.present(r, user)
				t.emit(&bridges.Typing{Place: place, From: n.memberOf(r, user), On: true})
			}
		}
		for _, user := range r.typing {
			if !slices.Contains(now, user) {
				t.emit(&bridges.Typing{Place: place, From: n.memberOf(r, user)})
			}
		}
		r.typing = now
	case "m.receipt":
		for line := range o {
			for user := range o.obj(line).obj("m.read") {
				if who := id.UserID(user); who != n.creds.user && !n.ignored[who] && (r.people[who] != nil || place.User != "") && strings.HasPrefix(line, "$") {
					t.emit(&bridges.Read{Place: place, From: n.memberOf(r, who), ID: bridges.MessageID(line)})
				}
			}
		}
	}
}

package session

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
)

// outboxState begins the names of what waits to be said. They sort by when it was
// accepted.
const outboxState = bridges.SessionState + "out/"

// storedOutbound is how a stanza that waits is stored. It is sealed: the room it is said
// in may be an encrypted one.
type storedOutbound struct {
	Token    string         `json:"token"`
	At       time.Time      `json:"at"`
	From     string         `json:"from"`
	To       string         `json:"to"`
	Type     string         `json:"type,omitempty"`
	ID       string         `json:"id,omitempty"`
	Children string         `json:"children"`
	User     bridges.UserID `json:"user,omitempty"` // who is spoken to; empty: it is said in a room
	Nick     string         `json:"nick,omitempty"`
	Address  string         `json:"address,omitempty"`
}

// store stores a stanza before anything is done with it. Where the archive has no room
// it is sent all the same, and lost with the process.
func (o *outbox) store(at outplace, b *outbound) {
	if o.l.s.m.archive == nil || !o.l.registered {
		return
	}
	st := b.st
	raw, err := json.Marshal(storedOutbound{
		Token: b.token, At: b.at, From: st.From.String(), To: st.To.String(), Type: st.Type, ID: st.ID,
		Children: string(component.MarshalChildren(st.Element, func(*component.Element) bool { return true })),
		User:     at.user, Nick: b.nick, Address: b.address,
	})
	if err != nil {
		o.l.log.Error("what was said cannot be stored until it is sent", "error", err)
		return
	}
	o.names++
	name := fmt.Sprintf("%s%016x%08x", outboxState, b.at.UnixMicro(), o.names)
	if o.apply(map[string][]byte{name: raw}) {
		b.name = name
	}
}

func (o *outbox) apply(changes map[string][]byte) bool {
	s := o.l.s
	return s.m.archive.Apply(&archive.SaveState{Gateway: s.m.domain.Domain, User: s.user.String(), Network: string(o.l.id), Changes: changes})
}

// erase removes a stanza from the store, behind what was recorded of it.
func (o *outbox) erase(b *outbound) {
	if b.name == "" {
		return
	}
	gone := map[string][]byte{b.name: nil}
	b.name = ""
	if o.l.dead {
		o.apply(gone)
		return
	}
	o.l.commit(gone)
}

// restore takes over what the last process left.
func (o *outbox) restore(values map[string][]byte) {
	if o.read || o.l.dead {
		return
	}
	o.read = true
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b, at := readOutbound(values[name])
		if b == nil {
			o.l.log.Error("something that waited to be said cannot be read, and is dropped", "name", name)
			o.apply(map[string][]byte{name: nil})
			continue
		}
		b.name, b.former, b.unsure = name, true, true
		q := o.at(at)
		b.doubt = len(q.waiting) == 0
		o.add(q, b)
	}
	if len(o.tokens) > 0 {
		o.l.log.Info("what waited to be said is said", "lines", len(o.tokens))
		o.watch()
	}
}

// readOutbound reads a stored stanza; nil: it is none.
func readOutbound(raw []byte) (*outbound, outplace) {
	var v storedOutbound
	if json.Unmarshal(raw, &v) != nil || v.Token == "" {
		return nil, outplace{}
	}
	from, err1 := component.ParseJID(v.From)
	to, err2 := component.ParseJID(v.To)
	if err1 != nil || err2 != nil {
		return nil, outplace{}
	}
	o := component.NewMessage(from, to, v.Type, v.ID).AppendChildren([]byte(v.Children))
	defer o.Release()
	st, err := component.ParseStanza(o.String())
	if err != nil {
		return nil, outplace{}
	}
	at := outplace{user: v.User}
	if v.User == "" {
		at.room = to.Local
	}
	return &outbound{token: v.Token, st: st, nick: v.Nick, address: v.Address, at: v.At}, at
}

// Package archivetest is a database for archives that lives in memory.
package archivetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"transportd/archive"
)

// Model is a database in memory: what every real one must do, without speed.
type Model struct {
	mu      sync.Mutex
	lines   map[archive.Room][]archive.Line
	visits  map[archive.Room][]visit
	views   map[[3]string][]archive.Room
	private map[[2]string][]archive.Private
	fail    error
	poison  string
	slow    time.Duration
	ops     int
	names   map[archive.Room]map[string][]archive.Key
	states  map[[3]string]map[string][]byte
}

// Fail makes everything fail with an error; nil: nothing any more.
func (d *Model) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// Slow makes every read take so long.
func (d *Model) Slow(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

// Poison makes a line with this body one that cannot be stored.
func (d *Model) Poison(body string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.poison = body
}

// Ops is how many changes were written.
func (d *Model) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Stored is how many lines an archive has.
func (d *Model) Stored(room archive.Room) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lines[room])
}

type visit struct {
	user         string
	since, until int64 // until 0: open
}

func NewModel() *Model {
	return &Model{lines: map[archive.Room][]archive.Line{}, visits: map[archive.Room][]visit{}, views: map[[3]string][]archive.Room{}, private: map[[2]string][]archive.Private{},
		names: map[archive.Room]map[string][]archive.Key{}, states: map[[3]string]map[string][]byte{}}
}

// ArchiveEpoch implements archive.Backend: nothing is forgotten.
func (d *Model) ArchiveEpoch() int64 { return 0 }

func (d *Model) WriteArchive(_ context.Context, ops []archive.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	for _, op := range ops {
		if add, ok := op.(*archive.AddLine); ok && d.poison != "" && add.Line.Body == d.poison {
			return errors.New("this line cannot be stored")
		}
	}
	d.ops += len(ops)
	for _, op := range ops {
		d.apply(op)
	}
	return nil
}

func (d *Model) apply(op archive.Op) {
	switch op := op.(type) {
	case *archive.SaveState:
		key := [3]string{op.Gateway, op.User, op.Network}
		if d.states[key] == nil {
			d.states[key] = map[string][]byte{}
		}
		for name, value := range op.Changes {
			if value == nil {
				delete(d.states[key], name)
				continue
			}
			d.states[key][name] = slices.Clone(value)
		}
	case *archive.AddLine:
		if op.Named {
			if d.names[op.Room] == nil {
				d.names[op.Room] = map[string][]archive.Key{}
			}
			if keys := d.names[op.Room][op.Line.NetID]; !slices.Contains(keys, op.Line.Key) {
				d.names[op.Room][op.Line.NetID] = append(keys, op.Line.Key)
			}
		}
		list := d.lines[op.Room]
		if i, known := slices.BinarySearchFunc(list, op.Line.Key, func(l archive.Line, k archive.Key) int { return l.Compare(k) }); !known {
			d.lines[op.Room] = slices.Insert(list, i, op.Line)
		}
	case *archive.Enter:
		key := [3]string{op.Room.Gateway, op.User, op.JID}
		if !slices.Contains(d.views[key], op.Room) {
			d.views[key] = append(d.views[key], op.Room)
		}
		for _, v := range d.visits[op.Room] {
			if v.user == op.User && v.since == op.At {
				return
			}
		}
		d.visits[op.Room] = append(d.visits[op.Room], visit{user: op.User, since: op.At})
	case *archive.Leave:
		for i := range d.visits[op.Room] {
			if v := &d.visits[op.Room][i]; v.user == op.User && v.until == 0 && v.since < op.At {
				v.until = op.At
			}
		}
	case *archive.Restrict:
		d.change(op.Room, op.Key, func(l *archive.Line) { l.Only, l.Except = op.Only, op.Except })
	case *archive.Amend:
		d.change(op.Room, op.Key, func(l *archive.Line) {
			l.Body, l.Extra, l.Edited, l.Retracted = op.Body, op.Extra, op.Edited, op.Retracted
		})
	case *archive.AddPrivate:
		key := [2]string{op.Gateway, op.User}
		list := d.private[key]
		if i, known := slices.BinarySearchFunc(list, op.Private.Key, func(p archive.Private, k archive.Key) int { return p.Compare(k) }); !known {
			d.private[key] = slices.Insert(list, i, op.Private)
		}
	case *archive.SettlePrivate:
		for i := range d.private[[2]string{op.Gateway, op.User}] {
			if p := &d.private[[2]string{op.Gateway, op.User}][i]; p.Key == op.Key {
				p.Pending = op.Again
			}
		}
	}
}

func (d *Model) change(room archive.Room, key archive.Key, f func(*archive.Line)) {
	list := d.lines[room]
	if i, there := slices.BinarySearchFunc(list, key, func(l archive.Line, k archive.Key) int { return l.Compare(k) }); there {
		f(&list[i])
	}
}

func (d *Model) sees(room archive.Room, user string, l *archive.Line) bool {
	switch {
	case room.Owner != "":
		return room.Owner == user
	case l.Only != "":
		return l.Only == user
	case l.Except == user:
		return false
	}
	return slices.ContainsFunc(d.visits[room], func(v visit) bool {
		return v.user == user && v.since <= l.At && (v.until == 0 || l.At < v.until)
	})
}

func (d *Model) ArchiveLines(_ context.Context, q *archive.Query) ([]archive.Line, bool, error) {
	d.mu.Lock()
	slow := d.slow
	d.mu.Unlock()
	time.Sleep(slow)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, false, d.fail
	}
	var out []archive.Line
	for _, room := range d.views[[3]string{q.Gateway, q.User, q.JID}] {
		for i := range d.lines[room] {
			l := &d.lines[room][i]
			if !d.sees(room, q.User, l) || !q.After.IsZero() && l.Compare(q.After) <= 0 || !q.Before.IsZero() && l.Compare(q.Before) >= 0 ||
				q.From != 0 && l.At < q.From || q.To != 0 && l.At > q.To || q.Nick != "" && !strings.EqualFold(l.Nick, q.Nick) || q.Occupant != "" && l.Occupant != q.Occupant || q.Self && !l.Self || q.NoBody && l.Body != "" {
				continue
			}
			out = append(out, *l)
		}
	}
	slices.SortStableFunc(out, func(a, b archive.Line) int { return a.Compare(b.Key) })
	more := q.Limit > 0 && len(out) > q.Limit
	switch {
	case more && q.Last:
		out = out[len(out)-q.Limit:]
	case more:
		out = out[:q.Limit]
	}
	return out, more, nil
}

func (d *Model) ArchiveCount(ctx context.Context, q *archive.Query) (int, error) {
	all := *q
	all.Limit = 0
	lines, _, err := d.ArchiveLines(ctx, &all)
	return len(lines), err
}

func (d *Model) ArchiveByKey(ctx context.Context, gateway, user, jid string, keys []archive.Key) ([]archive.Line, error) {
	lines, _, err := d.ArchiveLines(ctx, &archive.Query{Gateway: gateway, User: user, JID: jid})
	return slices.DeleteFunc(lines, func(l archive.Line) bool { return !slices.Contains(keys, l.Key) }), err
}

func (d *Model) ArchiveRoom(_ context.Context, gateway, user, jid string) (archive.Room, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rooms := d.views[[3]string{gateway, user, jid}]
	if len(rooms) == 0 {
		return archive.Room{}, false, d.fail
	}
	return rooms[len(rooms)-1], true, d.fail
}

func (d *Model) ArchiveRecent(ctx context.Context, gateway, user, jid, id string) (archive.Line, bool, error) {
	lines, _, err := d.ArchiveLines(ctx, &archive.Query{Gateway: gateway, User: user, JID: jid, Self: true})
	for _, l := range slices.Backward(lines) {
		if l.ID == id {
			return l, true, err
		}
	}
	return archive.Line{}, false, err
}

func (d *Model) PendingPrivate(_ context.Context, gateway, user string, limit int) ([]archive.Private, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []archive.Private
	for _, p := range d.private[[2]string{gateway, user}] {
		if p.Pending && len(out) < limit {
			out = append(out, p)
		}
	}
	return out, d.fail
}

func (d *Model) PendingUsers(_ context.Context, gateway string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for key, list := range d.private {
		if key[0] == gateway && slices.ContainsFunc(list, func(p archive.Private) bool { return p.Pending }) {
			out = append(out, key[1])
		}
	}
	return out, d.fail
}

func (d *Model) CloseVisits(_ context.Context, gateway string, at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for room, visits := range d.visits {
		for i := range visits {
			if room.Gateway == gateway && visits[i].until == 0 {
				visits[i].until = max(at.UnixMicro(), visits[i].since+1, d.last(room)+1)
			}
		}
	}
	return d.fail
}

// last is the time of an archive's last line.
func (d *Model) last(room archive.Room) (at int64) {
	if n := len(d.lines[room]); n > 0 {
		at = d.lines[room][n-1].At
	}
	return at
}

// ArchivesAhead implements archive.Backend.
func (d *Model) ArchivesAhead(_ context.Context, gateway string, at int64) (map[archive.Room]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[archive.Room]int64{}
	note := func(room archive.Room, t int64) {
		if room.Gateway == gateway && t > at {
			out[room] = max(out[room], t)
		}
	}
	for room, visits := range d.visits {
		note(room, d.last(room))
		for _, v := range visits {
			note(room, v.until)
		}
	}
	for room := range d.lines {
		note(room, d.last(room))
	}
	return out, d.fail
}

// AccountState implements archive.Backend.
func (d *Model) AccountState(_ context.Context, gateway, user, network, prefix string) (map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	out := map[string][]byte{}
	for name, value := range d.states[[3]string{gateway, user, network}] {
		if strings.HasPrefix(name, prefix) {
			out[name] = slices.Clone(value)
		}
	}
	return out, nil
}

// ArchiveByNetID implements archive.Backend.
func (d *Model) ArchiveByNetID(ctx context.Context, gateway, user, jid string, netIDs []string) ([]archive.Line, error) {
	d.mu.Lock()
	var keys []archive.Key
	for _, room := range d.views[[3]string{gateway, user, jid}] {
		for _, id := range netIDs {
			keys = append(keys, d.names[room][id]...)
		}
	}
	d.mu.Unlock()
	return d.ArchiveByKey(ctx, gateway, user, jid, keys)
}

// PrivateByID implements archive.Backend.
func (d *Model) PrivateByID(_ context.Context, gateway, user, peer string, ids []string) ([]archive.Private, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []archive.Private
	for _, p := range slices.Backward(d.private[[2]string{gateway, user}]) {
		if p.Peer == peer && (slices.Contains(ids, p.ID) || p.NetID != "" && slices.Contains(ids, p.NetID)) {
			out = append(out, p)
		}
	}
	return out, d.fail
}

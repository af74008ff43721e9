package archive

import (
	"encoding/binary"
	"errors"
)

// Kinds of op in the journal. Numbers are never used again: a journal may have
// been written by an older program.
const (
	opAddLine byte = iota + 1
	opEnter
	opLeave
	opRestrict
	opAmend
	opAddPrivate
	opSettlePrivate
	opSaveState
	opAddNamedLine    // AddLine with Named
	opAddNamedPrivate // AddPrivate with NetID or Extra
	opSaveSealed      // SaveState with Sealed
)

var errDamaged = errors.New("archive: a record of the journal is damaged")

// encoder appends what an op consists of.
type encoder struct{ b []byte }

func (e *encoder) text(s string) {
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) texts(list ...string) {
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) number(n int64) { e.b = binary.AppendVarint(e.b, n) }

func (e *encoder) key(k Key) {
	e.number(k.At)
	e.b = binary.BigEndian.AppendUint32(e.b, k.Tie)
}

func (e *encoder) flags(list ...bool) {
	var f byte
	for i, set := range list {
		if set {
			f |= 1 << i
		}
	}
	e.b = append(e.b, f)
}

func (e *encoder) room(r *Room) { e.texts(r.Gateway, r.Network, r.Room, r.Owner) }

// appendOp appends an op to b.
func appendOp(b []byte, op Op) []byte {
	e := encoder{b}
	switch op := op.(type) {
	case *AddLine:
		l := &op.Line
		kind := opAddLine
		if op.Named {
			kind = opAddNamedLine
		}
		e.b = append(e.b, kind)
		e.room(&op.Room)
		e.key(l.Key)
		e.flags(l.Self)
		e.texts(l.Only, l.Except, l.Nick, l.Body, l.ID, l.NetID, l.Occupant, string(l.Extra))
		e.number(l.Edited)
		e.number(l.Retracted)
	case *Enter:
		e.b = append(e.b, opEnter)
		e.room(&op.Room)
		e.texts(op.User, op.JID)
		e.number(op.At)
	case *Leave:
		e.b = append(e.b, opLeave)
		e.room(&op.Room)
		e.text(op.User)
		e.number(op.At)
	case *Restrict:
		e.b = append(e.b, opRestrict)
		e.room(&op.Room)
		e.key(op.Key)
		e.texts(op.Only, op.Except)
	case *Amend:
		e.b = append(e.b, opAmend)
		e.room(&op.Room)
		e.key(op.Key)
		e.texts(op.Body, string(op.Extra))
		e.number(op.Edited)
		e.number(op.Retracted)
	case *AddPrivate:
		p := &op.Private
		kind := opAddPrivate
		more := p.NetID != "" || len(p.Extra) > 0
		if more {
			kind = opAddNamedPrivate
		}
		e.b = append(e.b, kind)
		e.texts(op.Gateway, op.User)
		e.key(p.Key)
		e.flags(p.Out, p.Pending)
		e.texts(p.Peer, p.Nick, p.Via, p.ID, p.Body)
		if more {
			e.texts(p.NetID, string(p.Extra))
		}
	case *SettlePrivate:
		e.b = append(e.b, opSettlePrivate)
		e.texts(op.Gateway, op.User)
		e.key(op.Key)
		e.flags(op.Again)
	case *SaveState:
		kind := opSaveState
		if op.Sealed {
			kind = opSaveSealed
		}
		e.b = append(e.b, kind)
		e.texts(op.Gateway, op.User, op.Network)
		e.number(int64(len(op.Changes)))
		for name, value := range op.Changes {
			e.text(name)
			e.flags(value == nil)
			e.text(string(value))
		}
	}
	return e.b
}

// decoder reads what an encoder wrote. After a fault everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) text() string {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	d.take(size)
	return string(d.take(int(n)))
}

func (d *decoder) texts(to ...*string) {
	for _, s := range to {
		*s = d.text()
	}
}

func (d *decoder) bytes() []byte {
	if s := d.text(); s != "" {
		return []byte(s)
	}
	return nil
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.bad = true
		return 0
	}
	d.take(size)
	return n
}

func (d *decoder) key() (k Key) {
	k.At = d.number()
	if tie := d.take(4); tie != nil {
		k.Tie = binary.BigEndian.Uint32(tie)
	}
	return k
}

func (d *decoder) flags(to ...*bool) {
	f := d.take(1)
	for i, set := range to {
		*set = f != nil && f[0]&(1<<i) != 0
	}
}

func (d *decoder) room(r *Room) { d.texts(&r.Gateway, &r.Network, &r.Room, &r.Owner) }

// decodeOp reads one op, which is all of b.
func decodeOp(b []byte) (Op, error) {
	d := decoder{b: b}
	kind := d.take(1)
	if kind == nil {
		return nil, errDamaged
	}
	op := d.op(kind[0])
	if d.bad || op == nil || len(d.b) > 0 {
		return nil, errDamaged
	}
	return op, nil
}

func (d *decoder) op(kind byte) Op {
	switch kind {
	case opAddLine, opAddNamedLine:
		op := &AddLine{Named: kind == opAddNamedLine}
		l := &op.Line
		d.room(&op.Room)
		l.Key = d.key()
		d.flags(&l.Self)
		d.texts(&l.Only, &l.Except, &l.Nick, &l.Body, &l.ID, &l.NetID, &l.Occupant)
		l.Extra, l.Edited, l.Retracted = d.bytes(), d.number(), d.number()
		return op
	case opEnter:
		op := &Enter{}
		d.room(&op.Room)
		d.texts(&op.User, &op.JID)
		op.At = d.number()
		return op
	case opLeave:
		op := &Leave{}
		d.room(&op.Room)
		op.User, op.At = d.text(), d.number()
		return op
	case opRestrict:
		op := &Restrict{}
		d.room(&op.Room)
		op.Key = d.key()
		d.texts(&op.Only, &op.Except)
		return op
	case opAmend:
		op := &Amend{}
		d.room(&op.Room)
		op.Key, op.Body, op.Extra, op.Edited, op.Retracted = d.key(), d.text(), d.bytes(), d.number(), d.number()
		return op
	case opAddPrivate, opAddNamedPrivate:
		op := &AddPrivate{}
		p := &op.Private
		d.texts(&op.Gateway, &op.User)
		p.Key = d.key()
		d.flags(&p.Out, &p.Pending)
		d.texts(&p.Peer, &p.Nick, &p.Via, &p.ID, &p.Body)
		if kind == opAddNamedPrivate {
			p.NetID, p.Extra = d.text(), d.bytes()
		}
		return op
	case opSettlePrivate:
		op := &SettlePrivate{}
		d.texts(&op.Gateway, &op.User)
		op.Key = d.key()
		d.flags(&op.Again)
		return op
	case opSaveState, opSaveSealed:
		op := &SaveState{Changes: map[string][]byte{}, Sealed: kind == opSaveSealed}
		d.texts(&op.Gateway, &op.User, &op.Network)
		for n := d.number(); n > 0 && !d.bad; n-- {
			name, gone := d.text(), false
			d.flags(&gone)
			value := []byte(d.text())
			if gone {
				value = nil
			}
			op.Changes[name] = value
		}
		return op
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"transportd/archive"
	"transportd/store"
)

// backlog is old lines that are in the archive of the first user's room before the gateway starts, each with its number in its
// text: each page of them is known beforehand.
type backlog struct {
	lines int
	// at is when a line was said, in microseconds; the later its number, the later.
	at func(i int) int64

	gone int // so many of the first are to have been removed
	back int // read from the database in the end
}

// backlogSender is the sender in the text of old lines.
const backlogSender = 99_999

// backlogNick said them.
const backlogNick = "carol"

// key is the place of line i in the archive.
func (s *backlog) key(i int) archive.Key { return archive.Key{At: s.at(i), Tie: uint32(i)} }

// after is the place behind the last line.
func (s *backlog) after() archive.Key { return archive.Key{At: s.at(s.lines-1) + 1} }

// evenly lays lines in steps from a moment on.
func evenly(from time.Time, step time.Duration) func(int) int64 {
	return func(i int) int64 { return from.UnixMicro() + int64(i)*step.Microseconds() }
}

// backlogBatch is how many lines are stored in one transaction.
const backlogBatch = 10_000

// fill stores the lines as heard by the first user, through the store, before the gateway has opened it.
func (s *backlog) fill(ctx context.Context, r *rig) error {
	db, err := store.Open(ctx, store.Options{Path: databaseFile(r.dir), KeyFile: keyFile(r.dir)})
	if err != nil {
		return fmt.Errorf("old lines: %w", err)
	}
	err = s.store(ctx, db, r.users[1], r.sub.network())
	if err2 := db.Close(); err == nil {
		err = err2
	}
	return err
}

func (s *backlog) store(ctx context.Context, db archive.Backend, u *user, network string) error {
	room := archive.Room{Gateway: gatewayDomain, Network: network, Room: u.chann}
	ops := []archive.Op{&archive.Enter{Room: room, User: u.name + "@" + userDomain, JID: u.room, At: s.at(0)}}
	for i := range s.lines {
		ops = append(ops, &archive.AddLine{Room: room, Line: archive.Line{
			Key: s.key(i), Nick: backlogNick, Body: string(appendBody(nil, backlogSender, uint64(i), 0)),
		}})
		if len(ops) >= backlogBatch {
			if err := db.WriteArchive(ctx, ops); err != nil {
				return fmt.Errorf("old lines: %w", err)
			}
			ops = ops[:0]
		}
	}
	ops = append(ops, &archive.Leave{Room: room, User: u.name + "@" + userDomain, At: s.at(s.lines-1) + 1})
	if err := db.WriteArchive(ctx, ops); err != nil {
		return fmt.Errorf("old lines: %w", err)
	}
	return nil
}

// answer is the lines of one page of an archive as they arrive. Guarded by rig.mu.
type answer struct {
	query string // its id
	lines []answerLine
}

// answerLine is one of them: its id and what it says.
type answerLine struct {
	id   string
	body body
}

// archived takes note of a line of an archive that a user has asked for.
func (r *rig) archived(u *user, s stanza) {
	result := s.all[len(s.head):]
	result = result[:bytes.IndexByte(result, '>')+1]
	b, err := parseBody(s.text("<body"))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer == nil || string(attr(result, " queryid=")) != r.answer.query || u != r.users[1] {
		r.led.report(faultUnasked, 1, "for %s: %.300q", u.name, s.all)
		return
	}
	if err != nil {
		r.led.report(faultAltered, 1, "in the archive: %.300q", s.all)
		return
	}
	r.answer.lines = append(r.answer.lines, answerLine{string(attr(result, " id=")), b})
}

// account checks that a page holds the old lines first, first+1 … and no others, in their order and under their ids.
func (s *backlog) account(led *ledger, a *answer, first, count int) {
	for i := range max(count, len(a.lines)) {
		switch {
		case i >= len(a.lines):
			led.report(faultLost, uint64(count-i), "%d lines of a page that begins at %d", count-i, first)
			return
		case i >= count:
			led.report(faultUnasked, uint64(len(a.lines)-i), "lines beyond the page that begins at %d", first)
			return
		}
		l, want := a.lines[i], first+i
		if l.body.sender != backlogSender || l.body.seq != uint64(want) || l.id != s.key(want).String() {
			led.report(faultMisrouted, 1, "in a page that begins at %d: line %d of sender %d, id %s, in place of %d", first, l.body.seq, l.body.sender, l.id, want)
			return
		}
	}
}

// returned takes note of an old line that was read from the database after the gateway has ended.
func (s *backlog) returned(led *ledger, u *user, l *archive.Line, seq uint64) {
	want := s.gone + s.back
	s.back++
	if u.number != 1 {
		led.report(faultMisrouted, 1, "user %d sees line %d from before they came", u.number, seq)
	} else if seq != uint64(want) || l.Key != s.key(want) {
		led.report(faultUnrecorded, 1, "the archive has old line %d with id %s in the place of line %d", seq, l.Key, want)
	}
}

// accountReturned checks that none is missing.
func (s *backlog) accountReturned(led *ledger) {
	if n := s.lines - s.gone - s.back; n > 0 {
		led.report(faultUnrecorded, uint64(n), "%d of %d old lines are not in the archive any more", n, s.lines-s.gone)
	}
}

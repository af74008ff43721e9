package clients

import (
	"context"
	"fmt"
	"time"

	"transportd/archive"
)

// lineCount is how many lines the room has from the start, and fresh how many of
// them are of the last day: Gajim asks for no more when it sees a room first.
const (
	lineCount = 100_000
	fresh     = 2_000
)

// nicks are who said them, in turn.
var nicks = []string{"ada", "ben", "cleo"}

// past is the room's past: line n, from 1, was said by speaker(n) at at(n).
type past struct{ now time.Time }

// at is when line n was said, to the microsecond.
func (p past) at(n int) time.Time {
	odd := time.Duration(n*7919%1_000_000) * time.Microsecond
	if n > lineCount-fresh {
		return p.now.Add(-5*time.Minute - time.Duration(lineCount-n)*30*time.Second + odd)
	}
	return p.now.Add(-48*time.Hour - time.Duration(lineCount-fresh-n)*250*time.Second + odd)
}

func speaker(n int) string { return nicks[n%len(nicks)] }

func text(n int) string { return fmt.Sprintf("line %d", n) }

// key is the id of line n.
func (p past) key(n int) archive.Key { return archive.Key{At: p.at(n).UnixMicro(), Tie: uint32(n)} }

// gone is an id of the moment between line n and the next; no line has it.
func (p past) gone(n int) string {
	k := p.key(n)
	k.At++
	return k.String()
}

// fill writes the past to a database, as what users heard who were there.
func (p past) fill(ctx context.Context, db archive.Backend, room archive.Room, jid string, users ...string) error {
	var ops []archive.Op
	for _, u := range users {
		ops = append(ops, &archive.Enter{Room: room, User: u, JID: jid, At: p.at(1).UnixMicro()})
	}
	for n := 1; n <= lineCount; n++ {
		ops = append(ops, &archive.AddLine{Room: room, Line: archive.Line{Key: p.key(n), Nick: speaker(n), Body: text(n)}})
		if len(ops) >= 5000 || n == lineCount {
			if err := db.WriteArchive(ctx, ops); err != nil {
				return fmt.Errorf("filling the archive: %w", err)
			}
			ops = ops[:0]
		}
	}
	return nil
}

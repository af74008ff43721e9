package matrix

import (
	"context"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// leftOut notes that not all was fetched of what was said since the session was told of a
// room: the next line of it says so.
func (n *network) leftOut(r *room) {
	if r == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.missing.IsZero() && r.seen.At > 0 {
		r.missing = time.UnixMilli(r.seen.At)
	}
}

// fillGaps fetches what an answer has left out of rooms that are reported, oldest
// first. What cannot be had is left out: it can still be asked for as history.
func (n *network) fillGaps(ctx context.Context, resp *mautrix.RespSync) map[id.RoomID][]*event.Event {
	gaps := map[id.RoomID][]*event.Event{}
	if n.since == "" {
		return gaps
	}
	n.mu.Lock()
	directs := maps.Clone(n.directs)
	n.mu.Unlock()
	for _, ev := range resp.AccountData.Events {
		if ev.Type.Type == event.AccountDataDirectChats.Type {
			directs = readDirects(ev.Content.VeryRaw)
		}
	}
	for rid, jr := range resp.Rooms.Join {
		if !jr.Timeline.Limited || jr.Timeline.PrevBatch == "" {
			continue
		}
		n.mu.Lock()
		r := n.rooms[rid]
		reported := directs[rid] != ""
		if r != nil && !reported {
			_, reported = n.place(r)
			reported = reported || r.opening
		}
		n.mu.Unlock()
		if !reported {
			continue
		}
		var missing []*event.Event
		from, found := jr.Timeline.PrevBatch, false
		for page := 0; !found && from != ""; page++ {
			if page == gapPages {
				n.leftOut(r)
				break
			}
			var msgs *mautrix.RespMessages
			err := n.d.request(ctx, func(ctx context.Context) (err error) {
				msgs, err = getMessages(ctx, n.client(), rid, from, n.since, lazily, gapLines)
				return err
			})
			if err != nil {
				n.leftOut(r)
				break
			}
			if len(msgs.Chunk) == 0 {
				break
			}
			if r != nil {
				n.learn(r, msgs.State)
			}
			for _, ev := range msgs.Chunk {
				if r != nil && (slices.Contains(r.recent, ev.ID) || ev.ID == r.seen.ID) {
					found = true
					break
				}
				missing = append(missing, ev)
			}
			from = msgs.End
		}
		slices.Reverse(missing)
		gaps[rid] = missing
	}
	return gaps
}

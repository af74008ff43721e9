package matrix

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Times and sizes of the sync loop.
const (
	pollTime   = 30 * time.Second // a poll waits at the homeserver
	maxRefused = 5                // polls in a row that the homeserver wants later
	maxPause   = 2 * time.Minute  // that it may ask for; longer is a lost connection
	gapPages   = 5                // that are fetched where an answer leaves lines out
	gapLines   = 100              // of one
	firstTail  = 1                // lines of each room in the first answer: only which there are counts
	tail       = 30               // lines of each room in the others
)

// filter is what an answer brings: members where they are needed, no presence at first.
func filter(first bool) string {
	lines, presence := tail, []string{"m.presence"}
	if first {
		lines, presence = firstTail, []string{}
	}
	raw, err := json.Marshal(map[string]any{
		"presence":     map[string]any{"types": presence},
		"account_data": map[string]any{"types": []string{"m.direct", "m.ignored_user_list"}},
		"room": map[string]any{
			"timeline":     map[string]any{"limit": lines, "lazy_load_members": true},
			"state":        map[string]any{"lazy_load_members": true},
			"ephemeral":    map[string]any{"types": []string{"m.typing", "m.receipt"}},
			"account_data": map[string]any{"types": []string{}},
		},
	})
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return string(raw)
}

var firstFilter, nextFilter = filter(true), filter(false)

// serve asks for news until that fails: handles an answer, commits its token, asks
// again.
func (n *network) serve(ctx context.Context) *bridges.Error {
	n.setOld(n.since != "")
	wait := time.Duration(0) // the first answer is what there is
	pace := pacer{tokens: pollBurst, at: time.Now()}
	for refused := 0; ; {
		if !sleep(ctx, pace.next(time.Now())) {
			return errOffline()
		}
		free, err := n.takeFirst(ctx)
		if err != nil {
			return err
		}
		resp, err := n.poll(ctx, wait)
		if err != nil {
			free()
		}
		if err != nil && err.Kind == bridges.RateLimited && refused < maxRefused && err.RetryAfter <= maxPause {
			refused++
			if !sleep(ctx, max(err.RetryAfter, time.Second)) {
				return errOffline()
			}
			continue
		}
		if err != nil {
			return n.lost(err)
		}
		refused = 0
		e := n.handle(ctx, resp)
		free()
		if e != nil {
			return bridges.AsError(e)
		}
		if n.caught() { // keys may have come that nobody lived to make use of
			n.reveal(func(id.SessionID, unreadable) bool { return true })
		}
		wait = pollTime
	}
}

// pacer spaces the polls of an account: a homeserver that answers each of them at once,
// with nothing or with the same again, must not keep a processor busy.
type pacer struct {
	tokens float64
	at     time.Time
}

// Polls that may follow each other at once, and how many a second beyond that.
const (
	pollBurst = 100
	pollRate  = 20
)

// next is how long the next poll has to wait.
func (p *pacer) next(now time.Time) time.Duration {
	p.tokens = min(pollBurst, p.tokens+now.Sub(p.at).Seconds()*pollRate) - 1
	p.at = now
	if p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / pollRate * float64(time.Second))
}

// takeFirst waits until a first answer may be asked for: those may be long, and are in
// memory until they are handled, so they are few at a time over all accounts. Not all of
// them are of one homeserver, which may be slow. free is called when it is handled.
func (n *network) takeFirst(ctx context.Context) (free func(), err *bridges.Error) {
	if n.since != "" {
		return func() {}, nil
	}
	slots := []chan struct{}{n.d.firstsOf(n.creds.base.Host), n.d.firsts}
	for i, s := range slots {
		select {
		case s <- struct{}{}:
		case <-ctx.Done():
			if i > 0 {
				<-slots[0]
			}
			return nil, errOffline()
		}
	}
	return sync.OnceFunc(func() {
		<-slots[1]
		<-slots[0]
	}), nil
}

// poll makes one request for news.
func (n *network) poll(ctx context.Context, wait time.Duration) (*mautrix.RespSync, *bridges.Error) {
	first := n.since == ""
	req := mautrix.ReqSync{Since: n.since, Timeout: int(wait.Milliseconds()), FilterID: nextFilter, SetPresence: n.shownPresence()}
	patience := n.d.cfg.Timeout + wait
	if first {
		req.FilterID, patience = firstFilter, max(patience, 5*time.Minute)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := getSync(ctx, n.client(), req)
	if err != nil {
		return nil, failure(ctx, err)
	}
	if resp == nil || resp.NextBatch == "" {
		return nil, &bridges.Error{Kind: bridges.TemporaryRefuse, Text: "The homeserver's answer could not be understood."}
	}
	return resp, nil
}

// there is a list of events without those that cannot be.
func there(list []*event.Event) []*event.Event {
	return slices.DeleteFunc(list, func(ev *event.Event) bool { return sane(ev) == nil })
}

// setOld says whether what answers bring was said before this connection.
func (n *network) setOld(old bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.old = old
}

// caught goes on with what waited for the first answer: nothing that comes from here on
// was said before. It tells whether that was the first answer.
func (n *network) caught() (first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.old = false
	if !n.caughtUp {
		n.caughtUp = true
		n.work()
		return true
	}
	return false
}

func (n *network) client() *mautrix.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cli
}

func (n *network) shownPresence() event.Presence {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.presence
}

// handle takes one answer: keys before the lines they open, then what is new of
// people and rooms, then the token, which is stored behind all of it.
func (n *network) handle(ctx context.Context, resp *mautrix.RespSync) error {
	if m := n.machineNow(); m != nil {
		m.Sync(ctx, resp, n.since)
	}
	t := n.begin()
	defer t.release()
	gaps := n.fillGaps(ctx, resp) // within the turn: no room is entered meanwhile
	t.replay, t.first = n.old, n.since == ""
	t.accountData(resp.AccountData.Events)
	t.tellBelongs()
	for _, rid := range sortedRooms(resp.Rooms.Invite) {
		t.invited(rid, resp.Rooms.Invite[rid].State.Events)
	}
	for _, rid := range sortedRooms(resp.Rooms.Leave) {
		t.left(ctx, rid, resp.Rooms.Leave[rid])
	}
	for _, rid := range sortedRooms(resp.Rooms.Join) {
		t.joined(ctx, rid, resp.Rooms.Join[rid], gaps[rid])
		// Events of one room go out before the next is looked at: memory stays small.
		if err := t.flush(ctx); err != nil {
			t.release()
			return err
		}
	}
	n.mu.Lock()
	t.updateContacts()
	t.retitle()
	n.mu.Unlock()
	if t.first { // all there is to know of them is in it
		t.tellBelongs()
	}
	t.presences(n.heardOf(resp.Presence.Events))
	n.mu.Lock()
	n.since = resp.NextBatch
	n.mu.Unlock()
	t.putRaw(stateSync, []byte(resp.NextBatch))
	err := t.end(ctx)
	n.wake(resp)
	return err
}

func sortedRooms[V any](rooms map[id.RoomID]V) []id.RoomID {
	out := make([]id.RoomID, 0, len(rooms))
	for rid := range rooms {
		out = append(out, rid)
	}
	slices.Sort(out)
	return out
}

// wake goes on with those who wait for a room to be there.
func (n *network) wake(resp *mautrix.RespSync) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for rid := range resp.Rooms.Join {
		for _, c := range n.waiting[rid] {
			close(c)
		}
		delete(n.waiting, rid)
	}
}

package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// nowhere is a sink that takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Emit(context.Context, bridges.Event) error       { return nil }
func (nowhere) Commit(context.Context, map[string][]byte) error { return nil }
func (nowhere) Go(f func(context.Context))                      { go f(context.Background()) }

// seated is a link without a connection, in one room of so many members.
func seated(tb testing.TB, members int) (*network, *room) {
	tb.Helper()
	n := &network{d: newDriver(tb, Config{}), sink: nowhere{}, store: &memory{}, creds: credentials{user: "@alice:hs.test"}}
	n.reset()
	r := &room{id: "!room:hs.test", open: true, people: map[id.UserID]*member{}, nicks: newNicks()}
	r.JoinRule = "public"
	n.rooms[r.id], n.since = r, "s1"
	t := n.begin()
	defer t.release()
	for i := range members {
		t.enter(r, id.UserID(fmt.Sprintf("@member%d:hs.test", i)), profile{Name: fmt.Sprint("Member ", i)})
	}
	return n, r
}

// answers are what a homeserver says with one event each.
var answers = []struct{ name, event string }{
	{"text", `{"type":"m.room.message","content":{"msgtype":"m.text","body":"a line of some eighty letters, as people write them when they have to say something"}}`},
	{"html", `{"type":"m.room.message","content":{"msgtype":"m.text","body":"a line with *looks* and a [link](https://example.org/) for Member 3","format":"org.matrix.custom.html",
		"formatted_body":"<p>a line with <em>looks</em> and a <a href=\"https://example.org/\">link</a> for <a href=\"https://matrix.to/#/@member3:hs.test\">Member 3</a></p>"}}`},
	{"reply", `{"type":"m.room.message","content":{"msgtype":"m.text","body":"> <@member3:hs.test> earlier\n\nan answer","m.relates_to":{"m.in_reply_to":{"event_id":"$earlier"}}}}`},
	{"reaction", `{"type":"m.reaction","content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"$earlier","key":"👍"}}}`},
	{"rename", `{"type":"m.room.member","state_key":"@member77:hs.test","content":{"membership":"join","displayname":"Name %d"}}`},
	{"image", `{"type":"m.room.message","content":{"msgtype":"m.image","body":"a.png","url":"mxc://hs.test/abc","info":{"mimetype":"image/png","size":1234,"w":10,"h":10}}}`},
}

// BenchmarkEvent is one event from a homeserver's answer to what the session gets, in a
// room of 500, with the answer decoded and what it changes stored in memory (goal: 100 µs).
func BenchmarkEvent(b *testing.B) {
	for _, a := range answers {
		b.Run(a.name, func(b *testing.B) {
			n, r := seated(b, 500)
			r.wrote("$earlier", "@member3:hs.test")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ev := fmt.Sprintf(`{"event_id":"$e%d","sender":"@member77:hs.test","origin_server_ts":%d,`, i, time.Now().UnixMilli()) + a.event[1:]
				if a.name == "rename" {
					ev = fmt.Sprintf(ev, i)
				}
				raw := `{"next_batch":"s2","rooms":{"join":{"!room:hs.test":{"timeline":{"events":[` + ev + `]}}}}}`
				var resp mautrix.RespSync
				if err := json.Unmarshal([]byte(raw), &resp); err != nil {
					b.Fatal(err)
				}
				if err := n.handle(context.Background(), &resp); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPowerChange is a change of power in a room of 10,000 of which all are known.
func BenchmarkPowerChange(b *testing.B) {
	n, r := seated(b, 10000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		t := n.begin()
		content := fmt.Sprintf(`{"users":{"@member5:hs.test":%d}}`, 50+i%2)
		key := ""
		ev := &event.Event{Type: event.StatePowerLevels, Sender: "@member5:hs.test", StateKey: &key, Content: event.Content{VeryRaw: json.RawMessage(content)}}
		t.state(context.Background(), r, ev, true)
		if err := t.end(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnterBigRoom is entering a room of 10,000 on a homeserver that is near.
func BenchmarkEnterBigRoom(b *testing.B) {
	srv := matrixtest.Start(b, matrixtest.Config{NoRecord: true})
	_, r, people := crowd(b, srv, 10000)
	for i := range 60 {
		people[i*100].Say(r, fmt.Sprint("line ", i))
	}
	l := openLink(b, srv, Config{}, nil).online()
	b.ReportAllocs()
	for b.Loop() {
		l.join(r)
		l.ok(l.net.Leave(l.nextRef(), bridges.RoomID(r.ID), ""))
		want(l, "Left", func(e *bridges.Left) bool { return e.Self })
	}
}

// BenchmarkFirstAnswer is the first answer of an account with 1,000 rooms, from asking
// until it is handled, beside what decoding it costs.
func BenchmarkFirstAnswer(b *testing.B) {
	srv := matrixtest.Start(b, matrixtest.Config{NoRecord: true})
	manyRooms(srv, 1000)
	b.ReportAllocs()
	for b.Loop() {
		l := openLink(b, srv, Config{}, nil).online()
		srv.Wait(b, "the first answer is not handled", func() bool { return l.stored(stateSync) == 1 && srv.Waiting() == 1 })
		l.stop()
		if err := l.ended(); err != nil {
			b.Fatal(err)
		}
		srv.Wait(b, "the poll is not over", func() bool { return srv.Waiting() == 0 })
	}
}

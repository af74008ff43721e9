//go:build goolm

package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// poison are events that a homeserver may let through, one a line; $ID is an id of their
// own.
var poison = []string{
	`{"type":5,"event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":{},"origin_server_ts":1,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":["$ID"],"sender":"@bob:hs.test","origin_server_ts":1,"content":{}}`,
	`{"type":"m.room.message","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"nameless"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":"now","content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1e400,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":-9223372036854775808,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":9223372036854775807,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":[]}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":null}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":"text"}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"redacts":{},"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"msc4354_sticky":7,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"to_user_id":7,"unsigned":[],"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"unsigned":{"redacted_because":9,"prev_content":9},"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":{},"body":[],"m.relates_to":9,"formatted_body":{},"m.mentions":7}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.image","body":"x","url":5,"info":{"size":-1,"w":1e99,"h":"x","mimetype":[]},"file":{"url":{},"key":4,"iv":[],"hashes":9,"v":{}}}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"nul \u0000 \u000b \ufffe \ud800 end","format":"org.matrix.custom.html","formatted_body":"<b>\u0000\u0001\ufffe</b>"}}`,
	`{"type":"m.room.message","event_id":"$ID\u0000","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@b\u0000ob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"nobody","origin_server_ts":1,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"","origin_server_ts":1,"content":{"msgtype":"m.text","body":"x"}}`,
	`{"type":"m.room.member","state_key":"nobody","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"membership":"join","displayname":"\u0000\n</x>"}}`,
	`{"type":"m.room.member","state_key":"","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"membership":"ban"}}`,
	`{"type":"m.room.member","state_key":"@bob:hs.test","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"membership":5,"displayname":{},"avatar_url":[]}}`,
	`{"type":"m.room.power_levels","state_key":"","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"users":{"@alice:hs.test":1e999},"users_default":"x","ban":-1e99,"events":[]}}`,
	`{"type":"m.room.power_levels","state_key":"","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"users":[],"users_default":{}}}`,
	`{"type":"m.room.create","state_key":"","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"room_version":5,"type":[],"additional_creators":"x"}}`,
	`{"type":"m.room.encryption","state_key":"odd","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"algorithm":[]}}`,
	`{"type":"m.room.tombstone","state_key":"","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"replacement_room":{},"body":[]}}`,
	`{"type":"m.room.topic","state_key":"","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"topic":["x"],"m.topic":7}}`,
	`{"type":"m.space.child","state_key":"\u0000","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"via":"x","order":{}}}`,
	`{"type":"m.reaction","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"m.relates_to":{"rel_type":"m.annotation","event_id":{},"key":[]}}}`,
	`{"type":"m.reaction","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"m.relates_to":{"rel_type":"m.annotation","event_id":"\u0000","key":"\u0000"}}}`,
	`{"type":"m.room.redaction","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"redacts":7,"content":{"redacts":{},"reason":[]}}`,
	`{"type":"m.room.encrypted","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":5,"session_id":{},"sender_key":[]}}`,
	`{"type":"m.poll.start","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"m.poll":{"answers":[[],5,null,{"m.id":{}}],"max_selections":-1,"question":[]}}}`,
	`{"type":"m.location","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"geo_uri":7}}`,
	`{"type":"m.sticker","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"url":[],"info":7,"body":{}}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"deep","deep":` + strings.Repeat("[", 11000) + strings.Repeat("]", 11000) + `}}`,
	`{"type":"m.room.message","event_id":"$ID","sender":"@bob:hs.test","origin_server_ts":1,"content":{"msgtype":"m.text","body":"x","format":"org.matrix.custom.html","formatted_body":"` + strings.Repeat("<b><i>", 5000) + `"}}`,
	`5`, `"x"`, `[]`, `null`, `true`,
}

// poisoned puts all of it before what a list of events has.
func poisoned(list string, round int64, body []byte) []byte {
	var all []string
	for i, ev := range poison {
		all = append(all, strings.ReplaceAll(ev, "$ID", fmt.Sprintf("$poison-%d-%d", round, i)))
	}
	return bytes.ReplaceAll(body, []byte(`"`+list+`":[{`), []byte(`"`+list+`":[`+strings.Join(all, ",")+`,{`))
}

// checkEvents makes sure that what the session was told can be told on.
func (l *linked) checkEvents() {
	l.t.Helper()
	for _, ev := range l.all() {
		m, ok := ev.(*bridges.Message)
		if !ok {
			continue
		}
		for _, s := range []string{m.Body, m.HTML, m.From.Nick, string(m.ID)} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, noXML) {
				l.t.Errorf("%q cannot be told on", s)
			}
		}
		if m.At.Year() < 1970 || m.At.Year() > time.Now().Year()+1 {
			l.t.Errorf("%q was said in the year %d", m.Body, m.At.Year())
		}
	}
}

// TestPoison: an event that is none costs itself, wherever it comes: what stands with it
// is there, and the room can be entered, read and left.
func TestPoison(t *testing.T) {
	for _, c := range []struct{ name, path, list string }{
		{"what is new", "/sync", "events"},
		{"history", "/messages", "chunk"},
		{"members", "/members", "chunk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := publicRoom(srv)
			l := openLink(t, srv, Config{}, nil).online()
			var round atomic.Int64
			srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: c.path, Rewrite: func(b []byte) []byte {
				return poisoned(c.list, round.Add(1), b)
			}})
			bob.Say(r, "before")
			e := l.join(r)
			if _, ok := l.net.Member(e.Room, bridges.UserID(bob.ID)); !ok {
				t.Error("bob is not there")
			}
			for i := range 3 {
				bob.Say(r, fmt.Sprint("line ", i))
				l.heard(fmt.Sprint("line ", i))
			}
			ref := l.say(inRoom(r), "mine")
			want(l, "the outcome", func(m *bridges.Message) bool { return m.Ref == ref })
			lines, _, err := l.net.History(t.Context(), inRoom(r), "", 50)
			if err != nil || len(lines) == 0 {
				t.Errorf("history: %d lines, %v", len(lines), err)
			}
			l.checkEvents()
		})
	}
}

// mutate changes some values of an answer into others of another kind.
func mutate(r *rand.Rand, v any) any {
	if r.IntN(12) == 0 {
		return []any{nil, true, -1, 1e300, json.Number("1e400"), "", "\x00", strings.Repeat("x", 70000), []any{}, map[string]any{}, []any{nil, 1, "x"}, map[string]any{"": map[string]any{"a": nil}}}[r.IntN(12)]
	}
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = mutate(r, v[i])
		}
		if len(v) > 0 && r.IntN(6) == 0 {
			v = append(v, v[r.IntN(len(v))]) // twice
		}
		return v
	case map[string]any:
		for k := range v {
			if v[k] = mutate(r, v[k]); r.IntN(20) == 0 {
				delete(v, k)
			}
		}
	}
	return v
}

// TestMutated: answers with anything anywhere cost the link at worst; when the homeserver
// speaks sense again, so does the link.
func TestMutated(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := encryptedRoom(srv)
			open := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
			l := openLink(t, srv, Config{RetryFor: time.Second}, nil).online()
			l.join(r)
			l.join(open)
			p := openPhone(t, srv, bob, r, id.UserID(bob.ID), id.UserID(l.alice.ID))
			var one sync.Mutex // requests come beside each other
			random := rand.New(rand.NewPCG(seed, seed))
			fault := srv.Inject(matrixtest.Fault{User: l.alice.ID, Rewrite: func(b []byte) []byte {
				var v any
				d := json.NewDecoder(bytes.NewReader(b))
				d.UseNumber()
				if d.Decode(&v) != nil {
					return b
				}
				one.Lock()
				defer one.Unlock()
				v = mutate(random, v)
				if m, ok := v.(map[string]any); ok && m["next_batch"] != nil && random.IntN(4) > 0 {
					m["next_batch"] = "s" + fmt.Sprint(random.IntN(5)) // so that it goes on
				}
				out, err := json.Marshal(v)
				if err != nil {
					return b
				}
				return out
			}})
			for i := range 25 {
				line := bob.Say(open, fmt.Sprint("line ", i))
				p.say("sealed")
				bob.SetName(fmt.Sprint("Bob ", i))
				bob.Typing(open, i%2 == 0)
				bob.Read(open, line)
				bob.React(open, line, "x")
				if i%5 == 0 {
					bob.Direct(l.alice)
				}
				if open.Membership(l.alice) == "join" && i%7 == 0 {
					bob.Kick(open, l.alice, "out")
				}
				_ = l.net.Join(0, open.ID, bridges.JoinOptions{})
				_ = l.net.Send(0, inRoom(r), bridges.Outgoing{Body: "x"})
				_ = l.net.Send(0, inRoom(open), bridges.Outgoing{Body: "x"})
				_ = l.net.React(0, "", inRoom(open), bridges.MessageID(line), []string{"y"})
				_, _, _ = l.net.History(t.Context(), inRoom(r), "", 10)
				select {
				case err := <-l.done:
					if e := bridges.AsError(err); err != nil && (e.Kind == bridges.Internal || e.Text == "") {
						t.Fatalf("Run: %v", err)
					}
					l.run()
				default:
				}
			}
			fault.Remove()
			l.stop()
			l.ended()
			l.checkEvents()
			l = openLink(t, srv, Config{}, nil).online()
			l.join(open)
			bob.Say(open, "sense")
			l.heard("sense")
		})
	}
}

// TestSameToken: a homeserver that always answers at once is not asked at once for ever.
func TestSameToken(t *testing.T) {
	now := time.Now()
	p, waited := pacer{tokens: pollBurst, at: now}, time.Duration(0)
	const polls = 1000
	for range polls {
		d := p.next(now)
		waited += d
		now = now.Add(d)
	}
	if least := time.Duration(polls-pollBurst-1) * time.Second / pollRate; waited < least {
		t.Errorf("%d polls took %v, want %v at least", polls, waited, least)
	}
	now = now.Add(time.Hour)
	for range pollBurst {
		if d := p.next(now); d != 0 {
			t.Fatalf("after an hour a poll waits for %v", d)
		}
	}
}

// TestReadSync: what is not whole is no answer; space and order are as they come.
func TestReadSync(t *testing.T) {
	for _, body := range []string{``, `{`, `{"next_batch":"s1"`, `{"next_batch":"s1","rooms":{"join":{"!a:b":{"timeline":{"events":[`, `{"a":"\`, `[`, `{"a"}`, `{"a":}`, `{"a":1,}x`} {
		if resp, err := readSync([]byte(body)); err == nil && body != `{"a":1,}x` {
			t.Errorf("%s is read as %+v", body, resp)
		}
	}
	resp, err := readSync([]byte(" \n{ \"rooms\" : { \"join\" : { \"!a:b\" : { \"timeline\" : { \"limited\" : true , \"events\" : [ { \"type\" : \"m.x\" , \"event_id\" : \"$1\" , \"content\" : { \"a\" : \"]}\\\\\\\"\" } } , 7 ] , \"prev_batch\" : \"p\" } } , \"!c:d\" : null } } , \"next_batch\" : \"s\\u0031\" } "))
	if err != nil || resp.NextBatch != "s1" || len(resp.Rooms.Join) != 1 {
		t.Fatalf("%+v, %v", resp, err)
	}
	tl := resp.Rooms.Join["!a:b"].Timeline
	if !tl.Limited || tl.PrevBatch != "p" || len(tl.Events) != 1 || string(tl.Events[0].Content.VeryRaw) == "" {
		t.Errorf("%+v", tl)
	}
}

package matrixtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// TestBigRoom opens a room of 10,000 members with the few that matter.
func TestBigRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Big", "alice")
	crowd := r.Populate(10000)
	crowd[77].Say(r, "me")
	j := alice.room(r, `{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true}}}`)
	members := 0
	for _, e := range j.State.Events {
		if e.Type == event.StateMember {
			members++
		}
	}
	if members != 2 || *j.Summary.JoinedMemberCount != 10002 || len(j.Summary.Heroes) != 5 {
		t.Fatalf("%d members, %+v", members, j.Summary)
	}
	if list := must(alice.Members(t.Context(), id.RoomID(r.ID)))(t); len(list.Chunk) != 10002 {
		t.Fatalf("%d members", len(list.Chunk))
	}
}

// TestManyPolls has 200 clients wait; each is answered with its own news alone.
func TestManyPolls(t *testing.T) {
	s := New(t)
	bob := s.User("bob")
	hall := bob.Create(RoomOptions{Preset: "public_chat"})
	const many = 200
	hc := s.Client()
	hc.Transport.(*http.Transport).MaxIdleConnsPerHost = many
	type waiting struct {
		room *Room
		next string
		tok  string
	}
	var all []waiting
	for i := range many {
		u := s.User("user" + itoa(i))
		u.Join(hall)
		tok, _ := u.Login("")
		a, err := s.call(t.Context(), hc, "GET", v3+"sync?set_presence=offline", tok, "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, waiting{bob.Direct(u), a.json(t)["next_batch"].(string), tok})
	}
	answers := make(chan string, many)
	poll := func(w waiting) {
		a, err := s.call(t.Context(), hc, "GET", v3+"sync?set_presence=offline&timeout=60000&since="+w.next, w.tok, "")
		if err != nil {
			answers <- err.Error()
			return
		}
		answers <- a.body
	}
	for i := range all { // the invitation
		a, err := s.call(t.Context(), hc, "GET", v3+"sync?set_presence=offline&since="+all[i].next, all[i].tok, "")
		if err != nil {
			t.Fatal(err)
		}
		all[i].next = a.json(t)["next_batch"].(string)
		go poll(all[i])
	}
	s.Wait(t, "not all wait", func() bool { return s.Waiting() == many })
	s.User("user7").Leave(all[7].room, "no")
	if got := <-answers; !strings.Contains(got, `"leave":{"`+all[7].room.ID) {
		t.Fatal(got)
	}
	s.Wait(t, "others were answered", func() bool { return s.Waiting() == many-1 })
	bob.Say(hall, "to all of you")
	for range many - 1 {
		if got := <-answers; !strings.Contains(got, "to all of you") {
			t.Fatal(got)
		}
	}
}

// crowded is a server with a user in many rooms.
func crowded(b *testing.B, rooms int) (*Server, []*Room, string) {
	s := Start(b, Config{NoRecord: true})
	bob, alice := s.User("bob"), s.User("alice")
	list := make([]*Room, rooms)
	for i := range list {
		list[i] = bob.Create(RoomOptions{Preset: "public_chat", Name: "Room " + itoa(i)})
		alice.Join(list[i])
		for range 20 {
			bob.Say(list[i], "some words that were said here")
		}
	}
	tok, _ := alice.Login("")
	return s, list, tok
}

// BenchmarkFirstSync is the first sync of a user with 1,000 rooms.
func BenchmarkFirstSync(b *testing.B) {
	s, _, tok := crowded(b, 1000)
	hc, size := s.Client(), int64(0)
	for b.Loop() {
		size = get(b, hc, s.URL+v3+"sync?set_presence=offline", tok)
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkNews is a line in one of 1,000 rooms and the sync that brings it.
func BenchmarkNews(b *testing.B) {
	s, list, tok := crowded(b, 1000)
	hc, bob := s.Client(), s.User("bob")
	s.mu.Lock()
	next := s.pos
	s.mu.Unlock()
	for i := 0; b.Loop(); i++ {
		bob.Say(list[i%len(list)], "x")
		get(b, hc, s.URL+v3+"sync?set_presence=offline&since="+token(next), tok)
		next++
	}
}

// BenchmarkThousandPolls is a line that wakes 1,000 clients, each of which polls
// again.
func BenchmarkThousandPolls(b *testing.B) {
	const many = 1000
	s := Start(b, Config{NoRecord: true, NoPresence: true})
	bob := s.User("bob")
	hall := bob.Create(RoomOptions{Preset: "public_chat"})
	hc := s.Client()
	hc.Transport.(*http.Transport).MaxIdleConnsPerHost = many
	ctx, cancel := context.WithCancel(b.Context())
	var polls sync.WaitGroup
	for i := range many {
		u := s.User("user" + itoa(i))
		u.Join(hall)
		tok, _ := u.Login("")
		polls.Go(func() {
			since := ""
			for {
				a, err := s.call(ctx, hc, "GET", v3+"sync?timeout=60000"+since, tok, "")
				if err != nil || a.err != nil {
					return // it is over
				}
				next, _, _ := strings.Cut(strings.TrimPrefix(a.body, `{"next_batch":"`), `"`)
				since = "&since=" + next
			}
		})
	}
	answered := func() int { return s.Counts()["GET "+v3+"sync"] }
	s.Wait(b, "not all wait", func() bool { return s.Waiting() == many })
	base := answered()
	for b.Loop() {
		base += many
		bob.Say(hall, "x")
		s.Wait(b, "not all wait", func() bool { return s.Waiting() == many && answered() == base })
	}
	cancel()
	polls.Wait()
}

func get(b *testing.B, hc *http.Client, url, tok string) int64 {
	req, err := http.NewRequestWithContext(b.Context(), "GET", url, bytes.NewReader(nil))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tok)
	resp, err := hc.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != 200 {
		b.Fatal(resp.Status, err)
	}
	return n
}

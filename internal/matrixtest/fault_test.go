package matrixtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// sendPath is where alice sends with a transaction id.
func sendPath(r *Room, txn string) string {
	return v3 + "rooms/" + r.ID + "/send/m.room.message/" + txn
}

const hello = `{"msgtype":"m.text","body":"hello"}`

func TestRefusals(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	send := func() (answered, object) {
		a := alice.ask("PUT", sendPath(r, "t"), hello)
		o := object{}
		_ = json.Unmarshal([]byte(a.body), &o) // a page is no JSON
		return a, o
	}
	f := RateLimited(1500 * time.Millisecond)
	f.Times = 1
	s.Inject(f)
	if a, o := send(); a.status != 429 || o["errcode"] != "M_LIMIT_EXCEEDED" || o["retry_after_ms"] != 1500.0 || a.header.Get("Retry-After") != "2" {
		t.Fatalf("%+v", a)
	}
	f = Broken(502)
	f.Path, f.Method = "/send/", "PUT"
	in := s.Inject(f)
	if a, _ := send(); a.status != 502 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.HasPrefix(a.body, "{") {
		t.Fatalf("%+v", a)
	}
	must(alice.Whoami(t.Context()))(t) // of another path
	send()
	if in.Remove(); in.Hits() != 2 || len(r.Event(r.Events()[len(r.Events())-1].ID).Body()) != 0 {
		t.Fatalf("%d hits; something was done", in.Hits())
	}
	s.Inject(Fault{User: "@bob:hs.test", Status: 500, Code: "M_UNKNOWN", Text: "Internal server error"})
	if a, _ := send(); a.status != 200 {
		t.Fatalf("a fault of another user's: %+v", a)
	}
	_, err := login(t, s, "carol").SendText(t.Context(), rid, "x")
	wantErr(t, err, mautrix.MForbidden)
	s.Inject(Fault{Status: 401, Code: "M_UNKNOWN_TOKEN", Soft: true, Times: 1})
	if a, o := send(); a.status != 401 || o["soft_logout"] != true {
		t.Fatalf("%+v", a)
	}
}

func TestLimit(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), login(t, s, "bob")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	l := s.Limit("PUT", "/send/", 3, time.Hour)
	for range 3 {
		must(alice.SendText(t.Context(), rid, "x"))(t)
	}
	a := alice.ask("PUT", sendPath(r, "t"), hello)
	if ms := a.json(t)["retry_after_ms"].(float64); a.status != 429 || ms < 3500_000 || ms > 3600_001 {
		t.Fatalf("%+v", a)
	}
	if l.Refused() != 1 || l.Early() != 0 {
		t.Fatal(l.Refused(), l.Early())
	}
	alice.ask("PUT", sendPath(r, "t"), hello)
	must(bob.SendText(t.Context(), rid, "y"))(t)
	if l.Refused() != 2 || l.Early() != 1 {
		t.Fatal(l.Refused(), l.Early())
	}
	l.Remove()
	must(alice.SendText(t.Context(), rid, "x"))(t)
	now := time.Now()
	l = &Limit{burst: 1, every: time.Second, buckets: map[string]*bucket{}}
	for i, step := range []struct{ at, wait time.Duration }{{0, 0}, {0, 1001}, {400, 601}, {1000, 0}, {1500, 501}, {9000, 0}, {9000, 1001}} {
		if got := l.take("", now.Add(step.at*time.Millisecond)); got != step.wait*time.Millisecond {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func TestRedirection(t *testing.T) {
	s := New(t)
	s.Inject(Fault{Path: "versions", Status: 302, Location: s.URL + v3 + "login", Times: 1})
	resp := must(s.Client().Get(s.URL + "/_matrix/client/versions"))(t)
	_ = resp.Body.Close()
	if resp.Request.URL.Path != v3+"login" || resp.StatusCode != 200 {
		t.Fatal(resp.Request.URL, resp.Status)
	}
}

// TestCuts cuts connections before, in the middle of and after what they ask for.
func TestCuts(t *testing.T) {
	for _, tls := range []bool{false, true} {
		s := Start(t, Config{TLS: tls})
		alice := login(t, s, "alice")
		r := public(s, "Room", "alice")
		for cut, stored := range map[Cut]bool{CutBefore: false, CutMiddle: true, CutAfter: true} {
			txn := "cut" + itoa(int(cut))
			in := s.Inject(Fault{Path: "/send/", Times: 1, Cut: cut})
			a, err := s.call(t.Context(), alice.Client.Client, "PUT", sendPath(r, txn), alice.AccessToken, hello)
			if err == nil {
				err = a.err
			}
			if err == nil || (cut == CutMiddle) != (a.status == 200) {
				t.Errorf("TLS %v, %d: an answer came: %+v", tls, cut, a)
			}
			in.Wait(t, 1)
			txns := alice.user.Transactions()
			if got := len(txns) > 0 && txns[len(txns)-1].ID == txn; got != stored {
				t.Errorf("TLS %v, %d: stored is %v", tls, cut, got)
			}
			if a := alice.ask("PUT", sendPath(r, txn), hello); a.status != 200 {
				t.Errorf("TLS %v, %d: sent again: %+v", tls, cut, a)
			}
		}
		count := 0
		for _, e := range r.Events() {
			if e.Body() == "hello" {
				count++
			}
		}
		if count != 3 {
			t.Errorf("TLS %v: %d events of 3 sends and their repeats", tls, count)
		}
	}
}

func TestHoldAndDelay(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	hold := make(chan struct{})
	in := s.Inject(Fault{Path: "/send/", Times: 1, Hold: hold, Delay: time.Millisecond})
	done := make(chan error, 1)
	go func() {
		_, err := alice.SendText(t.Context(), id.RoomID(r.ID), "late")
		done <- err
	}()
	in.Wait(t, 1)
	before := len(r.Events())
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(r.Events()) != before+1 {
		t.Fatal("it was done before it was let go")
	}
	// Who does not wait is let go too.
	in = s.Inject(Fault{Path: "whoami", Times: 1, Hold: make(chan struct{})})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := alice.Whoami(ctx)
		done <- err
	}()
	in.Wait(t, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestStall sends half of an answer to who then has to give up by itself.
func TestStall(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	s.Inject(Fault{Path: "whoami", Skip: 1, Times: 1, Stall: true})
	must(alice.Whoami(t.Context()))(t)
	ctx, cancel := context.WithCancel(t.Context())
	req := must(http.NewRequestWithContext(ctx, "GET", s.URL+v3+"account/whoami", nil))(t)
	req.Header.Set("Authorization", "Bearer "+alice.AccessToken)
	resp := must(alice.Client.Client.Do(req))(t)
	defer func() { _ = resp.Body.Close() }()
	half := make([]byte, resp.ContentLength/2)
	if _, err := io.ReadFull(resp.Body, half); err != nil || half[0] != '{' {
		t.Fatalf("%s, %v", half, err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	must(alice.Whoami(t.Context()))(t)
}

func TestRewrittenAnswers(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	f := NoJSON()
	f.Times = 1
	s.Inject(f)
	if a := alice.ask("GET", v3+"sync", ""); a.status != 200 || json.Valid([]byte(a.body)) {
		t.Fatalf("%+v", a)
	}
	f = Retyped("sender", 5)
	f.Times = 1
	s.Inject(f)
	a := alice.ask("GET", v3+"sync", "")
	if strings.Contains(a.body, `"sender":"`) || !strings.Contains(a.body, `"sender":5`) || a.json(t)["next_batch"] == nil {
		t.Fatalf("%+v", a)
	}
	s.Inject(Fault{Rewrite: func(b []byte) []byte { return b[:len(b)-1] }, Times: 1})
	if a := alice.ask("GET", v3+"sync", ""); json.Valid([]byte(a.body)) {
		t.Fatalf("%+v", a)
	}
	if a := alice.ask("PUT", sendPath(r, "t"), hello); a.status != 200 {
		t.Fatalf("%+v", a)
	}
}

func TestLiesAboutSizes(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	m := alice.user.Upload("f", "text/plain", []byte("0123456789"))
	path := v1 + "media/download/" + strings.TrimPrefix(m.URI, "mxc://")
	const gib = 1 << 30
	get := func(f Fault) *http.Response {
		t.Helper()
		f.Times, f.Path = 1, "media"
		s.Inject(f)
		req := must(http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil))(t)
		req.Header.Set("Authorization", "Bearer "+alice.AccessToken)
		resp := must(alice.Client.Client.Do(req))(t)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	resp := get(Fault{Length: 20}) // more is announced than comes
	if b, err := io.ReadAll(resp.Body); resp.ContentLength != 20 || string(b) != "0123456789" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, %s, %v", resp.ContentLength, b, err)
	}
	resp = get(Fault{Length: 5}) // less
	if b, err := io.ReadAll(resp.Body); resp.ContentLength != 5 || string(b) != "01234" || err != nil {
		t.Errorf("%d, %s, %v", resp.ContentLength, b, err)
	}
	resp = get(Fault{Pad: 3 << 20})
	if n, err := io.Copy(io.Discard, resp.Body); n != 3<<20+10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	resp = get(Fault{Pad: gib}) // and nobody needs to read it
	if resp.ContentLength != gib+10 {
		t.Errorf("%d", resp.ContentLength)
	}
	_ = resp.Body.Close()
	s.Inject(Fault{Path: "sync", Times: 1, Pad: 1 << 20})
	if a := alice.ask("GET", v3+"sync", ""); len(a.body) < 1<<20 || !json.Valid([]byte(a.body)) {
		t.Errorf("%d bytes", len(a.body))
	}
}

// TestOddEvents puts into a room what no client may send.
func TestOddEvents(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	alice.sync()
	r.AddLiteral(`{"type":5,"content":"none"}`)
	r.AddLiteral(`{"event_id":"$x","content":{}}`)
	r.Add(Event{Type: "m.room.message", Sender: "@ghost:nowhere", Content: json.RawMessage(`{"body":["no","text"]}`)})
	a := alice.ask("GET", v3+"sync?since="+alice.next, "")
	events := a.json(t)["rooms"].(object)["join"].(object)[r.ID].(object)["timeline"].(object)["events"].([]any)
	if len(events) != 3 || len(events[0].(object)) != 2 || events[1].(object)["event_id"] != "$x" || events[2].(object)["sender"] != "@ghost:nowhere" {
		t.Fatalf("%+v", events)
	}
}

// TestOutage stops the server under a client that waits, and goes on with what
// was there.
func TestOutage(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	alice.sync()
	poll := alice.poll()
	s.Wait(t, "nobody waits", func() bool { return s.Waiting() == 1 })
	s.Stop()
	if got := <-poll; got.err == nil {
		t.Fatalf("%+v", got)
	}
	_, err := alice.Whoami(t.Context())
	var refused *net.OpError
	if !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	s.User("bob").Say(r, "meanwhile")
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	wantBodies(t, alice.room(r).Timeline.Events, "meanwhile")
}

func TestTLS(t *testing.T) {
	s := Start(t, Config{TLS: true})
	alice := login(t, s, "alice")
	a, err := s.call(t.Context(), s.Client(), "GET", "/_matrix/client/versions", "", "")
	if err != nil || a.status != 200 || !strings.HasPrefix(s.URL, "https://") {
		t.Fatalf("%+v, %v", a, err)
	}
	resp := must(alice.Client.Client.Get(s.URL + "/_matrix/client/versions"))(t)
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatal(resp.Proto)
	}
	if _, err := http.Get(s.URL + "/_matrix/client/versions"); err == nil {
		t.Fatal("the certificate is trusted by everybody")
	}
}

func TestRecords(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	go func() {
		_, _ = alice.SendMessageEvent(t.Context(), id.RoomID(r.ID), event.EventMessage, text("m.text", "hi"))
	}()
	e := r.WaitEvent(t, func(e *Event) bool { return e.Body() == "hi" })
	got := s.WaitRequest(t, func(q Request) bool { return strings.Contains(q.Path, "/send/") })
	if got.User != alice.user.ID || got.Device != string(alice.DeviceID) || got.Status != 200 || got.Method != "PUT" || !strings.Contains(string(got.Body), "hi") {
		t.Fatalf("%+v", got)
	}
	if n := s.Counts()["PUT "+v3+"rooms/{room}/send/{type}/{txn}"]; n != 1 {
		t.Fatalf("%v", s.Counts())
	}
	if e.Sender != alice.user.ID || s.Lookup("@nobody:hs.test") != nil {
		t.Fatalf("%+v", e)
	}
	a, err := s.call(t.Context(), s.Client(), "GET", v3+"account/whoami?access_token="+alice.AccessToken, "", "")
	if err != nil || a.status != 200 {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, q := range s.Requests() {
		if strings.Contains(q.Path, alice.AccessToken) {
			t.Fatal("a token is in the record")
		}
	}
}

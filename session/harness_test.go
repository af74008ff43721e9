package session

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// fakeStream is a stream whose server is the test. What is sent can be looked
// at; requests wait for Answer.
type fakeStream struct {
	mu        sync.Mutex
	up        bool
	sent      []string
	block     chan struct{} // non-nil: Send waits for it
	failAfter int           // non-zero: the stream breaks after so many stanzas
	requests  []*request
	ids       int
	unread    time.Duration // how long the server takes to read what is sent

	granted   component.Privileges
	undecided bool // the server has not said what it grants
}

func (f *fakeStream) Privileges(domain string) (component.Privileges, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if domain != "home.example" || f.undecided {
		return component.Privileges{}, !f.undecided
	}
	return f.granted, true
}

// grants sets what the server grants, and whether it has said so.
func (f *fakeStream) grants(p component.Privileges, said bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.granted, f.undecided = p, !said
}

// Confirmed: the server reads at once, but for unread.
func (f *fakeStream) Confirmed() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(1 - f.unread)
}

// reads sets how long the server takes to read.
func (f *fakeStream) reads(after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unread = after
}

type request struct {
	to   component.JID
	xml  string
	done func(*component.Stanza, error)
}

func (f *fakeStream) Send(ctx context.Context, o *component.Out) error {
	f.mu.Lock()
	block := f.block
	f.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.up {
		o.Release()
		return component.ErrDown
	}
	f.take(o)
	if f.failAfter--; f.failAfter == 0 {
		f.up = false
	}
	return nil
}

func (f *fakeStream) TrySend(o *component.Out) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(o)
	return true
}

// take keeps what the real stream would write; what its guard would refuse is a
// fault no test may make.
func (f *fakeStream) take(o *component.Out) {
	xml, err := component.Encode(o, domain)
	if err != nil {
		panic(err)
	}
	f.sent = append(f.sent, xml)
}

func (f *fakeStream) Request(o *component.Out, timeout time.Duration, done func(*component.Stanza, error)) {
	xml, err := component.Encode(o, domain)
	if err != nil {
		panic(err)
	}
	st, err := component.ParseStanza(xml)
	if err != nil {
		panic(err)
	}
	var once sync.Once
	r := &request{to: st.To, xml: xml}
	t := time.AfterFunc(timeout, func() { once.Do(func() { done(nil, component.ErrTimeout) }) })
	r.done = func(st *component.Stanza, err error) { t.Stop(); once.Do(func() { done(st, err) }) }
	f.mu.Lock()
	f.requests = append(f.requests, r)
	f.mu.Unlock()
}

func (f *fakeStream) NewID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	return fmt.Sprint("id", f.ids)
}

func (f *fakeStream) Up() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.up
}

// memStore is a store in memory.
type memStore struct {
	mu      sync.Mutex
	records map[string]Record
	seats   map[string]Seat
	fail    error
	slow    chan struct{} // not nil: settings are stored once it is closed

	saves     int    // of subscriptions
	forgotten string // the user and room whose history was, last
}

func (m *memStore) KeepsRooms(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for u, r := range m.records {
		if !r.LoggedOut && slices.ContainsFunc(r.Rooms, func(s RoomSetting) bool { return s.Persistent }) {
			out = append(out, u)
		}
	}
	return out, m.fail
}

// failing makes everything fail from now on, or no longer.
func (m *memStore) failing(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// change changes what is stored of a user.
func (m *memStore) change(ctx context.Context, user string, f func(*Record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slow := m.slow; slow != nil {
		m.mu.Unlock()
		select {
		case <-slow:
		case <-ctx.Done():
		}
		m.mu.Lock()
	}
	if err := errors.Join(m.fail, ctx.Err()); err != nil {
		return err
	}
	r := m.records[user]
	r.Rooms = slices.Clone(r.Rooms)
	f(&r)
	m.records[user] = r
	return nil
}

func (m *memStore) SaveRoom(ctx context.Context, user string, set RoomSetting) error {
	return m.change(ctx, user, func(r *Record) {
		r.Rooms = append(slices.DeleteFunc(r.Rooms, func(o RoomSetting) bool { return o.Room == set.Room }), set)
	})
}

func (m *memStore) RemoveRoom(ctx context.Context, user, room string) error {
	return m.change(ctx, user, func(r *Record) {
		r.Rooms = slices.DeleteFunc(r.Rooms, func(o RoomSetting) bool { return o.Room == room })
	})
}

func (m *memStore) SaveSubscriptions(ctx context.Context, user string, subs []Subscription) error {
	return m.change(ctx, user, func(r *Record) {
		r.People = slices.Clone(r.People)
		for _, sub := range subs {
			r.People = slices.DeleteFunc(r.People, func(o Subscription) bool { return o.Address == sub.Address })
			if sub.Sends || sub.Receives || sub.Asked {
				r.People = append(r.People, sub)
			}
		}
		m.saves++
	})
}

func (m *memStore) ForgetHistory(_ context.Context, user, room string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgotten = user + " " + room
	if slow := m.slow; slow != nil {
		m.mu.Unlock()
		<-slow
		m.mu.Lock()
	}
	return m.fail
}

func (m *memStore) SaveDefaults(ctx context.Context, user string, d Defaults) error {
	return m.change(ctx, user, func(r *Record) { r.Defaults = d })
}

func (m *memStore) Record(_ context.Context, user string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[user], m.fail
}

func (m *memStore) LoggedIn(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for u, r := range m.records {
		if !r.LoggedOut && len(r.Accounts) > 0 {
			out = append(out, u)
		}
	}
	return out, m.fail
}

func (m *memStore) Seats(context.Context) ([]Seat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Seat
	for _, s := range m.seats {
		out = append(out, s)
	}
	return out, m.fail
}

func (m *memStore) SaveSeat(s Seat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seats[s.Client+" "+s.Room] = s
}

func (m *memStore) RemoveSeat(client, room string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seats, client+" "+room)
}

// world is a manager with a scripted network and a scripted XMPP server.
type world struct {
	t      *testing.T
	m      *Manager
	stream *fakeStream
	driver *bridgetest.Script
	store  *memStore
	policy Policy
	next   int
	// seenCalls is how many calls of the network have been looked at.
	seenCalls int
	ids       int

	archive *archive.Archive // nil: nothing is recorded
	lines   *archivetest.Model
}

const domain = "gw.example"

func newWorld(t *testing.T) *world {
	return &world{
		t:      t,
		stream: &fakeStream{up: true},
		driver: bridgetest.NewScript(),
		store:  &memStore{records: map[string]Record{}, seats: map[string]Seat{}},
		policy: Policy{Allowed: func(j component.JID) bool { return j.Domain == "home.example" }, OpenJoin: true, Record: true},
	}
}

// scenario runs f in a bubble where time stands still until everybody waits.
func scenario(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.manager()
		defer w.stop() // also after a Fatal: goroutines must not outlive the bubble
		f(w)
	})
}

// recorded is scenario with an archive.
func recorded(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.lines = archivetest.NewModel()
		w.openArchive()
		w.manager()
		defer func() { // also after a Fatal: goroutines must not outlive the bubble
			w.stop()
			if err := w.archive.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(w)
	})
}

func (w *world) openArchive() {
	w.t.Helper()
	var err error
	if w.archive, err = archive.Open(archive.Options{Backend: w.lines}); err != nil {
		w.t.Fatal(err)
	}
}

// restart ends the manager politely and begins another over the same store.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	time.Sleep(time.Second)
	contacts, caps := w.driver.Contacts, w.driver.Caps
	w.driver, w.seenCalls = bridgetest.NewScript(), 0
	w.driver.Contacts, w.driver.Caps = contacts, caps
	w.manager()
	if err := w.m.Begin(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.news()
}

func (w *world) manager() {
	w.m = NewManager(Config{
		Domain: component.JID{Domain: domain}, Name: "Test", Driver: w.driver, Stream: w.stream, Store: w.store,
		Archive: w.archive, OccupantKey: []byte("0123456789abcdef0123456789abcdef"), Policy: func() *Policy { return &w.policy },
	})
}

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.m.Stop(ctx); err != nil {
		w.t.Error("the manager did not stop:", err)
	}
}

// from delivers a stanza as the router would and waits until all is done.
func (w *world) from(xml string) {
	w.t.Helper()
	w.deliver(xml)
	synctest.Wait()
}

func (w *world) deliver(xml string) {
	w.t.Helper()
	st, err := component.ParseStanza(strings.NewReplacer("ALICE", "alice@home.example", "GW", domain).Replace(xml))
	if err != nil {
		w.t.Fatalf("the test's stanza does not parse: %v\n%s", err, xml)
	}
	w.m.Deliver(st)
}

// news is what was sent since the last call.
func (w *world) news() []string {
	synctest.Wait()
	w.stream.mu.Lock()
	defer w.stream.mu.Unlock()
	out := w.stream.sent[w.next:]
	w.next = len(w.stream.sent)
	return out
}

// expect checks that what was sent since the last look is just this, in order:
// each a regular expression that the stanza's XML must match, with every part
// after " & " matching too.
func (w *world) expect(want ...string) {
	w.t.Helper()
	got := w.news()
	for i, pattern := range want {
		if i >= len(got) {
			w.t.Fatalf("missing: %s\ngot only:\n%s", pattern, strings.Join(got, "\n"))
		}
		for _, part := range strings.Split(pattern, " & ") {
			negate := strings.HasPrefix(part, "!")
			if regexp.MustCompile(strings.TrimPrefix(part, "!")).MatchString(got[i]) == negate {
				w.t.Fatalf("stanza %d does not match %q:\n%s\nall:\n%s", i, part, got[i], strings.Join(got, "\n"))
			}
		}
	}
	if len(got) > len(want) {
		w.t.Fatalf("more than expected:\n%s", strings.Join(got[len(want):], "\n"))
	}
}

// join brings a client of alice's into #room on net and forgets what it was shown.
func (w *world) join(resource, nick string) {
	w.t.Helper()
	w.from(fmt.Sprintf("<presence from='ALICE/%s' to='#room%%net@GW/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>", resource, nick))
	found := false
	for _, s := range w.news() {
		found = found || strings.Contains(s, `code="110"`) || strings.Contains(s, `code='110'`)
	}
	if !found {
		w.t.Fatal("the join did not succeed")
	}
}

func (w *world) net() *bridgetest.ScriptNet {
	w.t.Helper()
	synctest.Wait()
	n := w.driver.Net(0)
	if n == nil {
		w.t.Fatal("no network was opened")
	}
	return n
}

// say emits an event and waits until it is shown.
func (w *world) say(ev bridges.Event) {
	w.net().Say(ev)
	synctest.Wait()
}

func (w *world) line(nick, text string) {
	w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person(nick), Body: text})
}

// cut and mend take the stream away and bring it back.
func (w *world) cut() {
	w.stream.mu.Lock()
	w.stream.up = false
	w.stream.mu.Unlock()
	w.answer(component.ErrDown)
	w.m.StreamDown()
	synctest.Wait()
}

func (w *world) mend() {
	w.stream.mu.Lock()
	w.stream.up = true
	w.stream.requests = nil
	w.stream.mu.Unlock()
	w.m.StreamUp()
	synctest.Wait()
}

// answer answers every ping that waits: nil is a result.
func (w *world) answer(err error) int {
	w.stream.mu.Lock()
	requests := w.stream.requests
	w.stream.requests = nil
	w.stream.mu.Unlock()
	for _, r := range requests {
		r.done(nil, err)
	}
	synctest.Wait()
	return len(requests)
}

func (w *world) called(want string) {
	w.t.Helper()
	synctest.Wait()
	for _, c := range w.net().Calls() {
		if strings.TrimSpace(c) == want {
			return
		}
	}
	w.t.Fatalf("the network was not asked %q, only:\n%s", want, strings.Join(w.net().Calls(), "\n"))
}

var errGone = component.NewStanzaError("cancel", "service-unavailable", "")

func (w *world) user() component.JID { return component.JID{Local: "alice", Domain: "home.example"} }

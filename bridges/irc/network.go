package irc

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"transportd/bridges"
	"transportd/bridges/guard"
	"transportd/bridges/irc/ircconn"
)

// network is one user's link to one network.
//
// mu guards everything below it. Lines are handled under it, and what they
// make known is collected in out and emitted after it is released, so that the
// session may call back from inside Emit. All events come from the goroutine
// that runs Run, in the order of the network. While nothing happens, the link
// costs that goroutine and no other.
type network struct {
	account bridges.Account
	route   route
	set     settings
	sink    bridges.Sink
	sts     *ircconn.STSCache
	log     *slog.Logger
	// checking: an account is tried, any nick will do. Set before Run.
	checking bool
	grace    time.Duration // lateGrace
	maxCrowd int           // maxCrowd

	spare []bridges.Event // of the goroutine of Run: the next out

	mu      sync.Mutex
	line    line // being handled
	out     []bridges.Event
	wakes   []time.Duration
	conn    *ircconn.Conn // nil: not connected
	support *ircconn.ISupport
	levels  []level
	phase   phase
	runID   string // unguessable, new with each connection
	since   time.Time

	nick      string // ours, as the network writes it
	mask      string // our user@host as others see it, once known
	login     string // our services account, once known
	wanted    string // the nick we are to have
	away      bool   // the network shows us away
	awayText  string // what the user wants to be away with, kept over connections
	wantAway  bool
	rooms     map[bridges.RoomID]*room
	keys      map[bridges.RoomID]string // keys that have opened channels
	serial    uint32
	crowd     int // people in rooms, at least
	pending   []*pending
	spent     []*pending // failed, with lines that the server has not handled yet
	sends     []*sending
	labels    map[string]labelled
	lastLabel uint64
	batches   map[string]batch
	queries   []*query
	directory directory
	wrote     []bridges.UserID // whom the user has written to, the latest last
	ctcp      ctcpBudget
	recovery  recovery
}

// phase is how far a connection has come.
type phase uint8

const (
	phaseOffline phase = iota
	phaseWelcome       // registered, the server still introduces itself
	phaseLogin         // waiting for services, to log in or to have the nick back
	phaseOnline
)

func newNetwork(a bridges.Account, r route, set settings, sink bridges.Sink, sts *ircconn.STSCache) *network {
	log := a.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &network{account: a, route: r, set: set, sink: sink, sts: sts, log: log, grace: lateGrace, maxCrowd: maxCrowd}
	n.reset("")
	return n
}

// reset forgets the last connection. The case mapping stays until the next
// server says otherwise, so that identifiers do not change meanwhile.
func (n *network) reset(runID string) {
	if n.support == nil {
		n.support = new(ircconn.ISupport)
	}
	n.phase, n.conn, n.runID = phaseOffline, nil, runID
	n.nick, n.mask, n.login, n.away = "", "", "", false
	n.rooms = make(map[bridges.RoomID]*room)
	n.pending, n.spent, n.sends, n.queries = nil, nil, nil, nil
	n.labels, n.batches = nil, nil
	n.directory = directory{}
	n.recovery = recovery{}
	n.wakes = nil
	n.serial, n.crowd = 0, 0
}

// quitPatience bounds how long a polite end waits for the server.
const quitPatience = 2 * time.Second

// Run makes one connection and serves it. An idle link is this goroutine waiting
// in serve, so what connecting needs of the stack is gone by then.
func (n *network) Run(ctx context.Context, start bridges.Start) error {
	conn, err := n.dial(ctx, start)
	if conn == nil {
		return err // nil where ctx ended it
	}
	defer conn.Close()
	return n.live(ctx, conn)
}

// dial makes the connection.
func (n *network) dial(ctx context.Context, start bridges.Start) (*ircconn.Conn, error) {
	n.mu.Lock()
	n.reset(newRunID())
	n.wanted = n.chooseNick(start)
	n.recovery.attended = start.Attended
	opts, problem := n.options(ctx, start)
	n.mu.Unlock()
	if problem != nil {
		return nil, problem
	}
	conn, err := ircconn.Dial(ctx, opts)
	if err != nil {
		return nil, dialError(ctx, err)
	}
	return conn, nil
}

// live serves a connection to its end, politely where ctx asks for it.
func (n *network) live(ctx context.Context, conn *ircconn.Conn) error {
	f := n.farewell(ctx, conn)
	n.attach(conn)
	return f.end(n.serve(f.lasting, conn))
}

// attach begins to serve a connection that the server has welcomed.
func (n *network) attach(conn *ircconn.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conn = conn
	n.phase = phaseWelcome
	n.nick = conn.Welcome()
	n.since = time.Now()
	n.takeSupport(conn.ISupport())
	// The welcome ends with the message of the day or the lack of one; where a
	// server sends neither, the answer to this does it.
	_ = conn.Send("PING", welcomeToken)
}

const welcomeToken = "welcome"

// serve reads until the connection ends. An idle link waits in it, and Go gives
// a stack back by halves, and only while less than a quarter is in use: what
// handling a line needs is in take.
func (n *network) serve(ctx context.Context, conn *ircconn.Conn) error {
	for {
		m, err := conn.Read(ctx)
		if err != nil {
			return n.readError(err)
		}
		if err := n.take(ctx, m); err != nil {
			return err
		}
	}
}

// take handles one message and passes on what it makes known. The error ends
// the connection.
//
//go:noinline
func (n *network) take(ctx context.Context, m *ircconn.Message) error {
	n.mu.Lock()
	n.handle(m)
	giveUp := n.recovery.failure
	events, wakes := n.collected()
	n.mu.Unlock()
	if err := n.pass(ctx, events, wakes); err != nil {
		return bridges.AsError(err)
	}
	if giveUp != nil {
		return giveUp
	}
	return nil
}

// flush emits what has been collected. Only the goroutine of Run calls it.
func (n *network) flush(ctx context.Context) error {
	n.mu.Lock()
	events, wakes := n.collected()
	n.mu.Unlock()
	return n.pass(ctx, events, wakes)
}

// collected takes what is to be passed on. mu is held.
func (n *network) collected() ([]bridges.Event, []time.Duration) {
	events, wakes := n.out, n.wakes
	n.out, n.spare, n.wakes = n.spare, nil, nil
	return events, wakes
}

// maxSpare is how long a list of events is used again: most lines make one
// event, and an idle link is to keep little.
const maxSpare = 8

// pass emits events and starts waits, without mu: the session may call back.
func (n *network) pass(ctx context.Context, events []bridges.Event, wakes []time.Duration) error {
	for _, after := range wakes {
		n.startWake(after)
	}
	for _, ev := range events {
		if err := n.sink.Emit(ctx, ev); err != nil {
			return err
		}
	}
	if cap(events) <= maxSpare {
		clear(events)
		n.spare = events[:0]
	}
	return nil
}

// detach ends what was under way when the connection was lost.
func (n *network) detach(ctx context.Context) {
	n.mu.Lock()
	written := n.conn.Written()
	n.conn, n.phase = nil, phaseOffline
	n.failAll(written)
	n.mu.Unlock()
	_ = n.flush(ctx)
}

// emit collects an event for flush. mu is held.
func (n *network) emit(ev bridges.Event) { n.out = append(n.out, ev) }

// wake has the reading goroutine look at the state after a while. mu is held.
func (n *network) wake(after time.Duration) { n.wakes = append(n.wakes, after) }

// startWake starts what wake has asked for. It is the only timer of a link,
// and runs only while something is waited for that no fence bounds: it asks
// the server for a PONG, which comes in order with everything else.
func (n *network) startWake(after time.Duration) {
	n.sink.Go(func(ctx context.Context) {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.conn != nil {
				_ = n.conn.Send("PING", wakeToken)
			}
		}
	})
}

const wakeToken = "wake"

// chooseNick decides the nick of a connection: the one the user has set, else
// the one asked for now, else the one of the last connection.
func (n *network) chooseNick(start bridges.Start) string {
	switch {
	case n.wanted == "" || start.Attended:
		return or(n.set.nick, or(start.Nick, or(n.wanted, n.account.Nick)))
	}
	return n.wanted
}

// options describes the connection to be made. mu is held.
func (n *network) options(ctx context.Context, start bridges.Start) (ircconn.Options, *bridges.Error) {
	l := n.route.link
	o := ircconn.Options{
		Endpoints: n.route.endpoints(n.set.ports),
		Limiter:   n.route.limiter,
		STS:       n.sts,
		TLS: ircconn.TLSOptions{
			Insecure: !l.verify, RootCAs: l.roots, Pins: l.pins, Certificate: n.set.certificate,
		},
		Nick:     n.wanted,
		User:     or(n.set.username, username(n.wanted)),
		RealName: or(n.set.realname, n.wanted),
		Password: n.set.serverPass,
		Caps:     l.wantedCaps(),
		Fallback: n.set.fallback,
		Flood:    ircconn.FloodLimits{Burst: l.Burst, Every: l.Interval},
		Nicks:    n.recovery.nicks(n, start),
		Log:      n.log,
		OnProgress: func(text string) {
			_ = n.sink.Emit(ctx, &bridges.State{Kind: bridges.Connecting, Text: text})
		},
		Go: func(f func()) { n.sink.Go(func(context.Context) { f() }) },
	}
	if !l.private {
		o.Allow = guard.PublicOnly
	}
	if l.source.IsValid() {
		o.Dial = dialFrom(l.source)
	}
	if (n.set.password != "" || n.set.certificate != nil) && !slices.Contains(l.DisableCaps, "sasl") {
		o.SASL = &ircconn.SASL{Account: n.services(), Password: n.set.password, Identity: n.set.account}
	}
	if text := badName(n.wanted, bridges.AddressPerson); text != "" {
		return o, &bridges.Error{Kind: bridges.Invalid, Text: text, Permanent: true}
	}
	if len(o.Endpoints) == 0 {
		return o, &bridges.Error{Kind: bridges.Forbidden, Text: "Connections without TLS are not allowed here.", Permanent: true}
	}
	return o, nil
}

// username makes the part before the @ of a nick: servers take letters, digits
// and little else, and cut it at ten characters.
func username(nick string) string {
	name := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return -1
	}, strings.ToLower(nick))
	return or(name[:min(len(name), 10)], "user")
}

func newRunID() string {
	var b [10]byte
	rand.Read(b[:])
	return base32.StdEncoding.EncodeToString(b[:])
}

// write queues lines. mu is held. The error is for the user.
func (n *network) write(lines ...ircconn.Line) (last uint64, err error) {
	if n.conn == nil {
		return 0, errOffline()
	}
	last, err = n.conn.Write(lines...)
	return last, writeError(err)
}

// send queues one line of ours whose outcome nobody waits for. mu is held.
func (n *network) send(command string, params ...string) {
	if _, err := n.write(ircconn.Line{Command: command, Params: params}); err != nil {
		n.log.Debug("irc: line not queued", "command", command, "err", err)
	}
}

// online tells whether actions are possible. mu is held.
func (n *network) online() bool { return n.conn != nil && n.phase == phaseOnline }

func (n *network) fold(name string) string { return n.support.Fold(name) }

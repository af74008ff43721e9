package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	gatewayDomain = "irc.load.test"
	userDomain    = "load.test"
	secret        = "load-secret"
	sharedRoom    = "#all"
)

// rig is one gateway under test between its XMPP server and its IRC server. One goroutine of the load program drives it; the
// servers' goroutines report what arrives.
type rig struct {
	sub      subject
	dir      string
	x        *xmppServer
	d        *ircd
	p        *process
	led      ledger
	shared   bool
	wake     chan struct{} // something arrived
	progress atomic.Uint64 // messages and presences that arrived
	down     chan struct{} // the stream or a needed IRC connection ended
	downed   sync.Once
	ending   atomic.Bool
	closing  sync.Once
	stall    time.Duration // without any progress for so long, what is missing counts as lost

	users      []*user       // [0] is nil; fixed from the start
	mu         sync.Mutex    // guards what the XMPP reader keeps: the tracks and all below
	lat        *latencies    // nil unless asked for
	stanzas    atomic.Uint64 // distinct messages of ours heard by all users
	usersHeard atomic.Uint64 // those of them that a user has said
	crowd      *crowd        // the presences of a big channel, nil unless asked for
	answer     *answer       // the page of an archive that is being read, nil: none
	queries    int           // for pages so far
	old        *backlog      // old lines in the first user's archive, nil: none
}

// user is one XMPP user with one channel.
type user struct {
	number int
	name   string // local part and nick
	full   string
	room   string // bare JID of the room
	chann  string
	irc    atomic.Pointer[ircConn]
	joined atomic.Bool
	asked  bool // the driving goroutine's: the join has been sent

	// What the user has been sent, by sender: guarded by rig.mu.
	fromBob, fromSelf track
	fromOthers        []track // by user number, shared room only
	present           []bool  // whose presence has been shown, by user number, shared room only
	// What the ircd was told in the user's name: guarded by ircMu.
	ircMu sync.Mutex
	lines track

	heardBob, heardSelf, said atomic.Uint64 // distinct messages in the three tracks
	sentBob, sentSelf         uint64        // the driving goroutine's
}

// crew is who takes part: so many users, and the channel of each.
type crew struct {
	users   int
	channel func(int) string
	shared  bool     // the channel is the same for all
	old     *backlog // what the first user has heard long ago, nil: nothing
}

// newRig starts the servers and the gateway and waits until it has authenticated.
func newRig(ctx context.Context, sub subject, opt *options, who crew) (*rig, error) {
	dir, err := os.MkdirTemp(opt.dir, sub.name()+"-")
	if err != nil {
		return nil, err
	}
	r := &rig{sub: sub, dir: dir, wake: make(chan struct{}, 1), down: make(chan struct{}),
		users: []*user{nil}, shared: who.shared, stall: opt.stall, old: who.old}
	r.addUsers(who)
	if r.x, err = newXMPPServer(gatewayDomain, secret); err != nil {
		return nil, err
	}
	r.x.handle, r.x.chunk, r.x.ended = r.hear, r.poke, r.streamEnded
	if r.d, err = newIRCd(opt.caps, ircHooks{registered: r.ircRegistered, said: r.ircSaid, chunk: r.poke, ended: r.ircEnded}); err != nil {
		return nil, err
	}
	go r.x.serve()
	r.d.serve(opt.ircPing)
	if r.old != nil {
		err = r.old.fill(ctx, r)
	}
	var cmd *exec.Cmd
	if err == nil {
		cmd, err = sub.command(r.env())
	}
	if err == nil {
		r.p, err = startProcess(cmd, filepath.Join(dir, "output.log"))
	}
	if err == nil {
		err = r.authenticated(ctx)
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("%s: %w", sub.name(), err)
	}
	return r, nil
}

func (r *rig) env() environment {
	return environment{dir: r.dir, xmppPort: r.x.port(), ircPort: r.d.port(), domain: gatewayDomain, users: userDomain, secret: secret}
}

func (r *rig) authenticated(ctx context.Context) error {
	t := time.NewTimer(20 * time.Second)
	defer t.Stop()
	select {
	case <-r.x.up:
		return nil
	case <-r.down:
		return fmt.Errorf("did not authenticate: %w%s", r.led.err(), r.p.tail())
	case <-r.p.exited:
		return fmt.Errorf("ended before it authenticated%s", r.p.tail())
	case <-t.C:
		return fmt.Errorf("did not authenticate within 20 s%s", r.p.tail())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the gateway and then the servers, and waits for all of them. To call it again does nothing.
func (r *rig) close() {
	r.closing.Do(func() {
		r.ending.Store(true)
		if r.p != nil {
			r.p.stop()
		}
		r.x.close()
		r.d.close()
	})
}

// poke wakes the driving goroutine.
func (r *rig) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *rig) streamEnded(err error) { r.connectionLost(fmt.Sprintf("the XMPP stream ended: %v", err)) }

func (r *rig) ircEnded(c *ircConn) {
	r.connectionLost("the gateway ended the IRC connection of " + c.nick)
}

func (r *rig) connectionLost(what string) {
	if r.ending.Load() {
		return
	}
	r.led.report(faultConnection, 1, "%s", what)
	r.downed.Do(func() { close(r.down) })
}

// addUsers makes the users.
func (r *rig) addUsers(who crew) {
	for i := range who.users {
		u := &user{number: i + 1, name: userName(i + 1), chann: who.channel(i + 1)}
		u.full = u.name + "@" + userDomain + "/r"
		u.room = u.chann + "%" + r.sub.network() + "@" + gatewayDomain
		r.users = append(r.users, u)
	}
	if r.shared {
		for _, u := range r.users[1:] {
			u.fromOthers, u.present = make([]track, len(r.users)), make([]bool, len(r.users))
		}
	}
}

// ircRegistered ties a connection to the user whose nick it has.
func (r *rig) ircRegistered(c *ircConn) {
	if n := userNumber([]byte(c.nick)); n > 0 && n < len(r.users) {
		c.owner.Store(r.users[n])
		r.users[n].irc.Store(c)
	}
}

// ircSaid takes note of a line the gateway has sent to the IRC server.
func (r *rig) ircSaid(c *ircConn, target, text []byte) {
	u := c.owner.Load()
	b, err := parseBody(text)
	switch {
	case errors.Is(err, errAltered):
		r.led.report(faultAltered, 1, "on IRC: %.100q", text)
		return
	case err != nil:
		r.led.report(faultAltered, 1, "a line nobody has sent, on IRC: %.100q", text)
		return
	case u == nil || b.sender != u.number || string(target) != u.chann:
		r.led.report(faultMisrouted, 1, "on IRC: %.100q to %s over the connection of %s", text, target, c.nick)
		return
	}
	u.ircMu.Lock()
	fresh, f := u.lines.see(b.seq)
	u.ircMu.Unlock()
	if f != "" {
		r.led.report(f, 1, "on IRC, user %d, message %d", u.number, b.seq)
	}
	if fresh {
		if b.stamp != 0 {
			r.mu.Lock()
			r.lat.add(latToIRC, b.stamp)
			r.mu.Unlock()
		}
		u.said.Add(1)
		r.progress.Add(1)
	}
}

// hear takes note of a message or presence the gateway has sent to the XMPP server.
func (r *rig) hear(s stanza) {
	to := attr(s.head, " to=")
	at := bytes.IndexByte(to, '@')
	n := 0
	if at > 0 {
		n = userNumber(to[:at])
	}
	if n == 0 || n >= len(r.users) {
		if s.kind == 'm' && s.has("<body") {
			r.led.report(faultMisrouted, 1, "a message for nobody: %.300q", s.all)
		}
		return
	}
	u := r.users[n]
	if s.kind == 'p' {
		r.progress.Add(1)
		r.presence(u, s)
		return
	}
	if typ := attr(s.head, " type="); string(typ) == "error" {
		r.led.report(faultRefused, 1, "%.400q", s.all)
		return
	}
	if isArchived(s.all[len(s.head):]) {
		r.archived(u, s)
		return
	}
	text := s.text("<body")
	b, err := parseBody(text)
	switch {
	case errors.Is(err, errNotOurs):
		return // a notice of the gateway
	case err != nil:
		r.led.report(faultAltered, 1, "on XMPP: %.300q", s.all)
		return
	case !r.fromRightPlace(u, attr(s.head, " from="), b.sender):
		r.led.report(faultMisrouted, 1, "for %s: %.300q", u.name, s.all)
		return
	}
	r.mu.Lock()
	r.count(u, b)
	r.mu.Unlock()
}

// fromRightPlace checks that a message of that sender comes from the sender's occupant JID in the user's room.
func (r *rig) fromRightPlace(u *user, from []byte, sender int) bool {
	if len(from) <= len(u.room)+1 || string(from[:len(u.room)]) != u.room || from[len(u.room)] != '/' {
		return false
	}
	nick := from[len(u.room)+1:]
	switch {
	case sender == 0:
		return string(nick) == "bob"
	case sender == u.number:
		return string(nick) == u.name
	}
	return r.shared && sender < len(r.users) && string(nick) == r.users[sender].name
}

// count enters a message in its track; r.mu is held.
func (r *rig) count(u *user, b body) {
	t, kind, distinct := &u.fromBob, latToXMPP, &u.heardBob
	switch b.sender {
	case 0:
	case u.number:
		t, kind, distinct = &u.fromSelf, latReflection, &u.heardSelf
	default:
		t, kind, distinct = &u.fromOthers[b.sender], latThrough, nil
	}
	fresh, f := t.see(b.seq)
	if f != "" {
		r.led.report(f, 1, "to user %d from sender %d, message %d", u.number, b.sender, b.seq)
	}
	if !fresh {
		return
	}
	if b.stamp != 0 {
		r.lat.add(kind, b.stamp)
	}
	r.stanzas.Add(1)
	r.progress.Add(1)
	if b.sender != 0 {
		r.usersHeard.Add(1)
	}
	if distinct != nil {
		distinct.Add(1)
	}
}

// presence notices self-presence, and an error in its place.
func (r *rig) presence(u *user, s stanza) {
	switch typ := attr(s.head, " type="); {
	case string(typ) == "error":
		r.led.report(faultRefused, 1, "%.400q", s.all)
		r.downed.Do(func() { close(r.down) })
	case !bytes.HasPrefix(attr(s.head, " from="), []byte(u.room+"/")):
	case string(typ) == "unavailable" && string(attr(s.head, " from=")[len(u.room)+1:]) != u.name:
	case string(typ) == "unavailable":
		r.connectionLost(fmt.Sprintf("left a room: %.300q", s.all))
	default:
		self := s.has("code='110'") || s.has(`code="110"`)
		nick := attr(s.head, " from=")[len(u.room)+1:]
		r.mu.Lock()
		if r.crowd != nil {
			r.crowd.see(nick, self)
		}
		if n := userNumber(nick); n < len(u.present) {
			u.present[n] = true
		}
		r.mu.Unlock()
		if self {
			u.joined.Store(true)
		}
	}
}

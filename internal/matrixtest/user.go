package matrixtest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// User is an account, or a person of another server. Its methods act as another
// client of that person would, without one: an action that is refused fails the
// test. They are safe for concurrent use.
type User struct {
	ID       string // "@alice:hs.test"
	Password string // "" for people of other servers, who cannot log in

	s        *Server
	closed   bool // deactivated
	name     string
	avatar   string
	presence presence
	devices  map[string]*device
	deviceNo int

	rooms     recent[*Room, struct{}] // all the user has to do with
	data      recent[string, json.RawMessage]
	roomData  map[*Room]*recent[string, json.RawMessage]
	presences recent[*User, struct{}] // whose presence the user is told
	keyNews   recent[*User, bool]     // whose keys changed; false: they are of no use any more
	signing   signing
	backups   []*backup
	filters   []json.RawMessage
	txns      []*Transaction

	wake   chan struct{} // closed at the next change; nil: nobody waits
	gap    int           // the next sync's timelines have at most so many events
	repeat int           // the next sync repeats so many events of its rooms
}

type presence struct {
	state  string // "" is offline
	text   string
	active time.Time
	pos    int64 // 0: never told
}

// device is a login.
type device struct {
	id    string
	user  *User
	name  string
	token string
	until time.Time // the token's end; zero: none
	renew string    // refresh token
	soft  bool      // softly logged out: the device is there, its token is not good
	seen  time.Time
	scope string // of OAuth

	txns map[string]*Transaction // by path

	inbox []toDevice
	shown int64 // position of the last of them a sync had

	keys json.RawMessage            // of the device
	one  map[string]json.RawMessage // one-time keys
	back map[string]json.RawMessage // fallback keys
}

// Transaction is a request with a transaction id.
type Transaction struct {
	Device string // id
	Path   string // that the id belongs to
	ID     string
	Event  string // what came of it
	Times  int    // how often it was asked for
}

// User returns an account, which it makes when there is none, with its name as
// password and "-password" after it. A whole id of another server is a person
// there.
func (s *Server) User(name string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasPrefix(name, "@") {
		name = "@" + name + ":" + s.Name
	}
	return s.person(name)
}

// Lookup returns an account that is there, by its full id; nil: none.
func (s *Server) Lookup(id string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[id]
}

func (s *Server) local(id string) bool { return strings.HasSuffix(id, ":"+s.Name) }

// person returns or makes a user. s.mu is held, as for everything in lower case.
func (s *Server) person(id string) *User {
	u := s.users[id]
	if u == nil {
		u = &User{ID: id, s: s, name: localpart(id), devices: map[string]*device{}}
		if s.local(id) {
			u.Password = u.name + "-password"
		}
		s.users[id] = u
		s.notify()
	}
	return u
}

func localpart(id string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(id, "@"), ":")
	return name
}

// invitee is who an id names, for an invitation.
func (s *Server) invitee(id string) (*User, error) {
	name, server, ok := strings.Cut(id, ":")
	if !ok || len(name) < 2 || name[0] != '@' || server == "" {
		return nil, refuse(400, "M_INVALID_PARAM", "Not a user id: "+id)
	}
	if s.local(id) && s.users[id] == nil {
		return nil, notFound("No such user: " + id)
	}
	return s.person(id), nil
}

// touch marks a room the user is in as changed for the user alone.
func (u *User) touch(r *Room, pos int64) {
	if _, ok := r.watching[u]; ok {
		u.rooms.put(r, struct{}{}, pos)
		u.wakeUp()
	}
}

func (u *User) wakeUp() {
	if u.wake != nil {
		close(u.wake)
		u.wake = nil
	}
}

// awake is a channel that is closed at the user's next change.
func (u *User) awake() <-chan struct{} {
	if u.wake == nil {
		u.wake = make(chan struct{})
	}
	return u.wake
}

// newDevice logs the user in. An id that is there keeps its keys.
func (u *User) newDevice(id, name string) *device {
	s := u.s
	d := u.devices[id]
	if id == "" || d == nil {
		if id == "" {
			u.deviceNo++
			id = "DEVICE" + strconv.Itoa(u.deviceNo)
		}
		d = &device{id: id, user: u, name: name, txns: map[string]*Transaction{}}
		if len(u.devices) == 0 {
			u.watch()
		}
		u.devices[id] = d
	}
	if name != "" {
		d.name = name
	}
	delete(s.tokens, d.token)
	delete(s.refresh, d.renew)
	d.token, d.renew, d.soft, d.until, d.seen = "tok_"+s.hash(), "", false, time.Time{}, s.cfg.Now()
	s.tokens[d.token] = d
	s.notify()
	return d
}

// watch begins to note what changes in the user's rooms, and makes up for the
// time when nobody did.
func (u *User) watch() {
	in := u.joinedRooms()
	for r := range in {
		r.watching[u] = struct{}{}
	}
	u.rooms.reorder(func(r *Room) int64 {
		if _, ok := in[r]; ok {
			return r.changed
		}
		return 0
	})
}

// limitToken gives the device a token that ends, and one to renew it with.
func (d *device) limitToken() {
	s := d.user.s
	delete(s.tokens, d.token)
	delete(s.refresh, d.renew)
	d.token, d.renew = "tok_"+s.hash(), "ref_"+s.hash()
	d.until, d.soft = time.Now().Add(s.cfg.TokenLife), false
	s.tokens[d.token], s.refresh[d.renew] = d, d
}

// remove ends a login for good.
func (d *device) remove() {
	s, u := d.user.s, d.user
	delete(s.tokens, d.token)
	delete(s.refresh, d.renew)
	d.token, d.renew = "", ""
	delete(u.devices, d.id)
	if len(d.keys) > 0 {
		u.keysChanged()
	}
	if len(u.devices) == 0 {
		u.setPresence("offline", u.presence.text)
		for r := range u.joinedRooms() {
			delete(r.watching, u)
		}
	}
	u.wakeUp()
	s.notify()
}

// Login logs the user in as a client would and returns the access token and the
// device's id; an empty device makes a new one.
func (u *User) Login(deviceID string) (token, device string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	d := u.newDevice(deviceID, "")
	return d.token, d.id
}

// Logout ends all of the user's logins: their tokens are unknown.
func (u *User) Logout() {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	for _, d := range u.devices {
		d.remove()
	}
}

// Deactivate closes the account: it has no logins and gets none.
func (u *User) Deactivate() {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.closed = true
	for _, d := range u.devices {
		d.remove()
	}
}

// SoftLogout makes the user's tokens unknown, but keeps the devices: a login with
// the device's id goes on with it.
func (u *User) SoftLogout() {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	for _, d := range u.devices {
		d.soft = true
	}
	u.wakeUp()
}

// Devices are the ids of the user's logins, sorted.
func (u *User) Devices() []string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.deviceIDs()
}

func (u *User) deviceIDs() []string {
	ids := make([]string, 0, len(u.devices))
	for id := range u.devices {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Transactions are the requests with transaction ids of the user's clients, in
// the order they first came.
func (u *User) Transactions() []Transaction {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	out := make([]Transaction, len(u.txns))
	for i, t := range u.txns {
		out[i] = *t
	}
	return out
}

// Gap makes the timelines of the user's next sync with news have at most n events
// of each room, so that the rest must be fetched from /messages.
func (u *User) Gap(n int) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.gap = n
}

// Repeat makes the user's next sync with news repeat the n events before them in
// each room.
func (u *User) Repeat(n int) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.repeat = n
}

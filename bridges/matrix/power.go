package matrix

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// maxPower is the highest level that can be written (Matrix specification, appendices,
// "Canonical JSON"); creatorPower is above all of them.
const (
	maxPower     = 1<<53 - 1
	creatorPower = math.MaxInt64
)

// powers is who may do what in a room, read from its m.room.power_levels and
// m.room.create events. It is not changed once made, and safe for concurrent use.
type powers struct {
	users        map[id.UserID]int64
	usersDefault int64
	creators     []id.UserID // above all levels, from room version 12 on

	change int64 // to set power levels
	invite int64
	kick   int64
	ban    int64
	redact int64
	speak  int64 // to send messages
	topic  int64

	state        map[string]int64 // to set state events of a type
	stateDefault int64            // of other types
	child        int64            // to put rooms into a space
}

// createInfo is what of a room's first event bears on power.
type createInfo struct {
	Version  string
	Creator  id.UserID
	Creators []id.UserID // with Creator; from version 12 on
}

// readCreate reads an m.room.create event.
func readCreate(sender id.UserID, content json.RawMessage) createInfo {
	o := readObject(content)
	c := createInfo{Version: o.str("room_version"), Creator: sender}
	if c.Version == "" {
		c.Version = "1"
	}
	// Until version 10 the content names the creator, later it is who sent it.
	if n := versionNumber(c.Version); n <= 10 {
		if named := o.str("creator"); named != "" {
			c.Creator = id.UserID(named)
		}
	} else if n >= 12 {
		c.Creators = []id.UserID{sender}
		for _, more := range o.strs("additional_creators") {
			if u := id.UserID(more); !slices.Contains(c.Creators, u) {
				c.Creators = append(c.Creators, u)
			}
		}
	}
	return c
}

// versionNumber is a room version as a number. One that is not a number is a trial of
// something: it has the rules most versions have.
func versionNumber(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 {
		if strings.HasPrefix(version, "org.matrix.hydra.") { // the trial of version 12
			return 12
		}
		return 11
	}
	return n
}

// readPowers reads an m.room.power_levels event; nil: there is none, or it is not
// known. A room has none for the instant it is made; state events then need no power by
// the letter, but nobody is to look like an owner for that. Encrypted tells that what
// is said there is encrypted.
func readPowers(create createInfo, content json.RawMessage, encrypted bool) *powers {
	p := &powers{
		users: map[id.UserID]int64{}, creators: create.Creators, ban: 50, kick: 50, redact: 50, change: 50, topic: 50, child: 50,
		state: map[string]int64{}, stateDefault: 50,
	}
	message := "m.room.message"
	if encrypted {
		message = "m.room.encrypted"
	}
	if len(content) == 0 {
		if len(create.Creators) == 0 && create.Creator != "" {
			p.users[create.Creator] = 100
		}
		return p
	}
	o := readObject(content)
	events := o.obj("events")
	stateDefault := o.level("state_default", 50)
	p.usersDefault = o.level("users_default", 0)
	p.invite = o.level("invite", 0)
	p.kick, p.ban, p.redact = o.level("kick", 50), o.level("ban", 50), o.level("redact", 50)
	p.stateDefault = stateDefault
	for typ := range events {
		p.state[typ] = events.level(typ, stateDefault)
	}
	p.change = events.level("m.room.power_levels", stateDefault)
	p.topic = events.level("m.room.topic", stateDefault)
	p.child = events.level(childType, stateDefault)
	p.speak = events.level(message, o.level("events_default", 0))
	users := o.obj("users")
	for user := range users {
		p.users[id.UserID(user)] = users.level(user, p.usersDefault)
	}
	return p
}

// level reads a power level: an integer or, as versions before 10 allow, one in a
// string.
func (o object) level(key string, otherwise int64) int64 {
	raw, ok := o[key]
	if !ok {
		return otherwise
	}
	text := strings.TrimSpace(string(raw))
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil {
		text = strings.TrimSpace(quoted)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		return otherwise
	}
	return int64(max(-maxPower, min(maxPower, math.Trunc(f))))
}

// level is a user's power.
func (p *powers) level(user id.UserID) int64 {
	if slices.Contains(p.creators, user) {
		return creatorPower
	}
	if l, ok := p.users[user]; ok {
		return l
	}
	return p.usersDefault
}

// standing is a member's role and affiliation: what the level of power, the membership
// ("join", "invite", "knock", "leave", "ban") and the room allow. Public tells that
// anybody may join.
func (p *powers) standing(user id.UserID, membership string, public bool) (bridges.Role, bridges.Affiliation) {
	if membership == "ban" {
		return bridges.RoleNone, bridges.AffiliationOutcast
	}
	role, a := p.standingOf(p.level(user))
	if a == bridges.AffiliationNone && !public && (membership == "join" || membership == "invite") {
		a = bridges.AffiliationMember
	}
	if membership != "join" {
		role = bridges.RoleNone
	}
	return role, a
}

// standingOf is what a level stands for among those in a public room.
func (p *powers) standingOf(level int64) (bridges.Role, bridges.Affiliation) {
	role, a := bridges.RoleVisitor, bridges.AffiliationNone
	switch {
	case level >= p.change:
		a = bridges.AffiliationOwner
	case level >= p.ban:
		a = bridges.AffiliationAdmin
	}
	switch {
	case a != bridges.AffiliationNone, level >= p.kick && level >= p.redact:
		role = bridges.RoleModerator
	case level >= p.speak:
		role = bridges.RoleParticipant
	}
	return role, a
}

// customary are the levels people give; the first that stands for what is wished is
// taken, so that rooms look the same whoever keeps them.
var customary = []int64{100, 50, 0}

// levelForRole is the level that gives a user a role, RoleVisitor at least, and as
// little else as the room allows, preferably not above most. The level stays where it
// gives the role already.
func (p *powers) levelForRole(user id.UserID, r bridges.Role, most int64) (int64, *bridges.Error) {
	return p.findLevel(user, most, func(level int64) (bool, bool) {
		role, a := p.standingOf(level)
		return role == r, r != bridges.RoleModerator || a < bridges.AffiliationOwner
	})
}

// levelForAffiliation is the level that gives a user an affiliation, AffiliationNone
// at least, preferably not above most. None and member are one level: what tells them
// apart is the room.
func (p *powers) levelForAffiliation(user id.UserID, want bridges.Affiliation, most int64) (int64, *bridges.Error) {
	if want == bridges.AffiliationMember {
		want = bridges.AffiliationNone
	}
	return p.findLevel(user, most, func(level int64) (bool, bool) {
		role, a := p.standingOf(level)
		// Who loses an affiliation is left an ordinary member who may speak.
		return a == want, want != bridges.AffiliationNone || role == bridges.RoleParticipant
	})
}

// findLevel looks for a level that fits: the one the user has, what everybody has, a
// customary one, then those where what is allowed changes, from below. One that fits
// well goes before one that just fits, and before all one that is not above most.
func (p *powers) findLevel(user id.UserID, most int64, fits func(int64) (fits, well bool)) (int64, *bridges.Error) {
	now := p.level(user)
	if ok, _ := fits(now); ok {
		return now, nil
	}
	if now == creatorPower {
		return 0, bridges.NewError(bridges.Forbidden, "Who made this room stands above all others for good.")
	}
	candidates := append([]int64{p.usersDefault}, customary...)
	edges := []int64{p.speak, p.kick, p.redact, p.ban, p.change}
	slices.Sort(edges)
	for _, e := range edges {
		candidates = append(candidates, e, e-1)
	}
	for _, below := range []int64{most, maxPower} {
		for _, needWell := range []bool{true, false} {
			for _, level := range candidates {
				level = max(-maxPower, min(maxPower, level))
				if ok, well := fits(level); ok && (well || !needWell) && level <= below {
					return level, nil
				}
			}
		}
	}
	return 0, bridges.NewError(bridges.Unsupported, "No level of power in this room gives just that.")
}

// mayChange tells whether somebody may give a user a level, or why not.
func (p *powers) mayChange(actor, user id.UserID, level int64) *bridges.Error {
	own := p.level(actor)
	switch {
	case p.level(user) == creatorPower:
		return bridges.NewError(bridges.Forbidden, "Who made this room stands above all others for good.")
	case own < p.change:
		return bridges.NewError(bridges.Forbidden, "You may not change what others may do in this room.")
	case actor != user && p.level(user) >= own:
		return bridges.NewError(bridges.Forbidden, "This member has as much power in the room as you.")
	case level > own:
		return bridges.NewError(bridges.Forbidden, "You cannot give more power than you have.")
	}
	return nil
}

// mayKick tells whether somebody may remove a user or turn an invitation back, or why
// not.
func (p *powers) mayKick(actor, user id.UserID) *bridges.Error {
	return p.mayRemove(actor, user, p.kick, "You may not remove members of this room.")
}

// mayBan tells whether somebody may ban a user, or why not.
func (p *powers) mayBan(actor, user id.UserID) *bridges.Error {
	return p.mayRemove(actor, user, p.ban, "You may not ban anybody from this room.")
}

func (p *powers) mayRemove(actor, user id.UserID, needed int64, text string) *bridges.Error {
	switch own := p.level(actor); {
	case own < needed:
		return bridges.NewError(bridges.Forbidden, text)
	case p.level(user) >= own:
		return bridges.NewError(bridges.Forbidden, "This member has as much power in the room as you.")
	}
	return nil
}

// withLevel is the content of a room's power levels with another level of one user;
// all else in it stays. Content nil is of a room without.
func withLevel(create createInfo, content json.RawMessage, user id.UserID, level int64) (json.RawMessage, error) {
	o := readObject(content)
	if len(content) == 0 {
		o = object{}
		if len(create.Creators) == 0 && create.Creator != "" {
			o["users"], _ = json.Marshal(map[id.UserID]int{create.Creator: 100})
		}
	}
	if o == nil {
		return nil, errors.New("the power levels of the room are no object")
	}
	users := o.obj("users")
	if users == nil {
		users = object{}
	}
	if level == o.level("users_default", 0) {
		delete(users, string(user))
	} else {
		users[string(user)] = json.RawMessage(strconv.FormatInt(level, 10))
	}
	var err error
	if o["users"], err = json.Marshal(users); err != nil {
		return nil, err
	}
	return json.Marshal(o)
}

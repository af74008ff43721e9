package matrixtest

import (
	"encoding/json"
	"math"
	"slices"
)

// power is who may do what in a room (m.room.power_levels).
type power struct {
	Users         map[string]int `json:"users"`
	UsersDefault  int            `json:"users_default"`
	Events        map[string]int `json:"events"`
	EventsDefault int            `json:"events_default"`
	StateDefault  int            `json:"state_default"`
	Ban           int            `json:"ban"`
	Kick          int            `json:"kick"`
	Redact        int            `json:"redact"`
	Invite        int            `json:"invite"`

	creators []string // of version 12: above all levels
}

func defaultPower() power {
	return power{StateDefault: 50, Ban: 50, Kick: 50, Redact: 50}
}

// creatorsAbove tells whether the creators of a room of that version are above
// power levels.
func creatorsAbove(version string) bool { return version == "12" }

// readPower reads the levels from the state.
func (r *Room) readPower() power {
	p := defaultPower()
	create := r.current("m.room.create", "")
	if e := r.current("m.room.power_levels", ""); e != nil {
		if json.Unmarshal(e.Content, &p) != nil {
			p = defaultPower()
		}
	} else {
		p.StateDefault = 0
		if create != nil {
			p.Users = map[string]int{create.Sender: 100}
		}
	}
	if create != nil && creatorsAbove(r.Version) {
		more := contentOf[struct {
			Creators []string `json:"additional_creators"`
		}](create)
		p.creators = append([]string{create.Sender}, more.Creators...)
	}
	return p
}

func (p *power) of(user string) int {
	if slices.Contains(p.creators, user) {
		return math.MaxInt
	}
	if n, ok := p.Users[user]; ok {
		return n
	}
	return p.UsersDefault
}

// need is the level for an event of a type.
func (p *power) need(typ string, state bool) int {
	if n, ok := p.Events[typ]; ok {
		return n
	}
	if state {
		return p.StateDefault
	}
	return p.EventsDefault
}

// maySend checks all but membership events.
func (r *Room) maySend(user, typ string, key *string) error {
	if r.membership(user) != "join" {
		return refuse(403, "M_FORBIDDEN", "User "+user+" not in room "+r.ID)
	}
	if r.power.of(user) < r.power.need(typ, key != nil) {
		return refuse(403, "M_FORBIDDEN", "You don't have permission to post that to the room.")
	}
	if key != nil && len(*key) > 0 && (*key)[0] == '@' && *key != user {
		return refuse(403, "M_FORBIDDEN", "The state key belongs to another user.")
	}
	return nil
}

// mayLevel checks new power levels: nobody gives or takes more than they have.
func (r *Room) mayLevel(user string, content json.RawMessage) error {
	next := defaultPower()
	if json.Unmarshal(content, &next) != nil {
		return refuse(400, "M_BAD_JSON", "Power levels must be integers.")
	}
	for _, c := range r.power.creators {
		if _, ok := next.Users[c]; ok {
			return refuse(400, "M_INVALID_PARAM", "A creator cannot be in the power levels.")
		}
	}
	if r.current("m.room.power_levels", "") == nil {
		return nil
	}
	mine, old := r.power.of(user), &r.power
	pairs := [][2]int{
		{old.UsersDefault, next.UsersDefault}, {old.EventsDefault, next.EventsDefault}, {old.StateDefault, next.StateDefault},
		{old.Ban, next.Ban}, {old.Kick, next.Kick}, {old.Redact, next.Redact}, {old.Invite, next.Invite},
	}
	for _, typ := range bothKeys(old.Events, next.Events) {
		pairs = append(pairs, [2]int{old.Events[typ], next.Events[typ]})
	}
	for _, p := range pairs {
		if p[0] != p[1] && (p[0] > mine || p[1] > mine) {
			return refuse(403, "M_FORBIDDEN", "You don't have permission to change a level above your own.")
		}
	}
	for _, id := range bothKeys(old.Users, next.Users) {
		a, b := old.of(id), next.of(id)
		if a != b && (b > mine || a >= mine && id != user) {
			return refuse(403, "M_FORBIDDEN", "You don't have permission to change the level of "+id+".")
		}
	}
	return nil
}

func bothKeys(a, b map[string]int) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	return out
}

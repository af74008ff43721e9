package matrix

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// room is a room the user is in.
type room struct {
	id id.RoomID
	roomState
	seen    seenState
	power   *powers      // as far as known; made when needed
	recent  []id.EventID // that came in answers
	missing time.Time    // since when lines are left out, until that is told
	mine    []id.EventID // of the user's, told as outcomes, whose echo is still to come; under mu

	open    bool        // the session has entered it
	opening bool        // it is being entered: what happens meanwhile is held
	held    []heldEvent // until then
	called  string      // as the session asked for it
	shown   string      // the name for people that was told last

	// Of rooms that are open, and direct ones as far as they need it.
	people  map[id.UserID]*member // who is in
	nicks   *nicks
	met     map[id.UserID]profile    // others who have said something
	authors map[id.EventID]id.UserID // of recent lines
	order   []id.EventID             // of authors, the oldest first
	polls   map[id.EventID]*poll
	threads map[id.EventID]id.EventID // the last line heard of each, by its first
	typing  []id.UserID
	beacons map[id.UserID]*beacon // who shares where they are
	calling map[string]bool       // who is in a call, by what the state of that is called
	callAt  int64                 // when a call was told of last, milliseconds
	asked   *askedTopic           // under mu; nil: none
}

// roomState is what is stored of a room.
type roomState struct {
	Name       string                `json:"name,omitempty"`
	Alias      string                `json:"alias,omitempty"`
	Topic      string                `json:"topic,omitempty"`
	TopicBy    id.UserID             `json:"topic_by,omitempty"`
	TopicAt    int64                 `json:"topic_at,omitempty"` // milliseconds
	TopicID    id.EventID            `json:"topic_id,omitempty"`
	Avatar     string                `json:"avatar,omitempty"`
	JoinRule   string                `json:"join,omitempty"`
	Allow      json.RawMessage       `json:"allow,omitempty"` // of a restricted rule
	Visibility string                `json:"visibility,omitempty"`
	Encryption json.RawMessage       `json:"encryption,omitempty"`
	Power      json.RawMessage       `json:"power,omitempty"`
	Create     createInfo            `json:"create,omitzero"`
	Faces      map[id.UserID]profile `json:"faces,omitempty"` // of a few who are in, for the name of the room and its chat
	Joined     int                   `json:"joined,omitempty"`
	Invited    int                   `json:"invited,omitempty"`
	Last       int64                 `json:"last,omitempty"`  // when the last line came, milliseconds
	Moved      id.RoomID             `json:"moved,omitempty"` // by a tombstone
	MovedBy    id.UserID             `json:"moved_by,omitempty"`
	MovedText  string                `json:"moved_text,omitempty"`
	Offered    bool                  `json:"offered,omitempty"`  // the session knows that the user is in
	Followed   bool                  `json:"followed,omitempty"` // the session knows what has come of that

	Space    bool                    `json:"space,omitempty"`
	Children map[id.RoomID]child     `json:"children,omitempty"` // of a space
	Parents  map[id.RoomID]id.UserID `json:"parents,omitempty"`  // spaces it names, with who did
}

// seenState is up to where the session has been told of a room.
type seenState struct {
	ID id.EventID `json:"id,omitempty"`
	At int64      `json:"at,omitempty"` // milliseconds
}

// Bounds of what is kept of a room in memory.
const (
	maxFaces   = 8
	maxRecent  = 200
	maxAuthors = 500
	maxPolls   = 20
	maxThreads = 100
	maxTitle   = 300      // bytes of a name that is shown
	maxAllow   = 16 << 10 // bytes of the rooms whose members may enter
)

// public tells whether anybody may enter.
func (r *room) public() bool { return r.JoinRule == string(event.JoinRulePublic) }

// encrypted tells whether what is said is.
func (r *room) encrypted() bool { return len(r.Encryption) > 0 }

// powers is who may do what.
func (r *room) powers() *powers {
	if r.power == nil {
		r.power = readPowers(r.Create, r.Power, r.encrypted())
	}
	return r.power
}

// address is what Address.Name of the room is, where nobody has asked for it.
func (r *room) address() string {
	if r.Alias != "" {
		return r.Alias
	}
	return string(r.id)
}

// title is the room's name for people.
func (r *room) title(self id.UserID) string {
	if r.Name != "" {
		return cutBytes(r.Name, maxTitle)
	}
	if r.Alias != "" {
		return r.Alias
	}
	var names []string
	for user, face := range r.Faces {
		if user != self {
			names = append(names, person(user, face.Name).Nick)
		}
	}
	slices.Sort(names)
	return cutBytes(strings.Join(names, ", "), maxTitle)
}

// info is what the room is like, to be told.
func (n *network) info(r *room) *bridges.RoomInfo {
	about := n.about(r)
	r.shown = about.Name
	return &about
}

// about is what the room is like.
func (n *network) about(r *room) bridges.RoomInfo {
	p := r.powers()
	return bridges.RoomInfo{
		Room: bridges.RoomID(r.id), Name: n.titleIn(r), Description: r.Topic, Avatar: r.Avatar,
		Public: r.public(), Open: r.public(), Knock: r.JoinRule == string(event.JoinRuleKnock) || r.JoinRule == string(event.JoinRuleKnockRestricted),
		Moderated: p.speak > p.usersDefault, Settings: fmt.Sprint(r.JoinRule, r.Visibility, r.encrypted()),
	}
}

// subject is the room's topic; nil: none.
func (r *room) subject() *bridges.Subject {
	if r.Topic == "" {
		return nil
	}
	s := &bridges.Subject{Text: r.Topic, ID: bridges.MessageID(r.TopicID)}
	if r.TopicBy != "" {
		s.By, s.Identity = r.nickOf(r.TopicBy), string(r.TopicBy)
	}
	if r.TopicAt > 0 {
		s.At = time.UnixMilli(r.TopicAt)
	}
	return s
}

// nameRoom notes by which names a room is known. mu is held.
func (n *network) nameRoom(r *room) {
	if r.Alias != "" {
		n.aliases[foldID(r.Alias)] = r.id
	}
}

// place is where what is said in a room belongs: in the room where the session has
// entered it, else with a person where it carries the chat with one, else nowhere.
// mu or the turn is held.
func (n *network) place(r *room) (bridges.Place, bool) {
	if user, ok := n.directs[r.id]; ok && !r.open {
		if c := n.contacts[user]; c != nil && c.room == r.id {
			return bridges.Place{User: bridges.UserID(user)}, true
		}
	}
	return bridges.Place{Room: bridges.RoomID(r.id)}, r.open
}

// known tells whether an event has been handled lately, and notes that it is now.
func (r *room) known(ev id.EventID) bool {
	if ev == "" {
		return false
	}
	if slices.Contains(r.recent, ev) {
		return true
	}
	if len(r.recent) >= maxRecent {
		r.recent = slices.Delete(r.recent, 0, maxRecent/2)
	}
	r.recent = append(r.recent, ev)
	return false
}

// sent notes an event whose outcome has been told. It is not among the recent ones: what
// came before it may still be to come. mu is held.
func (r *room) sent(ev id.EventID) {
	if len(r.mine) >= maxRecent {
		r.mine = slices.Delete(r.mine, 0, maxRecent/2)
	}
	r.mine = append(r.mine, ev)
}

// echoed tells whether an event's outcome has been told. mu is held.
func (r *room) echoed(ev id.EventID) bool {
	i := slices.Index(r.mine, ev)
	if i >= 0 {
		r.mine = slices.Delete(r.mine, i, i+1)
	}
	return i >= 0
}

// wrote notes who wrote a line.
func (r *room) wrote(ev id.EventID, user id.UserID) {
	if r.authors == nil {
		r.authors = map[id.EventID]id.UserID{}
	}
	if _, known := r.authors[ev]; known {
		return
	}
	if len(r.order) >= maxAuthors {
		delete(r.authors, r.order[0])
		r.order = slices.Delete(r.order, 0, 1)
	}
	r.order = append(r.order, ev)
	r.authors[ev] = user
}

// inThread notes the last line of a thread. mu is held.
func (r *room) inThread(root, line id.EventID) {
	if r.threads == nil || len(r.threads) >= maxThreads {
		r.threads = map[id.EventID]id.EventID{}
	}
	r.threads[root] = line
}

// summary takes what an answer says of how many are in a room. Changed tells that
// something is to be stored.
func (r *room) summary(s *mautrix.LazyLoadSummary) (changed bool) {
	if s == nil {
		return false
	}
	for to, from := range map[*int]*int{&r.Joined: s.JoinedMemberCount, &r.Invited: s.InvitedMemberCount} {
		if from != nil && *to != *from {
			*to, changed = *from, true
		}
	}
	for _, hero := range s.Heroes {
		if _, known := r.Faces[hero]; !known && len(r.Faces) < maxFaces {
			r.face(hero, profile{})
			changed = true
		}
	}
	return changed
}

func (r *room) face(user id.UserID, p profile) {
	if r.Faces == nil {
		r.Faces = map[id.UserID]profile{}
	}
	r.Faces[user] = p
}

// stateReaders take what a state event says into the room's state. They report whether
// it says something new.
var stateReaders = map[string]func(*room, *event.Event, object) bool{
	"m.room.name":            func(r *room, _ *event.Event, o object) bool { return set(&r.Name, oneLine(o.str("name"))) },
	"m.room.canonical_alias": func(r *room, _ *event.Event, o object) bool { return set(&r.Alias, validAlias(o.str("alias"))) },
	"m.room.topic": func(r *room, ev *event.Event, o object) bool {
		if !set(&r.Topic, cutBytes(o.str("topic"), maxLine)) {
			return false
		}
		r.TopicBy, r.TopicAt, r.TopicID = ev.Sender, ev.Timestamp, ev.ID
		return true
	},
	"m.room.avatar": func(r *room, _ *event.Event, o object) bool { return set(&r.Avatar, o.str("url")) },
	"m.room.join_rules": func(r *room, _ *event.Event, o object) bool {
		changed := set(&r.JoinRule, o.str("join_rule"))
		if string(r.Allow) == string(o["allow"]) || len(o["allow"]) > maxAllow {
			return changed
		}
		r.Allow = slices.Clone(o["allow"])
		return true
	},
	"m.room.history_visibility": func(r *room, _ *event.Event, o object) bool { return set(&r.Visibility, o.str("history_visibility")) },
	"m.room.encryption": func(r *room, ev *event.Event, o object) bool {
		if r.encrypted() || o.str("algorithm") == "" {
			return false // it is never switched off again
		}
		r.Encryption, r.power = slices.Clone(ev.Content.VeryRaw), nil
		return true
	},
	"m.room.power_levels": func(r *room, ev *event.Event, _ object) bool {
		if string(r.Power) == string(ev.Content.VeryRaw) {
			return false
		}
		r.Power, r.power = slices.Clone(ev.Content.VeryRaw), nil
		return true
	},
	"m.room.create": func(r *room, ev *event.Event, o object) bool {
		r.Space = o.str("type") == spaceType
		r.Create, r.power = readCreate(ev.Sender, ev.Content.VeryRaw), nil
		return true
	},
	"m.room.tombstone": func(r *room, ev *event.Event, o object) bool {
		next := id.RoomID(cutID(o.str("replacement_room")))
		if clean, err := checkID(string(next)); err != nil || clean[0] != '!' || r.Moved != "" {
			return false // a room ends once
		}
		r.Moved, r.MovedBy, r.MovedText = next, ev.Sender, cutBytes(oneLine(o.str("body")), maxTitle)
		return true
	},
}

func set[T comparable](to *T, v T) bool {
	if *to == v {
		return false
	}
	*to = v
	return true
}

func validAlias(s string) string {
	if clean, err := checkID(s); err == nil && strings.HasPrefix(clean, "#") {
		return clean
	}
	return ""
}

package irc

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// modes are a channel's settings: those without a parameter as letters, and the limit.
// The key is kept with the network's, for the next join.
type modes struct {
	known bool // 324 has come
	flags string
	limit string
}

// take follows one change.
func (m *modes) take(c modeChange) {
	switch {
	case c.kind == ircconn.ModeList || c.kind == ircconn.ModePrefix:
	case c.mode == 'l' && c.add:
		m.limit = strings.Clone(c.arg)
	case c.mode == 'l':
		m.limit = ""
	case c.add && !strings.Contains(m.flags, string(rune(c.mode))) && len(m.flags) < maxFlags:
		m.flags += string(rune(c.mode))
	case !c.add:
		m.flags = strings.ReplaceAll(m.flags, string(rune(c.mode)), "")
	}
}

// maxFlags bounds the letters of a server that has no end of them.
const maxFlags = 64

func (m *modes) has(mode byte) bool { return strings.IndexByte(m.flags, mode) >= 0 }

// has tells whether a wanted change of a setting is the state already.
func (r *room) has(c change) bool {
	if c.mode == 'l' {
		return r.modes.limit == c.raw
	}
	return r.modes.has(c.mode) == c.add
}

// tellModes says what a channel is like, where that has changed.
func (n *network) tellModes(r *room) {
	if !r.modes.known {
		return
	}
	sorted := []byte(r.modes.flags)
	slices.Sort(sorted)
	info := bridges.RoomInfo{
		Room: r.id, Public: !r.modes.has('s') && !r.modes.has('p'), Open: !r.modes.has('i'), Moderated: r.moderated,
		Settings: string(sorted) + " " + r.modes.limit,
	}
	if info == r.told {
		return
	}
	r.told = info
	n.emitIn(r, &info)
}

// setting is a channel mode that can be set as one of the settings of a room.
type setting struct {
	mode    byte
	kind    ircconn.ModeKind
	inverse bool // the field asks for the opposite
	field   bridges.Field
}

var channelSettings = []setting{
	{mode: 's', kind: ircconn.ModeFlag, inverse: true, field: bridges.Field{Name: bridges.RoomPublic, Label: "Listed", Kind: bridges.FieldBool,
		Help: "Shown in lists of channels and of where people are (without mode s)."}},
	{mode: 'i', kind: ircconn.ModeFlag, field: bridges.Field{Name: bridges.RoomMembersOnly, Label: "By invitation only", Kind: bridges.FieldBool,
		Help: "Who is not invited does not get in (mode i)."}},
	{mode: 'm', kind: ircconn.ModeFlag, field: bridges.Field{Name: bridges.RoomModerated, Label: "Moderated", Kind: bridges.FieldBool,
		Help: "Only who has voice or more may speak (mode m)."}},
	{mode: 't', kind: ircconn.ModeFlag, inverse: true, field: bridges.Field{Name: bridges.RoomFreeSubject, Label: "Everybody may change the subject",
		Kind: bridges.FieldBool, Help: "Not only operators (without mode t)."}},
	{mode: 'k', kind: ircconn.ModeAlways, field: bridges.Field{Name: bridges.RoomPassword, Label: "Key", Kind: bridges.FieldSecret,
		Help: "The password one needs to get in (mode k); empty: none."}},
	{mode: 'l', kind: ircconn.ModeSet, field: bridges.Field{Name: bridges.RoomLimit, Label: "Most people",
		Help: "How many there can be in the channel (mode l); empty: any number."}},
}

// RoomSettings implements bridges.RoomConfigurer: what operators may set by modes. No
// I/O: modes are followed.
func (n *network) RoomSettings(_ context.Context, room bridges.RoomID) ([]bridges.Field, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.entered(room)
	if err != nil {
		return nil, err
	}
	if _, a := standingOf(n.levels, r.prefix, r.moderated); a < bridges.AffiliationAdmin {
		return nil, nil
	}
	if !r.modes.known {
		return nil, bridges.NewError(bridges.TemporaryRefuse, "The network has not told the modes of this channel yet.")
	}
	var fields []bridges.Field
	for _, s := range channelSettings {
		if n.support.ModeKind(s.mode) == s.kind {
			f := s.field
			f.Default = n.setNow(r, &s)
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// setNow is a setting as it is.
func (n *network) setNow(r *room, s *setting) string {
	switch s.mode {
	case 'l':
		return r.modes.limit
	case 'k':
		if r.modes.has('k') {
			return n.keys[r.id]
		}
		return ""
	}
	return fmt.Sprint(r.modes.has(s.mode) != s.inverse)
}

// ConfigureRoom implements bridges.RoomConfigurer.
func (n *network) ConfigureRoom(ref bridges.Ref, room bridges.RoomID, changes map[string]string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.entered(room)
	if err != nil {
		return err
	}
	var all []change
	for _, s := range channelSettings {
		value, asked := changes[s.field.Name]
		if !asked || value == n.setNow(r, &s) {
			continue
		}
		c, err := n.modeFor(r, &s, value)
		if err != nil {
			return err
		}
		all = append(all, c...)
	}
	// Of a key that takes another's place only the new one is to be seen.
	want := slices.DeleteFunc(slices.Clone(all), func(c change) bool {
		return !c.add && slices.ContainsFunc(all, func(o change) bool { return o.add && o.mode == c.mode })
	})
	if len(want) == 0 {
		return n.changeModes(ref, r, nil)
	}
	return n.start(&pending{act: actMode, ref: ref, room: r.id, want: want}, n.modeLines(r, all)...)
}

// modeFor are the changes that make a setting another.
func (n *network) modeFor(r *room, s *setting, value string) ([]change, error) {
	switch {
	case s.mode == 'k':
		if value != "" && (strings.ContainsAny(value, " ,") || badLine(value) || value[0] == ':') {
			return nil, bridges.NewError(bridges.Invalid, "No key of a channel begins with a colon or has a space or a comma in it.")
		}
		var want []change
		if r.modes.has('k') { // servers do not put one key in another's place
			want = append(want, change{mode: 'k', raw: or(n.keys[r.id], "*")})
		}
		if value != "" {
			want = append(want, change{mode: 'k', add: true, raw: value})
		}
		return want, nil
	case s.mode == 'l' && value == "":
		return []change{{mode: 'l'}}, nil
	case s.mode == 'l':
		limit, err := strconv.ParseUint(value, 10, 31)
		if err != nil || limit == 0 {
			return nil, bridges.NewError(bridges.Invalid, "The most people there can be is a number.")
		}
		return []change{{mode: 'l', add: true, raw: strconv.FormatUint(limit, 10)}}, nil
	}
	return []change{{mode: s.mode, add: (value == "true") != s.inverse}}, nil
}

package irc

import (
	"slices"
	"strings"
	"unique"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// record is what is known of a person. It is immutable and interned: all users
// who see the same person share one, however many channels they share.
type record struct {
	nick, folded  string
	mask, account string // mask is user@host
}

// member is a person's presence in one channel: 16 bytes, because a user holds
// one for each person in each channel.
type member struct {
	who    unique.Handle[record]
	serial uint32 // tells this presence from others where no account does
	prefix uint16 // a bit for each level of PREFIX, the highest first
	away   bool
}

func (m *member) folded() string { return m.who.Value().folded }

// roster is a channel's members without the user. Appended members are sorted
// in by the next look-up, so that a NAMES reply of any length is sorted once.
type roster struct {
	list   []member // the first sorted ones are in order of folded nick, each once
	sorted int
}

// add appends a member. A second one of the same nick is merged into the first.
func (r *roster) add(m member) {
	if len(r.list) == cap(r.list) { // grow gently: most rosters never grow again
		// Grow uses all of the memory block that the runtime gives.
		r.list = append(slices.Grow([]member(nil), len(r.list)+len(r.list)/16+4), r.list...)
	}
	if r.sorted == len(r.list) && r.sorted > 0 { // one newcomer into an ordered list
		at, found := r.search(m.folded())
		if found {
			merge(&r.list[at], m)
			return
		}
		r.list = slices.Insert(r.list, at, m)
		r.sorted++
		return
	}
	r.list = append(r.list, m)
}

// addUnsorted appends one of many members; the next look-up sorts them in.
func (r *roster) addUnsorted(m member) { r.list = append(r.list, m) }

// settle sorts what was appended and merges what came twice.
func (r *roster) settle() {
	if r.sorted == len(r.list) {
		return
	}
	slices.SortStableFunc(r.list, func(a, b member) int {
		return strings.Compare(a.who.Value().folded, b.who.Value().folded)
	})
	kept := 0
	for i := 1; i < len(r.list); i++ {
		if r.list[i].folded() == r.list[kept].folded() {
			merge(&r.list[kept], r.list[i])
			continue
		}
		kept++
		r.list[kept] = r.list[i]
	}
	clear(r.list[kept+1:])
	r.list = r.list[:kept+1]
	r.sorted = len(r.list)
}

// clip gives back the room that growing took in advance.
func (r *roster) clip() {
	r.settle()
	if cap(r.list) > len(r.list) {
		r.list = append(make([]member, 0, len(r.list)), r.list...)
	}
}

// merge takes news of a member who is known already: the later prefix and
// nick, and whatever of mask and account is known.
func merge(old *member, news member) {
	was, is := old.who.Value(), news.who.Value()
	if is.mask == "" {
		is.mask = was.mask
	}
	if is.account == "" {
		is.account = was.account
	}
	old.who = unique.Make(is)
	old.prefix = news.prefix
	old.away = news.away
}

func (r *roster) search(folded string) (int, bool) {
	return slices.BinarySearchFunc(r.list, folded, func(m member, folded string) int {
		return strings.Compare(m.who.Value().folded, folded)
	})
}

// find returns a member by folded nick, to be changed in place, or nil. The
// pointer is good until the roster changes.
func (r *roster) find(folded string) *member {
	r.settle()
	if at, ok := r.search(folded); ok {
		return &r.list[at]
	}
	return nil
}

// remove takes a member out and returns it.
func (r *roster) remove(folded string) (member, bool) {
	r.settle()
	at, ok := r.search(folded)
	if !ok {
		return member{}, false
	}
	m := r.list[at]
	r.list = slices.Delete(r.list, at, at+1)
	r.sorted--
	return m, true
}

// refold sorts the roster anew under another case mapping.
func (r *roster) refold(m ircconn.CaseMapping) {
	for i := range r.list {
		who := r.list[i].who.Value()
		who.folded = m.Fold(who.nick)
		r.list[i].who = unique.Make(who)
	}
	r.sorted = 0
	r.settle()
}

// level is one of the standings PREFIX lists, the highest first.
type level struct {
	mode, sign  byte
	role        bridges.Role
	affiliation bridges.Affiliation
}

// levelsOf maps PREFIX, "(qaohv)~&@%+", to roles and affiliations. Letters of
// a server's own count by their rank among the well-known ones: above o as
// owner, between o and v as h, below v as nothing special.
func levelsOf(prefix []ircconn.PrefixMode) []level {
	prefix = prefix[:min(len(prefix), maxLevels)]
	levels := make([]level, len(prefix))
	passed := byte(0) // the last well-known letter passed
	for i, p := range prefix {
		if strings.IndexByte("qaohv", p.Mode) >= 0 {
			passed = p.Mode
		}
		levels[i] = level{mode: p.Mode, sign: p.Symbol}
		levels[i].role, levels[i].affiliation = standing(p.Mode, passed)
	}
	return levels
}

// maxLevels is how many levels fit a member's prefix bits.
const maxLevels = 16

func standing(mode, passed byte) (bridges.Role, bridges.Affiliation) {
	switch mode {
	case 'o':
		return bridges.RoleModerator, bridges.AffiliationAdmin
	case 'h':
		return bridges.RoleModerator, bridges.AffiliationMember
	case 'v':
		return bridges.RoleParticipant, bridges.AffiliationMember
	}
	switch passed {
	case 0, 'q', 'a':
		return bridges.RoleModerator, bridges.AffiliationOwner
	case 'o', 'h':
		return bridges.RoleModerator, bridges.AffiliationMember
	}
	return bridges.RoleParticipant, bridges.AffiliationNone
}

// standingOf is the highest level's role and affiliation. Without a level a
// member of a moderated channel can only look on.
func standingOf(levels []level, prefix uint16, moderated bool) (bridges.Role, bridges.Affiliation) {
	for i, l := range levels {
		if prefix&(1<<i) != 0 {
			return l.role, l.affiliation
		}
	}
	if moderated {
		return bridges.RoleVisitor, bridges.AffiliationNone
	}
	return bridges.RoleParticipant, bridges.AffiliationNone
}

// takePrefixes reads the signs in front of a nick in NAMES or WHO.
func takePrefixes(levels []level, s string) (prefix uint16, rest string) {
	for s != "" {
		i := slices.IndexFunc(levels, func(l level) bool { return l.sign == s[0] })
		if i < 0 {
			break
		}
		prefix |= 1 << i
		s = s[1:]
	}
	return prefix, s
}

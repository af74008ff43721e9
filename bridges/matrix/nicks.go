package matrix

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
	"maunium.net/go/mautrix/id"
)

// maxNick bounds what is taken of a display name, in bytes: with the Matrix ID it
// stays well below what a resource may have.
const maxNick = 256

// nicks gives the members of a room names nobody else has, as Matrix clients do it
// (Matrix specification, client-server API, "Calculating the display name for a
// user"): a display name that several have is followed by the Matrix ID, and who has
// none goes by the Matrix ID. What results depends on who is there and not on the
// order they came in, so a join, a leave or a change of name touches one other member
// at most.
//
// Names are one where they differ only by what preparing a resource takes away.
// The zero value is not usable. It is not safe for concurrent use.
type nicks struct {
	users map[id.UserID]string              // the cleaned display name of each
	names map[string]map[id.UserID]struct{} // who has a name, by its folded form: several
	sole  map[string]id.UserID              // and where it is one
}

func newNicks() *nicks {
	return &nicks{
		users: map[id.UserID]string{},
		names: map[string]map[id.UserID]struct{}{},
		sole:  map[string]id.UserID{},
	}
}

// nickChange tells of a member with another nick. Old is empty for who came, New for
// who left.
type nickChange struct {
	User     id.UserID
	Old, New string
}

// set says that a member is there with a display name, or has another one now. The
// member's own change is the first returned, if there is one.
func (n *nicks) set(user id.UserID, display string) []nickChange {
	name := cleanNick(display)
	old, known := n.users[user]
	if known && old == name {
		return nil
	}
	changes := make([]nickChange, 1, 3)
	if known {
		changes[0].Old = n.nick(user)
		if !alwaysWithID(old) && !alwaysWithID(name) && foldNick(old) == foldNick(name) {
			n.users[user] = name // others who have it keep having it
			changes[0].User, changes[0].New = user, n.nick(user)
			return changes
		}
		changes = n.drop(user, old, changes)
	}
	n.users[user] = name
	changes = n.add(user, name, changes)
	changes[0].User, changes[0].New = user, n.nick(user)
	// Who was alone with a name before and is so after is not concerned.
	out := changes[:0]
	for _, c := range changes {
		if c.Old != c.New {
			out = append(out, c)
		}
	}
	return out
}

// remove says that a member is gone. The member's own change is the first returned.
func (n *nicks) remove(user id.UserID) []nickChange {
	name, known := n.users[user]
	if !known {
		return nil
	}
	changes := []nickChange{{User: user, Old: n.nick(user)}}
	delete(n.users, user)
	return n.drop(user, name, changes)
}

// add enters a member's name; who had it alone until now gets the Matrix ID too.
func (n *nicks) add(user id.UserID, name string, changes []nickChange) []nickChange {
	if alwaysWithID(name) {
		return changes
	}
	key := foldNick(name)
	if several := n.names[key]; several != nil {
		several[user] = struct{}{}
		return changes
	}
	other, taken := n.sole[key]
	if !taken {
		n.sole[key] = user
		return changes
	}
	delete(n.sole, key)
	n.names[key] = map[id.UserID]struct{}{user: {}, other: {}}
	return append(changes, nickChange{User: other, Old: n.users[other], New: n.nick(other)})
}

// drop takes a member's name away; who is left alone with it has it without the ID.
func (n *nicks) drop(user id.UserID, name string, changes []nickChange) []nickChange {
	if alwaysWithID(name) {
		return changes
	}
	key := foldNick(name)
	several := n.names[key]
	if several == nil {
		delete(n.sole, key)
		return changes
	}
	delete(several, user)
	if len(several) > 1 {
		return changes
	}
	for other := range several {
		delete(n.names, key)
		n.sole[key] = other
		changes = append(changes, nickChange{User: other, Old: withID(n.users[other], other), New: n.users[other]})
	}
	return changes
}

// nick returns a member's nick; empty: not there.
func (n *nicks) nick(user id.UserID) string {
	name, known := n.users[user]
	switch {
	case !known:
		return ""
	case name == "":
		return visibleID(user)
	case alwaysWithID(name), n.sole[foldNick(name)] != user:
		return withID(name, user)
	}
	return name
}

// besides is what somebody is called who is not there, so that they are not taken for
// who is.
func (n *nicks) besides(user id.UserID, display string) string {
	name := cleanNick(display)
	if name == "" {
		return visibleID(user)
	}
	if alwaysWithID(name) || n.sole[foldNick(name)] != "" || n.names[foldNick(name)] != nil {
		return withID(name, user)
	}
	return name
}

// who returns the member with a nick.
func (n *nicks) who(nick string) (id.UserID, bool) {
	if user, ok := n.sole[foldNick(nick)]; ok && n.users[user] == nick {
		return user, true
	}
	text := nick
	if i := strings.LastIndex(nick, " (@"); i >= 0 && strings.HasSuffix(nick, ")") {
		text = nick[i+2 : len(nick)-1]
	}
	for _, user := range []id.UserID{id.UserID(text), id.UserID(invisibleID(text))} {
		if n.nick(user) == nick && nick != "" {
			return user, true
		}
	}
	return "", false
}

// withID is a name that several have, told apart.
func withID(name string, user id.UserID) string { return name + " (" + visibleID(user) + ")" }

// alwaysWithID tells of names that nobody has alone: none, and what reads as
// somebody's Matrix ID or as a name that has one already.
func alwaysWithID(name string) bool {
	switch {
	case name == "":
		return true
	case name[0] == '@':
		return strings.Contains(name, ":")
	}
	return strings.HasSuffix(name, ")") && strings.Contains(name, "(@")
}

// visibleID is a Matrix ID in printable ASCII, as nearly all are: old ones may hold
// anything, and two of them must not look the same.
func visibleID(user id.UserID) string {
	s := string(user)
	if !strings.ContainsFunc(s, oddInID) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; oddInID(rune(c)) {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// invisibleID is the inverse of visibleID.
func invisibleID(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte("0123456789ABCDEF", s[i+1]), strings.IndexByte("0123456789ABCDEF", s[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func oddInID(r rune) bool { return r <= ' ' || r >= 0x7f || r == '%' }

// cleanNick is a display name as a nick: one line, without what is not seen or turns
// the direction of what follows, and in the form every server prepares resources to
// (RFC 6122, B.3; RFC 8265, 4.2). It is empty where nothing is left.
func cleanNick(display string) string {
	if isPlainNick(display) {
		return display
	}
	// Normalising may lengthen a character eighteen times.
	s := norm.NFKC.String(cutBytes(strings.ToValidUTF8(display, "\uFFFD"), 4*maxNick))
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector, unicode.Zl, unicode.Zp), r == 0x34F:
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(cutBytes(norm.NFKC.String(b.String()), maxNick), " ")
}

// isPlainNick is the quick answer for a name in printable ASCII.
func isPlainNick(s string) bool {
	if len(s) > maxNick || s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') || strings.Contains(s, "  ") {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// foldNick is what a cleaned nick has in common with those it could be taken for as a
// resource: characters a server refuses there are one, and so are letters from right
// to left beside others.
func foldNick(s string) string {
	if isPlainNick(s) {
		return s
	}
	right, left := false, false
	for _, r := range s {
		right = right || isRight(r)
		left = left || isLeft(r)
	}
	// Text from right to left has no letters of the other kind beside it, and begins
	// and ends with its own (RFC 3454, section 6).
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	refused := right && (left || !isRight(first) || !isRight(last))
	return strings.Map(func(r rune) rune {
		if unsafeInResource(r) || refused && (isRight(r) || unicode.Is(unicode.M, r)) {
			return '_'
		}
		return r
	}, s)
}

func isRight(r rune) bool {
	p, _ := bidi.LookupRune(r)
	return p.Class() == bidi.R || p.Class() == bidi.AL
}

func isLeft(r rune) bool {
	p, _ := bidi.LookupRune(r)
	return p.Class() == bidi.L
}

// unsafeInResource tells of a character that one of the two preparations refuses.
func unsafeInResource(r rune) bool {
	if r < 0x80 {
		return r < ' ' || r == 0x7f
	}
	if r >= 0xFFF0 && r <= 0xFFFF || r >= 0x2FF0 && r <= 0x2FFB {
		return true // RFC 3454, C.6 and C.7
	}
	_, err := precis.OpaqueString.String(string(r))
	return err != nil
}

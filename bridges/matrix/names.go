package matrix

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"transportd/bridges"
)

// theNetwork is the one network a gateway has.
const theNetwork bridges.NetworkID = "matrix"

// maxID bounds a user id, an alias and a room id, in bytes with the sigil and the
// server (Matrix specification, appendices, "Common Identifier Format").
const maxID = 255

// maxVia bounds how many servers of a link are tried for a join.
const maxVia = 10

// names are the addresses of Matrix, for the driver to embed.
//
//	user%server     @user:server
//	#alias%server   #alias:server
//	!opaque%server  !opaque:server
//	!hash           !hash, a room of version 12 or later
//
// The name of a network is empty. A percent sign within a name is written \25, and
// what of a name would then read as such an escape is written as one.
type names struct{}

// Parse reads an unescaped local part. Names of servers are folded, as DNS does;
// all else keeps its case, which counts on Matrix.
func (names) Parse(local string) (bridges.Address, error) {
	if local == "" {
		return bridges.Address{Kind: bridges.AddressNetwork, Network: theNetwork}, nil
	}
	i := strings.LastIndexByte(local, '%')
	if i < 0 {
		if isRoomHash(local) {
			return idAddress(local), nil
		}
		return bridges.Address{}, notFound("“" + printable(local) + "” does not name a server: addresses are user%server, #room%server or !id%server.")
	}
	name, sigil := local[:i], "@"
	if isRoomSigil(name) {
		name, sigil = name[1:], name[:1]
	}
	id, err := checkID(sigil + unescapeName(name) + ":" + local[i+1:])
	if err != nil {
		return bridges.Address{}, err
	}
	return idAddress(id), nil
}

// Format is the inverse of Parse.
func (names) Format(a bridges.Address) string {
	if a.Kind == bridges.AddressNetwork {
		return ""
	}
	sigil, local, server := splitID(foldID(a.Name))
	switch {
	case sigil == '@':
		return escapeName(local, true) + "%" + server
	case server == "":
		return a.Name
	}
	return string(sigil) + escapeName(local, false) + "%" + server
}

// ParsePrompt reads what people type or paste: "@user:server", "#alias:server",
// "!id:server", with "?via=" or not, a matrix: URI, a matrix.to link, or an address
// as Parse takes it.
func (n names) ParsePrompt(text string) (bridges.Address, error) {
	text = strings.TrimSpace(text)
	if l, ok := readLink(text); ok {
		id, err := checkID(l.ID)
		if err != nil {
			return bridges.Address{}, err
		}
		return idAddress(id), nil
	}
	if text == "" || !strings.Contains(text, "%") {
		return bridges.Address{}, notFound("Write a Matrix ID as in @user:example.org, a room as in #room:example.org, or a matrix.to link.")
	}
	return n.Parse(text)
}

// link is what a link to Matrix names.
type link struct {
	ID    string   // of a user or a room, or an alias; not checked
	Event string   // within the room; usually empty
	Via   []string // servers that know the room
}

// readLink reads a matrix: URI (Matrix specification, appendices, "URIs"), a
// matrix.to link, or an identifier that may have servers after "?via=".
func readLink(text string) (link, bool) {
	lower := strings.ToLower(text[:min(len(text), 32)])
	for _, prefix := range []string{"https://", "http://"} {
		lower = strings.TrimPrefix(lower, prefix)
	}
	lower = strings.TrimPrefix(lower, "www.")
	switch {
	case text == "":
		return link{}, false
	case strings.HasPrefix(lower, "matrix:"):
		return readURI(text[len("matrix:"):])
	case strings.HasPrefix(lower, "matrix.to/"):
		_, fragment, ok := strings.Cut(text, "#/")
		if !ok {
			return link{}, false
		}
		return readIdentifiers(fragment)
	case strings.IndexByte("@#!", text[0]) >= 0:
		l := link{ID: text}
		if i := max(strings.LastIndex(text, "?via="), strings.LastIndex(text, "?action=")); i > 0 {
			l.ID, l.Via = text[:i], readVia(text[i+1:])
		}
		return l, strings.Contains(l.ID, ":") || isRoomHash(l.ID)
	}
	return link{}, false
}

// readIdentifiers reads what follows the "#/" of a matrix.to link.
func readIdentifiers(s string) (link, bool) {
	s, query, _ := strings.Cut(s, "?")
	first, rest, _ := strings.Cut(s, "/")
	id, err := url.PathUnescape(first)
	if err != nil || id == "" || strings.IndexByte("@#!", id[0]) < 0 {
		return link{}, false
	}
	event, err := url.PathUnescape(rest)
	if err != nil {
		return link{}, false
	}
	return link{ID: id, Event: event, Via: readVia(query)}, true
}

// uriSigil is the sigil of what a segment of a matrix: URI is followed by.
var uriSigil = map[string]string{"u": "@", "user": "@", "r": "#", "room": "#", "roomid": "!"}

// readURI reads a URI after its scheme.
func readURI(s string) (link, bool) {
	s, query, _ := strings.Cut(s, "?")
	s, _, _ = strings.Cut(s, "#")
	parts := strings.Split(s, "/")
	if len(parts) != 2 && len(parts) != 4 {
		return link{}, false
	}
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil || parts[i] == "" {
			return link{}, false
		}
	}
	sigil := uriSigil[parts[0]]
	if sigil == "" {
		return link{}, false
	}
	l := link{ID: sigil + parts[1], Via: readVia(query)}
	if len(parts) == 4 && (parts[2] == "e" || parts[2] == "event") {
		l.Event = "$" + parts[3]
	}
	return l, true
}

// readVia returns the servers of a query, each once.
func readVia(query string) (via []string) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil
	}
	for _, v := range values["via"] {
		server, ok := foldServer(v)
		if ok && !slices.Contains(via, server) && len(via) < maxVia {
			via = append(via, server)
		}
	}
	return via
}

// promptVia returns the servers that what a user typed names for a join.
func promptVia(text string) []string {
	l, _ := readLink(strings.TrimSpace(text))
	return l.Via
}

// matrixTo is the link to a user, a room or an alias.
func matrixTo(id string) string { return "https://matrix.to/#/" + url.PathEscape(id) }

// idAddress is the address of a checked identifier.
func idAddress(id string) bridges.Address {
	kind := bridges.AddressRoom
	if id[0] == '@' {
		kind = bridges.AddressPerson
	}
	return bridges.Address{Kind: kind, Network: theNetwork, Name: id}
}

// checkID returns an identifier with its server folded.
func checkID(id string) (string, error) {
	sigil, local, server := splitID(id)
	what := "a Matrix ID"
	if sigil != '@' {
		what = "a room on Matrix"
	}
	switch {
	case isRoomHash(id):
		return id, nil
	case len(id) > maxID:
		return "", notFound("The name is too long for Matrix.")
	case local == "" && server != "":
		return "", notFound("The address names a server but no user or room.")
	case local == "", !utf8.ValidString(local), strings.ContainsFunc(local, unicode.IsControl):
		return "", notFound("“" + printable(id) + "” is not " + what + ".")
	}
	folded, ok := foldServer(server)
	if !ok {
		return "", notFound("“" + printable(server) + "” is not the name of a server.")
	}
	return id[:1+len(local)+1] + folded, nil
}

// foldID is an identifier with its server folded: what equal ones have in common.
// What is none stays as it is.
func foldID(id string) string {
	_, local, server := splitID(id)
	if folded, ok := foldServer(server); ok {
		return id[:1+len(local)+1] + folded
	}
	return id
}

// splitID divides an identifier at its first colon: what precedes has none, a server
// may.
func splitID(id string) (sigil byte, local, server string) {
	if id == "" {
		return 0, "", ""
	}
	local, server, _ = strings.Cut(id[1:], ":")
	return id[0], local, server
}

// isRoomSigil tells whether a name is that of a room.
func isRoomSigil(name string) bool { return name != "" && (name[0] == '#' || name[0] == '!') }

// isRoomHash tells whether an identifier is a room's of version 12 or later: the
// hash of its first event in URL-safe base64, of no server.
func isRoomHash(id string) bool {
	if len(id) != 44 || id[0] != '!' {
		return false
	}
	for i := 1; i < len(id); i++ {
		if !isBase64URL(id[i]) {
			return false
		}
	}
	return true
}

func isBase64URL(c byte) bool {
	return c-'a' <= 'z'-'a' || c-'A' <= 'Z'-'A' || c-'0' <= 9 || c == '-' || c == '_'
}

// foldServer returns the name of a server in lower case: a DNS name, an IPv4 address
// or an IPv6 address in brackets, and a port or none. It reports whether it is one.
func foldServer(s string) (string, bool) {
	s = strings.ToLower(s)
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if _, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil {
			return "", false
		}
		host = s[:i]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return s, closed && err == nil && addr.Is6() && addr.Zone() == ""
	}
	if host == "" || len(s) > maxID {
		return "", false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return "", false
		}
		for i := range len(label) {
			if c := label[i]; c-'a' > 'z'-'a' && c-'0' > 9 && c != '-' {
				return "", false
			}
		}
	}
	return s, true
}

// nameEscapes are written in the names of addresses: the divider, what would make a
// person a room, and the backslash where it would read as one of these.
var nameEscapes = map[string]string{`\25`: "%", `\23`: "#", `\21`: "!", `\5c`: `\`}

func escapeName(s string, person bool) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '\\') < 0 && !(person && isRoomSigil(s)) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			b.WriteString(`\25`)
		case c == '#' && i == 0 && person:
			b.WriteString(`\23`)
		case c == '!' && i == 0 && person:
			b.WriteString(`\21`)
		case c == '\\' && escapeAt(s[i:]) != "":
			b.WriteString(`\5c`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescapeName(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if plain := escapeAt(s[i:]); plain != "" {
			b.WriteString(plain)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// escapeAt is what the escape that s begins with stands for; empty: there is none.
func escapeAt(s string) string {
	if len(s) < 3 {
		return ""
	}
	return nameEscapes[s[:3]]
}

func notFound(text string) *bridges.Error { return bridges.NewError(bridges.NotFound, text) }

// printable is s without what would upset a message: for quoting what somebody
// wrote back to them.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	return cutBytes(s, 80)
}

// cutBytes is the longest prefix of s of at most n bytes that ends between two
// characters.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

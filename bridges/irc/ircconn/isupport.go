package ircconn

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// CaseMapping is how a network compares names.
type CaseMapping uint8

// Case mappings. A network that has not said, or says something unknown, is
// taken for RFC 1459: it folds the most, so two names never look different
// to us that are the same to the server.
const (
	RFC1459       CaseMapping = iota // A-Z and []\~ to a-z and {}|^
	RFC1459Strict                    // the same without ~ and ^
	ASCII                            // A-Z only
)

// Fold brings a name into the form names are compared in. It allocates
// nothing when the name is in that form already.
func (m CaseMapping) Fold(name string) string {
	for i := 0; i < len(name); i++ {
		if m.fold(name[i]) != name[i] {
			b := []byte(name)
			for j := i; j < len(b); j++ {
				b[j] = m.fold(b[j])
			}
			return string(b)
		}
	}
	return name
}

// Equal tells whether two names are the same.
func (m CaseMapping) Equal(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && m.fold(a[i]) != m.fold(b[i]) {
			return false
		}
	}
	return true
}

func (m CaseMapping) fold(c byte) byte {
	last := byte('Z')
	switch m {
	case RFC1459:
		last = '^'
	case RFC1459Strict:
		last = ']'
	}
	if c >= 'A' && c <= last {
		return c + 'a' - 'A'
	}
	return c
}

// String is the mapping's name in ISUPPORT.
func (m CaseMapping) String() string {
	return [...]string{"rfc1459", "rfc1459-strict", "ascii"}[m]
}

// PrefixMode is one rank of channel members.
type PrefixMode struct {
	Mode   byte // 'o'
	Symbol byte // '@'
}

// ModeKind says when a channel mode takes a parameter.
type ModeKind uint8

// Kinds of channel modes, named as in ISUPPORT CHANMODES.
const (
	ModeUnknown ModeKind = iota
	ModeList             // A: a list; always a parameter, none to read it
	ModeAlways           // B: always a parameter
	ModeSet              // C: a parameter when set
	ModeFlag             // D: never
	ModePrefix           // PREFIX: always a nick
)

// ISupport is what a server says of itself in 005. It is immutable; one value
// is shared by all connections to servers that say the same.
type ISupport struct {
	CaseMapping CaseMapping
	ChanTypes   string       // default "#&"
	Prefix      []PrefixMode // highest first; default o@ v+
	ChanModes   [4]string    // A, B, C, D
	StatusMsg   string       // prefixes usable before a channel in a target
	Network     string       // name for people
	Bot         string       // mode letter that marks bots, or ""

	NickLen    int // 0: not known, as for all lengths
	ChannelLen int
	TopicLen   int
	KickLen    int
	AwayLen    int
	NameLen    int
	LineLen    int // longest line without tags, CR LF included; at least 512
	Modes      int // mode changes with a parameter in one line; default 3, 0: no limit
	Monitor    int // -1: not supported, 0: no limit
	Watch      int // -1: not supported
	UTF8Only   bool

	maxList map[byte]int
	targMax map[string]int
	tokens  []token
	key     string
}

type token struct{ name, value string }

// Bounds on what is kept of a server's tokens.
const (
	maxTokens     = 512
	maxTokenBytes = 32 << 10
)

// noSupport is the state before any 005.
var noSupport = newISupport(nil, "")

// DefaultISupport is what holds of a server that has announced nothing (yet).
func DefaultISupport() *ISupport { return noSupport }

// Raw returns a token's value as announced, with escapes resolved.
func (s *ISupport) Raw(name string) (value string, ok bool) {
	for _, t := range s.tokens {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

// IsChannel tells whether a name is a channel's.
func (s *ISupport) IsChannel(name string) bool {
	return name != "" && strings.IndexByte(s.ChanTypes, name[0]) >= 0
}

// Fold is CaseMapping.Fold.
func (s *ISupport) Fold(name string) string { return s.CaseMapping.Fold(name) }

// ModeKind classifies a channel mode.
func (s *ISupport) ModeKind(mode byte) ModeKind {
	if s.RankOfMode(mode) >= 0 {
		return ModePrefix
	}
	for i, set := range s.ChanModes {
		if strings.IndexByte(set, mode) >= 0 {
			return ModeList + ModeKind(i)
		}
	}
	return ModeUnknown
}

// RankOfMode is the place of a mode in Prefix, 0 the highest, -1 when it is not there.
func (s *ISupport) RankOfMode(mode byte) int {
	return slices.IndexFunc(s.Prefix, func(p PrefixMode) bool { return p.Mode == mode })
}

// RankOfSymbol is the place of a symbol in Prefix, -1 when it is not there.
func (s *ISupport) RankOfSymbol(symbol byte) int {
	return slices.IndexFunc(s.Prefix, func(p PrefixMode) bool { return p.Symbol == symbol })
}

// SplitPrefixes cuts the rank symbols off a name of a NAMES or WHO reply.
func (s *ISupport) SplitPrefixes(name string) (symbols, nick string) {
	i := 0
	for i < len(name) && s.RankOfSymbol(name[i]) >= 0 {
		i++
	}
	return name[:i], name[i:]
}

// MaxList is how many entries a list mode may have, 0 when not known.
func (s *ISupport) MaxList(mode byte) int { return s.maxList[mode] }

// TargMax is how many targets a command takes; known is false when the server
// has not said, and 0 means no limit.
func (s *ISupport) TargMax(command string) (n int, known bool) {
	n, known = s.targMax[strings.ToUpper(command)]
	return n, known
}

// with returns the state after one 005 line, interned. params are the tokens
// alone, without nick and closing text.
func (s *ISupport) with(params []string) *ISupport {
	tokens := slices.Clone(s.tokens)
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		remove := strings.HasPrefix(name, "-")
		name = strings.ToUpper(strings.TrimPrefix(name, "-"))
		if name == "" {
			continue
		}
		i := slices.IndexFunc(tokens, func(t token) bool { return t.name == name })
		switch {
		case remove && i >= 0:
			tokens = slices.Delete(tokens, i, i+1)
		case remove:
		case i >= 0:
			tokens[i].value = unescapeToken(value)
		case len(tokens) < maxTokens:
			tokens = append(tokens, token{name, unescapeToken(value)})
		}
	}
	var key strings.Builder
	for _, t := range tokens {
		key.WriteString(t.name)
		key.WriteByte('=')
		key.WriteString(t.value)
		key.WriteByte(0)
	}
	if key.Len() > maxTokenBytes {
		return s
	}
	if key.Len() == 0 {
		return noSupport
	}
	return supports.get(key.String(), func(k string) *ISupport {
		for i := range tokens { // the lines they were cut from must not be kept alive
			tokens[i] = token{strings.Clone(tokens[i].name), strings.Clone(tokens[i].value)}
		}
		return newISupport(slices.Clip(tokens), k)
	})
}

var supports internTable[ISupport]

func newISupport(tokens []token, key string) *ISupport {
	s := &ISupport{
		ChanTypes: "#&",
		Prefix:    []PrefixMode{{'o', '@'}, {'v', '+'}},
		ChanModes: [4]string{"b", "k", "l", "imnpst"},
		LineLen:   DefaultLineLen,
		Modes:     3,
		Monitor:   -1,
		Watch:     -1,
		tokens:    tokens,
		key:       key,
	}
	for _, t := range tokens {
		if parse := tokenParsers[t.name]; parse != nil {
			parse(s, t.value)
		}
	}
	return s
}

// tokenParsers apply the tokens that have a field. A value that makes no
// sense leaves the default.
var tokenParsers = map[string]func(s *ISupport, value string){
	"CASEMAPPING": func(s *ISupport, v string) { s.CaseMapping = parseCaseMapping(v) },
	"CHANTYPES":   func(s *ISupport, v string) { s.ChanTypes = v },
	"PREFIX":      parsePrefix,
	"CHANMODES":   parseChanModes,
	"STATUSMSG":   func(s *ISupport, v string) { s.StatusMsg = v },
	"NETWORK":     func(s *ISupport, v string) { s.Network = v },
	"BOT":         func(s *ISupport, v string) { s.Bot = v[:min(1, len(v))] },
	"UTF8ONLY":    func(s *ISupport, _ string) { s.UTF8Only = true },
	"NICKLEN":     func(s *ISupport, v string) { s.NickLen = number(v, s.NickLen) },
	"MAXNICKLEN":  func(s *ISupport, v string) { s.NickLen = cmp.Or(s.NickLen, number(v, 0)) },
	"CHANNELLEN":  func(s *ISupport, v string) { s.ChannelLen = number(v, 0) },
	"TOPICLEN":    func(s *ISupport, v string) { s.TopicLen = number(v, 0) },
	"KICKLEN":     func(s *ISupport, v string) { s.KickLen = number(v, 0) },
	"AWAYLEN":     func(s *ISupport, v string) { s.AwayLen = number(v, 0) },
	"NAMELEN":     func(s *ISupport, v string) { s.NameLen = number(v, 0) },
	"LINELEN":     func(s *ISupport, v string) { s.LineLen = min(max(number(v, 0), DefaultLineLen), maxBody) },
	"MODES":       func(s *ISupport, v string) { s.Modes = number(v, 0) },
	"MONITOR":     func(s *ISupport, v string) { s.Monitor = number(v, 0) },
	"WATCH":       func(s *ISupport, v string) { s.Watch = number(v, 0) },
	"MAXLIST":     parseMaxList,
	"TARGMAX":     parseTargMax,
}

func parseCaseMapping(v string) CaseMapping {
	switch strings.ToLower(v) {
	case "ascii":
		return ASCII
	case "rfc1459-strict", "strict-rfc1459":
		return RFC1459Strict
	}
	return RFC1459
}

// parsePrefix reads "(ohv)@%+". An empty value means no ranks at all.
func parsePrefix(s *ISupport, v string) {
	if v == "" {
		s.Prefix = nil
		return
	}
	modes, symbols, ok := strings.Cut(strings.TrimPrefix(v, "("), ")")
	if v[0] != '(' || !ok || len(modes) != len(symbols) {
		return
	}
	prefix := make([]PrefixMode, len(modes))
	for i := range prefix {
		prefix[i] = PrefixMode{modes[i], symbols[i]}
	}
	s.Prefix = prefix
}

func parseChanModes(s *ISupport, v string) {
	var sets [4]string
	for i, set := range strings.SplitN(v, ",", 5) {
		if i < len(sets) {
			sets[i] = set
		}
	}
	s.ChanModes = sets
}

// parseMaxList reads "bqeI:100,j:5".
func parseMaxList(s *ISupport, v string) {
	s.maxList = make(map[byte]int)
	for item := range strings.SplitSeq(v, ",") {
		modes, limit, _ := strings.Cut(item, ":")
		for i := 0; i < len(modes); i++ {
			s.maxList[modes[i]] = number(limit, 0)
		}
	}
}

// parseTargMax reads "PRIVMSG:4,WHOIS:1,JOIN:".
func parseTargMax(s *ISupport, v string) {
	s.targMax = make(map[string]int)
	for item := range strings.SplitSeq(v, ",") {
		if command, limit, ok := strings.Cut(item, ":"); ok && command != "" {
			s.targMax[strings.ToUpper(command)] = number(limit, 0)
		}
	}
}

// number reads a length or count; what is none becomes fallback.
func number(v string, fallback int) int {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<30 {
		return fallback
	}
	return n
}

// unescapeToken resolves \xHH (draft-hardy-irc-isupport). Control characters
// stay escaped.
func unescapeToken(v string) string {
	if !strings.Contains(v, `\x`) {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+3 < len(v) && v[i+1] == 'x' {
			if n, err := strconv.ParseUint(v[i+2:i+4], 16, 8); err == nil && n >= ' ' && n != 0x7f {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(v[i])
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

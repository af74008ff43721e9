package component

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxJIDPart is the largest size of a part of a JID, in bytes (RFC 7622, 3).
const maxJIDPart = 1023

// JID is an XMPP address (RFC 7622). It is comparable and may be a map key. The
// zero value is no address.
//
// Local and Domain are folded to lower case when an address is parsed; Resource
// is kept as the server delivered it. Servers have applied the full string
// preparation to what they deliver, so nothing more is needed to compare two
// addresses.
type JID struct {
	Local, Domain, Resource string
}

// Reasons for which ParseJID refuses an address.
var (
	errJIDEmpty  = errors.New("the address has an empty part")
	errJIDLong   = errors.New("a part of the address is longer than 1023 bytes")
	errJIDSyntax = errors.New("the address holds a character that is not allowed")
)

// ParseJID reads an address. The resource is split off first and the local part
// then: an @ in a resource belongs to the resource. It allocates only when
// something had to be folded; the result shares memory with s.
func ParseJID(s string) (JID, error) {
	// One pass finds the parts and collects what kinds of bytes they hold.
	var local, domain, resource uint8
	at, i := -1, 0
	for ; i < len(s) && s[i] != '/'; i++ {
		if s[i] == '@' && at < 0 {
			at, local, domain = i, domain, 0
			continue
		}
		domain |= jidByte[s[i]]
	}
	j := JID{Domain: strings.TrimSuffix(s[at+1:i], ".")}
	if at >= 0 {
		j.Local = s[:at]
	}
	if i < len(s) {
		j.Resource = s[i+1:]
		for k := range len(j.Resource) {
			resource |= jidByte[j.Resource[k]]
		}
	}
	switch {
	case j.Domain == "", strings.HasSuffix(j.Domain, "."), at == 0, i == len(s)-1:
		return JID{}, errJIDEmpty
	case len(j.Local) > maxJIDPart, len(j.Domain) > maxJIDPart, len(j.Resource) > maxJIDPart:
		return JID{}, errJIDLong
	case local&localForbidden != 0, domain&domainForbidden != 0, resource&anyForbidden != 0:
		return JID{}, errJIDSyntax
	case (local|domain|resource)&notASCII != 0:
		if !legalRunes(j.Local, false) || !legalRunes(j.Domain, false) || !legalRunes(j.Resource, true) {
			return JID{}, errJIDSyntax
		}
	}
	if local&(upper|notASCII) != 0 {
		j.Local = strings.ToLower(j.Local)
	}
	if domain&(upper|notASCII) != 0 {
		j.Domain = strings.ToLower(j.Domain)
	}
	if len(j.Local) > maxJIDPart || len(j.Domain) > maxJIDPart {
		return JID{}, errJIDLong // folding may lengthen
	}
	return j, nil
}

// fold lower-cases s, without allocating when there is nothing to do.
func fold(s string) string {
	for i := range len(s) {
		if c := s[i]; c-'A' <= 'Z'-'A' || c >= utf8.RuneSelf {
			return strings.ToLower(s)
		}
	}
	return s
}

// check reports what is wrong with an address that was put together: sizes, and
// characters that no server accepts in that part.
func (j JID) check() error {
	switch {
	case j.Domain == "":
		return errJIDEmpty
	case len(j.Local) > maxJIDPart, len(j.Domain) > maxJIDPart, len(j.Resource) > maxJIDPart:
		return errJIDLong
	}
	local, domain, resource := kinds(j.Local), kinds(j.Domain), kinds(j.Resource)
	switch {
	case local&localForbidden != 0, domain&domainForbidden != 0, resource&anyForbidden != 0,
		local&notASCII != 0 && !legalRunes(j.Local, false),
		domain&notASCII != 0 && !legalRunes(j.Domain, false),
		resource&notASCII != 0 && !legalRunes(j.Resource, true):
		return errJIDSyntax
	}
	return nil
}

// kinds collects what kinds of bytes a part holds.
func kinds(s string) (k uint8) {
	for i := range len(s) {
		k |= jidByte[s[i]]
	}
	return k
}

// Kinds of bytes in addresses.
const (
	localForbidden  = 1 << iota // not in a local part
	domainForbidden             // not in a domain
	anyForbidden                // nowhere
	upper                       // A to Z
	notASCII
)

var jidByte = func() (t [256]uint8) {
	for i := range 0x20 {
		t[i] = localForbidden | domainForbidden | anyForbidden
	}
	t[0x7f] = localForbidden | domainForbidden | anyForbidden
	for _, c := range []byte(" \"&'/<>@") {
		t[c] = localForbidden | domainForbidden
	}
	t[':'] = localForbidden // an IPv6 address is a domain
	for _, c := range []byte("\\`{|}^%#!*()=+,;?$~") {
		t[c] = domainForbidden
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = upper
	}
	for i := utf8.RuneSelf; i < len(t); i++ {
		t[i] = notASCII
	}
	return t
}()

// legalRunes looks at what is not ASCII in a part: no broken UTF-8, no control
// characters, no character XML forbids, and space only in a resource.
func legalRunes(s string, resource bool) bool {
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf:
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 || !resource {
				return false
			}
		case r == 0xFFFE, r == 0xFFFF, unicode.Is(unicode.Cc, r), !resource && unicode.IsSpace(r):
			return false
		}
	}
	return true
}

// String returns the address as text; "" for the zero JID.
func (j JID) String() string {
	switch {
	case j.Resource == "" && j.Local == "":
		return j.Domain
	case j.Resource == "":
		return j.Local + "@" + j.Domain
	case j.Local == "":
		return j.Domain + "/" + j.Resource
	}
	return j.Local + "@" + j.Domain + "/" + j.Resource
}

// AppendTo appends the address as text.
func (j JID) AppendTo(b []byte) []byte {
	if j.Local != "" {
		b = append(append(b, j.Local...), '@')
	}
	b = append(b, j.Domain...)
	if j.Resource != "" {
		b = append(append(b, '/'), j.Resource...)
	}
	return b
}

// Bare returns the address without its resource.
func (j JID) Bare() JID {
	j.Resource = ""
	return j
}

// WithResource returns the address with another resource.
func (j JID) WithResource(r string) JID {
	j.Resource = r
	return j
}

// IsBare reports whether the address has no resource.
func (j JID) IsBare() bool { return j.Resource == "" }

// IsZero reports whether j is no address at all.
func (j JID) IsZero() bool { return j == JID{} }

// Clone returns a copy that shares no memory with what it was parsed from: for
// addresses that are kept longer than their stanza.
func (j JID) Clone() JID {
	return JID{strings.Clone(j.Local), strings.Clone(j.Domain), strings.Clone(j.Resource)}
}

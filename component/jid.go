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
	var j JID
	bare, resource, hasResource := strings.Cut(s, "/")
	local, domain, hasLocal := strings.Cut(bare, "@")
	if !hasLocal {
		local, domain = "", bare
	}
	domain = strings.TrimSuffix(domain, ".")
	if domain == "" || (hasLocal && local == "") || (hasResource && resource == "") {
		return JID{}, errJIDEmpty
	}
	j = JID{Local: fold(local), Domain: fold(domain), Resource: resource}
	if err := j.check(); err != nil {
		return JID{}, err
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

// check reports what is wrong with an address: sizes, and characters that no
// server accepts in that part.
func (j JID) check() error {
	if j.Domain == "" {
		return errJIDEmpty
	}
	if len(j.Local) > maxJIDPart || len(j.Domain) > maxJIDPart || len(j.Resource) > maxJIDPart {
		return errJIDLong
	}
	if !legalPart(j.Local, localForbidden) || !legalPart(j.Domain, domainForbidden) || !legalPart(j.Resource, 0) {
		return errJIDSyntax
	}
	return nil
}

// What an ASCII character may not be part of.
const (
	localForbidden = 1 << iota
	domainForbidden
	everywhereForbidden
)

var jidByte = func() (t [utf8.RuneSelf]uint8) {
	for i := range 0x20 {
		t[i] = everywhereForbidden
	}
	t[0x7f] = everywhereForbidden
	for _, c := range []byte(" \"&'/:<>@") {
		t[c] = localForbidden | domainForbidden
	}
	t[':'] = localForbidden // an IPv6 literal is a domain
	for _, c := range []byte("\\`{|}^%#!*()=+,;?$~") {
		t[c] |= domainForbidden
	}
	return t
}()

func legalPart(s string, forbidden uint8) bool {
	forbidden |= everywhereForbidden
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return legalRunes(s[i:], forbidden)
		}
		if jidByte[c]&forbidden != 0 {
			return false
		}
	}
	return true
}

// legalRunes is the slow half of legalPart, for text that is not ASCII.
func legalRunes(s string, forbidden uint8) bool {
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if jidByte[r]&forbidden != 0 {
				return false
			}
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 || forbidden&domainForbidden != 0 {
				return false
			}
		case r == 0xFFFE || r == 0xFFFF || unicode.Is(unicode.Cc, r):
			return false
		case forbidden&(localForbidden|domainForbidden) != 0 && unicode.IsSpace(r):
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

// Package files hands files over between networks and XMPP: what somebody of a
// network sent is read from the network when a user's client asks for it, through a
// link that only the gateway can make; what a user sends is fetched from where the
// user's server put it. Nothing is kept, and no file is ever wholly in memory.
package files

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/url"
	"strings"
)

// Target is the file a link leads to.
type Target struct {
	Gateway string // component domain
	User    string // bare JID of who may read it on the network
	Network string
	Ref     string // bridges.File.Ref
	Type    string // media type as the sender said; empty: not known
}

// errLink is a link that is not ours, or has been changed.
var errLink = errors.New("files: not a link of this gateway")

const (
	linkVersion = 1
	macSize     = 16
	maxToken    = 4096
)

// token is a target, sealed against change: whoever has the link may read the file,
// and nobody can make one.
func (t *Target) token(key []byte) string {
	b := []byte{linkVersion}
	for _, s := range []string{t.User, t.Network, t.Ref, t.Type} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = append(b, mac(key, t.Gateway, b)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func mac(key []byte, gateway string, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(append([]byte(gateway), 0))
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

// parseToken reads a token of a gateway.
func parseToken(key []byte, gateway, token string) (Target, error) {
	if len(token) > maxToken {
		return Target{}, errLink
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) <= macSize {
		return Target{}, errLink
	}
	b, sum := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(sum, mac(key, gateway, b)) || b[0] != linkVersion {
		return Target{}, errLink
	}
	t := Target{Gateway: gateway}
	b = b[1:]
	for _, s := range []*string{&t.User, &t.Network, &t.Ref, &t.Type} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return Target{}, errLink
		}
		*s, b = string(b[size:size+int(n)]), b[size+int(n):]
	}
	if len(b) > 0 {
		return Target{}, errLink
	}
	return t, nil
}

// fileName is a file's name as the last part of a link: clients show it.
func fileName(name string) string { return url.PathEscape(plainName(name)) }

// plainName is a file's name without what a name cannot have somewhere.
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\<>:"|?*`, r) || r == 0x7f {
			return '_'
		}
		return r
	}, name)
	if name = strings.Trim(name, ". "); name == "" {
		name = "file"
	}
	if len(name) > 120 { // keep the end, which says what it is
		name = strings.ToValidUTF8(name[len(name)-120:], "")
	}
	return name
}

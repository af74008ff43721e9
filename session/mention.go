package session

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"transportd/bridges"
	"transportd/component"
)

// nsReference marks a part of a text as the name of somebody (XEP-0372).
const nsReference = "urn:xmpp:reference:0"

// maxMentions bounds the people one message can name.
const maxMentions = 20

// mentions are the people a message names: by reference, or as it begins.
func (p *spot) mentions(st *component.Stanza, body string) []bridges.UserID {
	var out []bridges.UserID
	add := func(jid component.JID) {
		if id, ok := p.person(jid); ok && len(out) < maxMentions {
			out = append(out, id)
		}
	}
	for c := range st.Children() {
		if c.Space == nsReference && c.Name == "reference" && c.Attr("type") == "mention" {
			if jid, ok := p.referred(c.Attr("uri")); ok {
				add(jid)
			}
		}
	}
	if len(out) == 0 {
		if nick, _, ok := strings.Cut(body, ":"); ok && nick != "" && len(nick) < 256 {
			add(st.To.Bare().WithResource(nick))
		}
	}
	return out
}

// referred is whom the address in a reference means. Clients write it as a JID, or with
// what an address cannot hold escaped (RFC 5122 section 2.2).
func (p *spot) referred(uri string) (component.JID, bool) {
	text := strings.TrimPrefix(uri, "xmpp:")
	for _, form := range []func(string) (string, error){func(s string) (string, error) { return s, nil }, url.PathUnescape} {
		plain, err := form(text)
		if err != nil {
			continue
		}
		if jid, err := component.ParseJID(plain); err == nil {
			if _, ok := p.person(jid); ok {
				return jid, true
			}
		}
	}
	return component.JID{}, false
}

// appendMentions marks where a line of the room names people who are in it; the first
// quote characters of the body only repeat what is answered.
func (r *room) appendMentions(o *component.Out, who []bridges.UserID, body string, quote int) {
	for _, id := range who[:min(len(who), maxMentions)] {
		m, ok := r.l.net.Member(r.id, id)
		if !ok {
			continue
		}
		o.Start(nsReference, "reference").Attr("type", "mention")
		if begin, end, ok := wordAt(body, m.Nick, quote); ok {
			o.Attr("begin", strconv.Itoa(begin)).Attr("end", strconv.Itoa(end))
		}
		o.Attr("uri", addressURI(r.occupant(m.Nick))).End()
	}
}

// wordAt finds a name in a text, behind so many characters, and tells at which
// characters it begins and ends.
func wordAt(text, name string, after int) (begin, end int, ok bool) {
	rest := text
	for range after {
		_, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
	}
	before, _, ok := strings.Cut(rest, name)
	if !ok || name == "" {
		return 0, 0, false
	}
	begin = after + utf8.RuneCountInString(before)
	return begin, begin + utf8.RuneCountInString(name), true
}

// addressURI is the URI of an address (RFC 5122 section 2.2).
func addressURI(j component.JID) string {
	uri := "xmpp:"
	if j.Local != "" {
		uri += url.PathEscape(j.Local) + "@"
	}
	uri += j.Domain
	if j.Resource != "" {
		uri += "/" + url.PathEscape(j.Resource)
	}
	return uri
}

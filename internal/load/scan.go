package main

import (
	"bytes"
	"errors"
)

// stanza is one top-level element as it stands in the read buffer: valid until the next read.
type stanza struct {
	kind byte   // 'm' message, 'p' presence, 'i' iq, 'h' handshake, 'e' stream:error, 0 the end of the stream
	head []byte // the start tag
	all  []byte
}

var closing = map[byte][]byte{
	'm': []byte("</message>"),
	'p': []byte("</presence>"),
	'i': []byte("</iq>"),
	'h': []byte("</handshake>"),
	'e': []byte("</stream:error>"),
}

// nextStanza finds the stanza at the start of b. It looks for the end tag and nothing else, which is enough for a gateway's
// ordinary output: no stanza here holds another of its own kind but a line of an archive, and no attribute a bare '>'. n is
// what was used up; 0 asks for more.
func nextStanza(b []byte) (s stanza, n int, err error) {
	skip := 0
	for skip < len(b) && (b[skip] == ' ' || b[skip] == '\n' || b[skip] == '\r' || b[skip] == '\t') {
		skip++
	}
	if skip > 0 && skip == len(b) {
		return stanza{kind: 'w'}, skip, nil // only white space: a keepalive
	}
	b = b[skip:]
	if len(b) < len("<message>") {
		return stanza{}, 0, nil
	}
	kind := b[1]
	switch {
	case b[0] != '<':
		return stanza{}, 0, errors.New("text outside of a stanza")
	case bytes.HasPrefix(b, []byte("</stream:")):
		return stanza{}, skip + len(b), nil
	case bytes.HasPrefix(b, []byte("<stream:e")):
		kind = 'e'
	}
	gt := bytes.IndexByte(b, '>')
	if gt < 0 {
		return stanza{}, 0, nil
	}
	s = stanza{kind: kind, head: b[:gt+1]}
	if b[gt-1] == '/' {
		s.all = s.head
		return s, skip + gt + 1, nil
	}
	tag := closing[kind]
	if tag == nil {
		return stanza{}, 0, errors.New("unknown element")
	}
	end := bytes.Index(b[gt:], tag)
	if end >= 0 && isArchived(b[gt+1:]) { // that was the end of the message in it
		inner := end + len(tag)
		if end = bytes.Index(b[gt+inner:], tag); end >= 0 {
			end += inner
		}
	}
	if end < 0 {
		return stanza{}, 0, nil
	}
	end += gt + len(tag)
	s.all = b[:end]
	return s, skip + end, nil
}

// isArchived says whether a message with this content brings a line of an archive (XEP-0313), which is a message in it.
func isArchived(content []byte) bool { return bytes.HasPrefix(content, []byte("<result ")) }

// attr is the raw value of an attribute of the start tag. name is written with a blank before and an equals sign behind.
func attr(head []byte, name string) []byte {
	i := bytes.Index(head, []byte(name))
	if i < 0 || i+len(name) >= len(head) {
		return nil
	}
	v := head[i+len(name):]
	end := bytes.IndexByte(v[1:], v[0])
	if end < 0 {
		return nil
	}
	return v[1 : 1+end]
}

// text is the content of the first element of the given name ("<body") inside s, nil when there is none.
func (s stanza) text(open string) []byte {
	i := bytes.Index(s.all[len(s.head):], []byte(open))
	if i < 0 {
		return nil
	}
	v := s.all[len(s.head)+i+len(open):]
	i = bytes.IndexByte(v, '>')
	if i < 0 || (i > 0 && v[i-1] == '/') {
		return nil
	}
	v = v[i+1:]
	if i = bytes.IndexByte(v, '<'); i < 0 {
		return nil
	}
	return v[:i]
}

// has says whether the stanza holds the text.
func (s stanza) has(text string) bool { return bytes.Contains(s.all, []byte(text)) }

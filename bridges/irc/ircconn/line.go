package ircconn

import (
	"strings"

	"github.com/ergochat/irc-go/ircmsg"
)

// Tag is a message tag of an outgoing line.
type Tag struct{ Name, Value string }

// Line is one line to be sent.
type Line struct {
	Tags    []Tag
	Command string
	Params  []string
	// Fence asks for a confirmation that the server has handled the line: see Conn.Write.
	Fence bool
}

// Limits of a line in bytes (RFC 1459 section 2.3, IRCv3 message-tags).
const (
	DefaultLineLen = 512  // without tags, with CR LF
	maxClientTags  = 4096 // "@", tag data and the space after it
	maxBody        = 8192 // longest body we read or believe of LINELEN
)

// AppendLine appends a line and its CR LF to dst. What it appends is exactly
// one line whatever the arguments hold. limit is the longest line in bytes, CR
// LF included and tags not counted. On ErrBadLine and ErrLineTooLong dst comes back unchanged.
func AppendLine(dst []byte, limit int, l *Line) ([]byte, error) {
	start := len(dst)
	dst, err := appendTags(dst, l.Tags)
	if err != nil {
		return dst[:start], err
	}
	body := len(dst)
	if !validCommand(l.Command) {
		return dst[:start], ErrBadLine
	}
	dst = append(dst, l.Command...)
	for i, p := range l.Params {
		if strings.ContainsAny(p, "\r\n\x00") {
			return dst[:start], ErrBadLine
		}
		dst = append(dst, ' ')
		last := i == len(l.Params)-1
		if p == "" || p[0] == ':' || strings.IndexByte(p, ' ') >= 0 {
			if !last {
				return dst[:start], ErrBadLine
			}
			dst = append(dst, ':')
		}
		dst = append(dst, p...)
	}
	dst = append(dst, '\r', '\n')
	if len(dst)-body > limit {
		return dst[:start], ErrLineTooLong
	}
	return dst, nil
}

func appendTags(dst []byte, tags []Tag) ([]byte, error) {
	if len(tags) == 0 {
		return dst, nil
	}
	start := len(dst)
	for i, t := range tags {
		if !validTagName(t.Name) || strings.IndexByte(t.Value, 0) >= 0 {
			return dst, ErrBadLine
		}
		dst = append(dst, "@;"[min(i, 1)])
		dst = append(dst, t.Name...)
		if t.Value != "" {
			dst = append(dst, '=')
			dst = append(dst, ircmsg.EscapeTagValue(t.Value)...)
		}
	}
	dst = append(dst, ' ')
	if len(dst)-start > maxClientTags {
		return dst, ErrLineTooLong
	}
	return dst, nil
}

// validCommand allows letters or digits only.
func validCommand(s string) bool {
	for i := 0; i < len(s); i++ {
		if b := s[i] | 0x20; (b < 'a' || b > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}

// validTagName allows what the grammar of message-tags does: an optional "+",
// an optional vendor with "/", letters, digits and hyphens.
func validTagName(s string) bool {
	s = strings.TrimPrefix(s, "+")
	for i := 0; i < len(s); i++ {
		b := s[i] | 0x20
		letter := b >= 'a' && b <= 'z'
		if !letter && (s[i] < '0' || s[i] > '9') && s[i] != '-' && s[i] != '.' && s[i] != '/' {
			return false
		}
	}
	return s != ""
}

// ParseLine turns a raw line typed by a person into a Line, so that it passes
// the same checks as every other. Tags and a source are not taken.
func ParseLine(raw string) (Line, error) {
	if strings.ContainsAny(raw, "\r\n\x00") {
		return Line{}, ErrBadLine
	}
	raw = strings.TrimLeft(raw, " ")
	if raw == "" || raw[0] == '@' || raw[0] == ':' {
		return Line{}, ErrBadLine
	}
	p, err := ircmsg.ParseLine(raw)
	if err != nil || !validCommand(p.Command) {
		return Line{}, ErrBadLine
	}
	return Line{Command: p.Command, Params: p.Params}, nil
}

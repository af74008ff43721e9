package ircconn

import (
	"strings"

	"github.com/ergochat/irc-go/ircmsg"
)

// Message is one line from the server.
type Message struct {
	Tags    Tags
	Source  string // "nick!user@host" or a server's name; "" when the line has none
	Command string // upper case, or three digits
	Params  []string
	// Confirmed, on a PONG that answers a fence: every line up to this number
	// has been handled by the server. 0 on everything else.
	Confirmed uint64
}

// Param returns a parameter, "" when there are fewer.
func (m *Message) Param(i int) string {
	if i < 0 || i >= len(m.Params) {
		return ""
	}
	return m.Params[i]
}

// Last returns the last parameter, the text of most messages.
func (m *Message) Last() string { return m.Param(len(m.Params) - 1) }

// Nick is the nick, or the server's name, that the line comes from.
func (m *Message) Nick() string {
	nick, _, _ := SplitSource(m.Source)
	return nick
}

// SplitSource splits "nick!user@host"; parts that are missing are empty.
func SplitSource(source string) (nick, user, host string) {
	nick, host, _ = strings.Cut(source, "@")
	nick, user, _ = strings.Cut(nick, "!")
	return nick, user, host
}

// Tags is the raw tag section of a line, without "@"; values are unescaped on demand.
type Tags string

// Get returns a tag's value; the last one counts where a tag is repeated.
func (t Tags) Get(name string) (value string, ok bool) {
	rest := string(t)
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, ";")
		if len(pair) >= len(name) && pair[:len(name)] == name {
			if len(pair) == len(name) {
				value, ok = "", true
			} else if pair[len(name)] == '=' {
				value, ok = pair[len(name)+1:], true
			}
		}
	}
	if ok {
		value = ircmsg.UnescapeTagValue(value)
	}
	return value, ok
}

// Value is Get without telling absent and empty apart.
func (t Tags) Value(name string) string {
	v, _ := t.Get(name)
	return v
}

// ParseMessage parses a line without its line end. The error is ErrBadLine.
func ParseMessage(line string) (*Message, error) {
	m := new(Message)
	if strings.HasPrefix(line, "@") {
		tags, rest, found := strings.Cut(line[1:], " ")
		if !found || strings.ContainsAny(tags, "\r\n\x00") {
			return nil, ErrBadLine
		}
		m.Tags, line = Tags(tags), rest
	}
	if strings.HasPrefix(line, "@") { // ircmsg would read a second tag section
		return nil, ErrBadLine
	}
	p, err := ircmsg.ParseLine(line)
	if err != nil || !validCommand(p.Command) {
		return nil, ErrBadLine
	}
	m.Source, m.Command, m.Params = p.Source, p.Command, p.Params
	return m, nil
}

package irctest

import (
	"fmt"
	"strings"
	"time"

	"github.com/ergochat/irc-go/ircmsg"
)

// outLine is a line to a client before its tags are put on.
type outLine struct {
	text       string
	from       *Client   // for account-tag
	id         string    // msgid
	at         time.Time // zero: now
	clientTags string    // "+name=value;…", relayed
	batch      string
}

// send gives a client a line with the tags it has asked for. s.mu is held, as
// for everything in lower case here.
func (c *Client) send(l outLine) {
	if c.label != "" {
		if l.at.IsZero() {
			l.at = time.Now()
		}
		c.collected = append(c.collected, l)
		return
	}
	c.emit(l, "")
}

func (c *Client) emit(l outLine, label string) {
	c.s.counters.LinesOut++
	var tags []string
	add := func(name, value string) {
		if value != "" {
			tags = append(tags, name+"="+ircmsg.EscapeTagValue(value))
		}
	}
	add("batch", l.batch)
	add("label", label)
	if c.caps["server-time"] {
		if l.at.IsZero() {
			l.at = time.Now()
		}
		add("time", l.at.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if c.caps["message-tags"] {
		add("msgid", l.id)
		if l.clientTags != "" {
			tags = append(tags, l.clientTags)
		}
	}
	if l.from != nil && c.caps["account-tag"] {
		add("account", l.from.account)
	}
	if len(tags) > 0 {
		l.text = "@" + strings.Join(tags, ";") + " " + l.text
	}
	c.SendBytes([]byte(l.text + "\r\n"))
}

// flushLabel ends the collection of a labelled command's answer
// (labeled-response): none is ACK, one carries the label, several are a batch.
func (c *Client) flushLabel() {
	label, lines := c.label, c.collected
	c.label, c.collected = "", nil
	server := ":" + c.s.cfg.Name + " "
	switch {
	case label == "":
	case len(lines) == 0:
		c.emit(outLine{text: server + "ACK"}, label)
	case len(lines) == 1 || !c.caps["batch"]:
		for _, l := range lines {
			c.emit(l, label)
			label = ""
		}
	default:
		id := c.s.newID()
		c.emit(outLine{text: server + "BATCH +" + id + " labeled-response"}, label)
		for _, l := range lines {
			if l.batch == "" {
				l.batch = id
			}
			c.emit(l, "")
		}
		c.emit(outLine{text: server + "BATCH -" + id}, "")
	}
}

func (s *Server) newID() string {
	s.ids++
	return fmt.Sprintf("id%d", s.ids)
}

// line builds ":source COMMAND params", the last parameter as text when it has to be.
func line(source, command string, params ...string) string {
	var b strings.Builder
	b.WriteString(":" + source + " " + command)
	for i, p := range params {
		b.WriteByte(' ')
		if i == len(params)-1 && (p == "" || p[0] == ':' || strings.ContainsRune(p, ' ')) {
			b.WriteByte(':')
		}
		b.WriteString(p)
	}
	return b.String()
}

// numeric sends a reply; the client's nick is put first.
func (c *Client) numeric(code string, params ...string) {
	nick := c.nick
	if nick == "" || !c.registered {
		nick = "*"
	}
	text := line(c.s.cfg.Name, code, append([]string{nick}, params...)...)
	if last := len(params) - 1; last >= 0 && !strings.Contains(params[last], " ") && textNumerics[code] {
		text = text[:len(text)-len(params[last])] + ":" + params[last]
	}
	c.send(outLine{text: text})
}

// textNumerics end in a text that servers always write with a colon.
var textNumerics = map[string]bool{"332": true, "353": true, "301": true, "311": true, "352": true, "319": true, "322": true}

// tell sends a line of a user (or of the server when from is nil) to c.
func (c *Client) tell(from *Client, command string, params ...string) {
	c.send(outLine{text: line(c.s.source(from), command, params...), from: from})
}

func (s *Server) source(from *Client) string {
	if from == nil {
		return s.cfg.Name
	}
	return from.mask()
}

// peers are all who share a channel with c, without c.
func (c *Client) peers() []*Client {
	seen := map[*Client]bool{c: true}
	var out []*Client
	for ch := range c.channels {
		for _, m := range ch.members {
			if !seen[m.c] {
				seen[m.c] = true
				out = append(out, m.c)
			}
		}
	}
	return out
}

// tellPeers sends a line of c to everybody who shares a channel with it and has
// the capability ("" for all).
func (c *Client) tellPeers(capability, command string, params ...string) {
	for _, p := range c.peers() {
		if capability == "" || p.caps[capability] {
			p.tell(c, command, params...)
		}
	}
}

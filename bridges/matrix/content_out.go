package matrix

import (
	"encoding/json"
	"html"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// maxContent bounds the content of an event that is sent, in bytes of JSON. An event
// has 65,536 with what servers add (client-server API, "Size limits"), and encryption
// takes a third more.
const maxContent = 44 << 10

// resolved is what the parts of an outgoing message mean in their room.
type resolved struct {
	Mentions   []mention  // whom Body names, and how
	ReplyTo    id.UserID  // whose line Outgoing.ReplyTo is; empty: not known
	ThreadLast id.EventID // the last line known of Outgoing.Thread; empty: its first
}

var msgTypes = map[bridges.MessageKind]event.MessageType{
	bridges.Text: event.MsgText, bridges.Emote: event.MsgEmote, bridges.Notice: event.MsgNotice,
}

// writeMessage makes the content of an m.room.message. The error is an *Error of kind
// TooLarge or Invalid.
func writeMessage(m *bridges.Outgoing, r resolved) (*event.MessageEventContent, error) {
	c := &event.MessageEventContent{MsgType: msgTypes[m.Kind], Body: cleanText(m.Body)}
	markup := m.HTML
	if m.Link != "" && !strings.Contains(c.Body, m.Link) {
		link := cleanText(m.Link)
		c.Body = strings.TrimLeft(c.Body+"\n"+link, "\n")
		if markup != "" {
			escaped := html.EscapeString(link)
			markup += `<p><a href="` + escaped + `">` + escaped + `</a></p>`
		}
	}
	if strings.TrimSpace(c.Body) == "" {
		return nil, bridges.NewError(bridges.Invalid, "There is nothing to send.")
	}
	formatted := ""
	if markup != "" {
		formatted = formattedBody(markup, r.Mentions)
	} else {
		formatted = formattedText(c.Body, r.Mentions)
	}
	if formatted != "" {
		c.Format, c.FormattedBody = event.FormatHTML, formatted
	}
	// An empty one tells that nobody is named, so that no name is looked for in the
	// text (client-server API, "User and room mentions").
	c.Mentions = &event.Mentions{}
	for _, who := range r.Mentions {
		c.Mentions.Add(who.User)
	}
	relate(c, m, r)
	if m.Replaces != "" {
		replace(c, id.EventID(m.Replaces))
	}
	return c, fit(c)
}

// relate says what a message answers and the thread it is in. For clients without
// threads it answers the last line of it.
func relate(c *event.MessageEventContent, m *bridges.Outgoing, r resolved) {
	if m.Replaces != "" || m.Thread == "" && m.ReplyTo == "" {
		return
	}
	rel := &event.RelatesTo{}
	if m.Thread != "" {
		rel.Type, rel.EventID = event.RelThread, id.EventID(m.Thread)
		last := r.ThreadLast
		if last == "" {
			last = id.EventID(m.Thread)
		}
		rel.InReplyTo, rel.IsFallingBack = &event.InReplyTo{EventID: last}, true
	}
	if m.ReplyTo != "" {
		rel.InReplyTo, rel.IsFallingBack = &event.InReplyTo{EventID: id.EventID(m.ReplyTo)}, false
		c.Mentions.Add(r.ReplyTo)
	}
	c.RelatesTo = rel
}

// replace makes a message an edit. What clients that know none show is marked with an
// asterisk and names nobody again.
func replace(c *event.MessageEventContent, line id.EventID) {
	edited := *c
	c.NewContent = &edited
	c.RelatesTo = &event.RelatesTo{Type: event.RelReplace, EventID: line}
	c.Mentions = &event.Mentions{}
	c.Body = "* " + c.Body
	if c.FormattedBody != "" {
		c.FormattedBody = "* " + c.FormattedBody
	}
}

// fit takes away what a message can do without until it is small enough to be sent:
// looks of what stands for an edit, most of its text, looks.
func fit(c *event.MessageEventContent) error {
	const excerpt = 200 // bytes
	for _, shorten := range []func(){
		func() {},
		func() {
			if c.NewContent != nil {
				c.Format, c.FormattedBody = "", ""
			}
		},
		func() {
			if c.NewContent != nil && len(c.Body) > excerpt {
				c.Body = cutBytes(c.Body, excerpt) + "…"
			}
		},
		func() {
			text := c
			if c.NewContent != nil {
				text = c.NewContent
			}
			text.Format, text.FormattedBody = "", ""
		},
	} {
		shorten()
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if len(b) <= maxContent {
			return nil
		}
	}
	return bridges.NewError(bridges.TooLarge, "This is more text than Matrix takes in one message.")
}

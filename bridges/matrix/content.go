package matrix

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// maxBody bounds a text, in bytes. An event has fewer.
const maxBody = maxHTMLOutput

// contentKind is what an event is to people.
type contentKind uint8

const (
	contentNone      contentKind = iota // nothing they are to see
	contentMessage                      // something said
	contentReaction                     // Target and Key
	contentVote                         // Target and Choices
	contentEncrypted                    // not to be read without a key
	contentRedacted                     // it was taken back
	contentBeacon                       // where somebody is who shares that: Location
	contentCall                         // a call has begun that is made of several events
)

// content is an event as the parts of a bridges.Message. Ids are as the event has
// them: whether they name a line of that room is to be looked up.
type content struct {
	What contentKind
	Kind bridges.MessageKind
	Body string // plain text; of a file, what is said about it
	HTML string // in bridges.Markup

	Replaces id.EventID // the line this is the new text of
	ReplyTo  id.EventID
	Thread   id.EventID // the line the thread begins with

	Mentions []id.UserID // whom it names

	File *file // what the message carries
	Poll *poll // what may be voted on; Body has it in words

	Location *bridges.Location // where Body is about

	Target  id.EventID // of a reaction or a vote
	Ends    id.EventID // the poll whose end this is
	Key     string     // of a reaction
	Choices []string   // of a vote: ids of answers
}

// message is the message the content is, with what it has of it; the file is not in
// it: where that can be fetched is up to the driver.
func (c *content) message() *bridges.Message {
	m := &bridges.Message{
		Kind: c.Kind, Body: c.Body, HTML: c.HTML,
		Replaces: bridges.MessageID(c.Replaces), Thread: bridges.MessageID(c.Thread), Location: c.Location,
	}
	for _, user := range c.Mentions {
		m.Mentions = append(m.Mentions, bridges.UserID(user))
	}
	if c.ReplyTo != "" {
		m.ReplyTo = &bridges.Reply{ID: bridges.MessageID(c.ReplyTo)}
	}
	return m
}

// readEvent reads an event as it came from the homeserver, or as it was decrypted. It
// never fails: what makes no sense is contentNone.
func readEvent(ev *event.Event) content {
	if ev.Unsigned.RedactedBecause != nil {
		return content{What: contentRedacted}
	}
	raw := ev.Content.VeryRaw
	if raw == nil && ev.Content.Raw != nil {
		raw, _ = json.Marshal(ev.Content.Raw)
	}
	return readContent(ev.Type.Type, raw)
}

// contentReaders read the types of event people are to see something of.
var contentReaders = map[string]func(object) content{
	"m.room.message":                      readMessage,
	"m.sticker":                           readSticker,
	"m.room.encrypted":                    readEncrypted,
	"m.reaction":                          readReaction,
	"m.poll.start":                        readPoll,
	"org.matrix.msc3381.poll.start":       readPoll,
	"m.poll.response":                     readVote,
	"org.matrix.msc3381.poll.response":    readVote,
	"m.poll.end":                          readPollEnd,
	"org.matrix.msc3381.poll.end":         readPollEnd,
	"m.call.invite":                       readCall,
	"m.call.hangup":                       note("The call has ended."),
	"m.call.reject":                       note("The call was declined."),
	"m.rtc.notification":                  func(object) content { return content{What: contentCall} },
	"org.matrix.msc4075.rtc.notification": func(object) content { return content{What: contentCall} },
	"m.beacon":                            readBeacon,
	"org.matrix.msc3672.beacon":           readBeacon,
	"m.message":                           readExtensible,
	"org.matrix.msc1767.message":          readExtensible,
}

// readContent reads the content of an event of a type.
func readContent(kind string, raw json.RawMessage) content {
	read := contentReaders[kind]
	if read == nil {
		return content{}
	}
	o := readObject(raw)
	switch {
	case o == nil:
		return content{}
	case len(o) == 0 && kind != "m.call.hangup" && kind != "m.call.reject":
		return content{What: contentRedacted} // what a redaction leaves (room versions, "Redactions")
	}
	c := read(o)
	if c.What == contentMessage && c.File == nil && c.Location == nil && strings.TrimSpace(c.Body) == "" {
		return content{}
	}
	return c
}

// msgReaders read the kinds of m.room.message; one that is not known is its text.
var msgReaders = map[string]func(object, *content){
	"m.text":                     readText,
	"m.emote":                    readText,
	"m.notice":                   readText,
	"m.server_notice":            readText,
	"m.image":                    readFile,
	"m.file":                     readFile,
	"m.audio":                    readFile,
	"m.video":                    readFile,
	"m.location":                 readLocation,
	"m.key.verification.request": readVerification,
}

// readMessage reads an m.room.message, and what it refers to.
func readMessage(o object) content {
	c := content{What: contentMessage}
	relates := o.obj("m.relates_to")
	c.relate(relates)
	if relates.str("rel_type") == "m.replace" {
		// Without the new content it is no edit (client-server API, "Validity of
		// replacement events"): what it says is said anew.
		if edit := o.obj("m.new_content"); len(edit) > 0 && eventID(relates) != "" {
			c.Replaces, c.ReplyTo, c.Thread = eventID(relates), "", ""
			o = edit
		}
	}
	switch o.str("msgtype") {
	case "m.emote":
		c.Kind = bridges.Emote
	case "m.notice", "m.server_notice":
		c.Kind = bridges.Notice
	}
	read := msgReaders[o.str("msgtype")]
	if read == nil {
		read = readText
	}
	read(o, &c)
	if _, said := o["m.mentions"]; said { // else whom its links stand for
		c.Mentions = nil
		for _, user := range o.obj("m.mentions").strs("user_ids") {
			c.names(user)
		}
	}
	return c
}

// maxMentions bounds the people that one message names.
const maxMentions = 20

// names notes that the message names somebody.
func (c *content) names(user string) {
	clean, err := checkID(user)
	if err != nil || clean[0] != '@' || len(c.Mentions) >= maxMentions || slices.Contains(c.Mentions, id.UserID(clean)) {
		return
	}
	c.Mentions = append(c.Mentions, id.UserID(clean))
}

// named notes whom the links in a text stand for.
func (c *content) named(n *node) {
	if user := n.mentioned(); user != "" {
		c.names(user)
	}
	for _, kid := range n.kids {
		c.named(kid)
	}
}

// relate reads what a message answers and the thread it is in. In a thread, clients
// that know none are told of an answer to the last line of it: that is none.
func (c *content) relate(relates object) {
	c.ReplyTo = id.EventID(cutID(relates.obj("m.in_reply_to").str("event_id")))
	if relates.str("rel_type") == "m.thread" {
		if c.Thread = eventID(relates); c.Thread != "" && relates.bool("is_falling_back") {
			c.ReplyTo = ""
		}
	}
}

func eventID(relates object) id.EventID { return id.EventID(cutID(relates.str("event_id"))) }

// cutID is s if it can be an identifier.
func cutID(s string) string {
	if len(s) > maxID {
		return ""
	}
	return s
}

// readText reads the text of a message: as its HTML says, where it has some.
func readText(o object, c *content) {
	body := cutBytes(o.str("body"), maxBody)
	if formatted := o.str("formatted_body"); o.str("format") == string(event.FormatHTML) && formatted != "" {
		tree := parseHTML(formatted)
		if c.Body = treeText(tree); strings.TrimSpace(c.Body) != "" {
			c.HTML = treeMarkup(tree)
			c.named(tree)
			return
		}
	}
	if c.ReplyTo != "" {
		body = stripReply(body)
	}
	c.Body = body
}

// replyFallback is the first line of the quote that older clients put before an answer
// (client-server API 1.12, "Fallbacks for rich replies").
var replyFallback = regexp.MustCompile(`^> (?:\* )?<@[^>\n]*>`)

// stripReply takes away the quote before an answer.
func stripReply(body string) string {
	if !replyFallback.MatchString(body) {
		return body
	}
	rest := body
	for strings.HasPrefix(rest, ">") {
		_, after, more := strings.Cut(rest, "\n")
		if !more {
			return body // nothing but a quote: then it is what was said
		}
		rest = after
	}
	if rest = strings.TrimPrefix(rest, "\n"); strings.TrimSpace(rest) == "" {
		return body
	}
	return rest
}

// readVerification: whoever asks to compare keys asks a device, not people.
func readVerification(_ object, c *content) { c.What = contentNone }

func readEncrypted(o object) content {
	c := content{What: contentEncrypted}
	relates := o.obj("m.relates_to") // stays in the clear
	c.relate(relates)
	if relates.str("rel_type") == "m.replace" {
		c.Replaces = eventID(relates)
	}
	return c
}

// maxReaction bounds a reaction's key, in bytes: an emoji of several characters, or a
// word.
const maxReaction = 64

// readReaction reads an m.reaction. Pictures as keys, which some clients have, say
// nothing to others.
func readReaction(o object) content {
	relates := o.obj("m.relates_to")
	key := strings.TrimSpace(relates.str("key"))
	if relates.str("rel_type") != "m.annotation" || eventID(relates) == "" ||
		key == "" || len(key) > maxReaction || strings.HasPrefix(key, "mxc://") || strings.ContainsAny(key, "\n\t") {
		return content{}
	}
	return content{What: contentReaction, Target: eventID(relates), Key: key}
}

// readCall reads an m.call.invite (client-server API, "Voice over IP").
func readCall(o object) content {
	kind := "voice"
	if strings.Contains(o.obj("offer").str("sdp"), "m=video") {
		kind = "video"
	}
	return content{What: contentMessage, Kind: bridges.Notice, Body: "Here is a " + kind + " call: it can be answered in a Matrix client."}
}

// note is something that is told in a line and has nothing else to it.
func note(text string) func(object) content {
	return func(object) content { return content{What: contentMessage, Kind: bridges.Notice, Body: text} }
}

// readExtensible reads a message of extensible events (MSC1767).
func readExtensible(o object) content {
	c := content{What: contentMessage}
	c.relate(o.obj("m.relates_to"))
	c.Body = cutBytes(extensibleText(o), maxBody)
	return c
}

// extensibleText is the text of something in an extensible event, of the stable form
// or of those before it.
func extensibleText(o object) string {
	for _, key := range []string{"m.text", "org.matrix.msc1767.message", "m.message"} {
		for _, raw := range o.list(key) {
			part := readObject(raw)
			if kind := part.str("mimetype"); kind == "" || kind == "text/plain" {
				if text := part.str("body"); text != "" {
					return text
				}
			}
		}
	}
	for _, key := range []string{"org.matrix.msc1767.text", "m.text", "body"} {
		if text := o.str(key); text != "" {
			return text
		}
	}
	return ""
}

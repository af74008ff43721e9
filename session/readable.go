package session

import (
	"slices"
	"strings"
	"unicode/utf8"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// quoteLength is how many characters of a line are quoted.
const quoteLength = 60

// readable turns a message into what the network can carry: text. What the
// network has no form for — an edit, a reply, a reaction, a retraction — comes
// as words, once. False: there is nothing to say.
func (r *room) readable(st *component.Stanza) (bridges.Outgoing, bool) {
	return r.inWords(st, native{})
}

// inWords is readable where the network has a form for some of it.
func (r *room) inWords(st *component.Stanza, n native) (bridges.Outgoing, bool) {
	body, _ := st.Body()
	if reactions, ok := xep.ParseReactions(st.Element); ok {
		return r.reactionText(reactions)
	}
	if id := xep.ParseRetract(st.Element); id != "" {
		return bridges.Outgoing{Kind: bridges.Emote, Body: "takes back: " + r.quote(id)}, true
	}
	if reply, ok := xep.ParseReply(st.Element); ok {
		if fb, ok := xep.ParseFallback(st.Element, xep.NSReply); ok {
			body = fb.Strip(body)
		}
		if body != "" && !n.reply {
			body = r.replyText(reply.ID, reply.To, body)
		}
	}
	if xep.ParseReplace(st.Element) != "" && body != "" && !n.edit {
		if rest, emote := strings.CutPrefix(body, "/me "); emote {
			return bridges.Outgoing{Kind: bridges.Emote, Body: rest + " (corrected)"}, true
		}
		return bridges.Outgoing{Body: "(correction) " + body}, true
	}
	return plain(st, body)
}

// plain is a message as text, "/me" told apart (XEP-0245).
func plain(st *component.Stanza, body string) (bridges.Outgoing, bool) {
	if body == "" {
		body = st.Child(xep.NSOOB, "x").Child("", "url").Text()
	}
	if f, ok := xep.ParseFileSharing(st.Element); ok && !strings.Contains(body, f.URL) {
		body = strings.TrimLeft(body+"\n"+f.URL, "\n") // who knows no files gets its address
	}
	if at, ok := placeOf(st); ok && body == "" {
		body = at.URI()
	}
	if strings.TrimSpace(body) == "" {
		return bridges.Outgoing{}, false
	}
	if rest, ok := strings.CutPrefix(body, "/me "); ok && strings.TrimSpace(rest) != "" {
		return bridges.Outgoing{Kind: bridges.Emote, Body: rest}, true
	}
	return bridges.Outgoing{Body: body}, true
}

// find returns a remembered line by message id or stanza-id.
func (r *room) find(id string) *line {
	for i := len(r.lines) - 1; i >= 0; i-- {
		if l := &r.lines[i]; l.sid == id || l.id == id {
			return l
		}
	}
	return nil
}

// quote names a line in words.
func (r *room) quote(id string) string {
	l := r.find(id)
	if l == nil {
		return "an earlier message"
	}
	return "“" + shorten(strings.TrimPrefix(l.body, "/me ")) + "”"
}

// replyText addresses a reply to its author, with a quote unless it answers the
// latest line.
func (r *room) replyText(id string, to component.JID, body string) string {
	l := r.find(id)
	nick := to.Resource
	if l != nil {
		nick = l.from
	}
	if nick == "" || strings.HasPrefix(body, nick+":") {
		return body
	}
	if l != nil && l != &r.lines[len(r.lines)-1] {
		return nick + ": [“" + shorten(l.body) + "”] " + body
	}
	return nick + ": " + body
}

// maxReactions bounds the messages whose reactions are remembered in a room.
const maxReactions = 64

// reactionText tells what a full set of reactions adds to the last (XEP-0444
// section 3); one that only takes back says nothing.
func (r *room) reactionText(re xep.Reactions) (bridges.Outgoing, bool) {
	var added []string
	for _, emoji := range re.Emoji {
		if !slices.Contains(r.reacts[re.ID], emoji) {
			added = append(added, emoji)
		}
	}
	if r.reacts == nil || len(r.reacts) >= maxReactions {
		r.reacts = make(map[string][]string)
	}
	r.reacts[re.ID] = re.Emoji
	if len(added) == 0 {
		return bridges.Outgoing{}, false
	}
	text := "reacts with " + strings.Join(added, " ") + " to " + r.quote(re.ID)
	if l := r.find(re.ID); l != nil && l.from != "" && !l.self {
		text = "reacts with " + strings.Join(added, " ") + " to " + l.from + ": " + r.quote(re.ID)
	}
	return bridges.Outgoing{Kind: bridges.Emote, Body: text}, true
}

// shorten makes one short line of a text.
func shorten(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= quoteLength {
		return text
	}
	runes := []rune(text)[:quoteLength]
	if i := strings.LastIndexByte(string(runes), ' '); i > len(string(runes))/2 {
		return string(runes)[:i] + "…"
	}
	return string(runes) + "…"
}

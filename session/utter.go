package session

import (
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// spot is a place where one of the user's clients says something, with what its
// network has a form for.
type spot struct {
	s     *Session
	l     *link
	place bridges.Place
	caps  bridges.Caps
	netID func(id string, then func(bridges.MessageID))
	// words is the stanza as text, what the network has no form for included.
	words func(*component.Stanza, native) (bridges.Outgoing, bool)
	// person finds who an occupant's JID means; nil: nobody can be named here.
	person func(component.JID) (bridges.UserID, bool)
}

// native says which parts of a stanza the network has a form for, so that words
// leave them out.
type native struct{ edit, reply bool }

// ask is something the network is asked to do with a Ref.
type ask func(bridges.Ref) error

// wish is what the network is asked, and what instead where it certainly did not
// do that; both may be nil.
type wish struct{ do, instead ask }

// utter turns a stanza into what the network is asked under a token. then is called once, in the
// session, at once or later; with nothing to do where there is nothing to ask, and the
// sender has been answered where that is needed.
func (p *spot) utter(st *component.Stanza, token string, then func(wish)) {
	if re, ok := xep.ParseReactions(st.Element); ok && p.caps.React {
		p.about(st, re.ID, then, func(ref bridges.Ref, id bridges.MessageID) error {
			return p.l.net.(bridges.Reactor).React(ref, token, p.place, id, re.Emoji)
		})
		return
	}
	if id := xep.ParseRetract(st.Element); id != "" && p.caps.Retract {
		p.about(st, id, then, func(ref bridges.Ref, id bridges.MessageID) error {
			return p.l.net.(bridges.Retractor).Retract(ref, token, p.place, id, "")
		})
		return
	}
	p.replaced(st, func(replaces bridges.MessageID) {
		p.replied(st, func(reply bridges.MessageID) {
			p.thread(st, func(thread bridges.MessageID) {
				then(p.say(st, token, replaces, reply, thread))
			})
		})
	})
}

// about asks for something about an earlier line.
func (p *spot) about(st *component.Stanza, id string, then func(wish), do func(bridges.Ref, bridges.MessageID) error) {
	p.netID(id, func(line bridges.MessageID) {
		if line == "" {
			p.s.refuse(st, component.NewStanzaError("cancel", "item-not-found", "The gateway does not know the message this is about."))
			then(wish{})
			return
		}
		then(wish{do: func(ref bridges.Ref) error { return do(ref, line) }})
	})
}

func (p *spot) replaced(st *component.Stanza, then func(bridges.MessageID)) {
	id := xep.ParseReplace(st.Element)
	if id == "" || !p.caps.Edit {
		then("")
		return
	}
	p.netID(id, then)
}

func (p *spot) replied(st *component.Stanza, then func(bridges.MessageID)) {
	reply, ok := xep.ParseReply(st.Element)
	if !ok || !p.caps.Reply {
		then("")
		return
	}
	p.netID(reply.ID, then)
}

func (p *spot) thread(st *component.Stanza, then func(bridges.MessageID)) {
	id := st.Child("", "thread").Text()
	if id == "" || !p.caps.Thread {
		then("")
		return
	}
	p.netID(id, then)
}

// say is a message with what is known of the lines it refers to.
func (p *spot) say(st *component.Stanza, token string, replaces, reply, thread bridges.MessageID) wish {
	out, ok := p.words(st, native{edit: replaces != "", reply: reply != ""})
	if !ok {
		return wish{}
	}
	out.Token, out.Replaces, out.ReplyTo, out.Thread = token, replaces, reply, thread
	if p.caps.HTML {
		out.HTML = looks(st, &out)
	}
	if url := st.Child(xep.NSOOB, "x").Child("", "url").Text(); url == out.Body {
		out.Link = url
	}
	if p.caps.Mention && p.person != nil {
		out.Mentions = p.mentions(st, out.Body)
	}
	send := func(out bridges.Outgoing) ask {
		return func(ref bridges.Ref) error { return p.l.net.Send(ref, p.place, out) }
	}
	if file, caption := p.s.sentFile(st, out.Body); file != nil && p.caps.Files {
		// What cannot be carried is at least said to be there.
		with := out
		with.File, with.Body, with.HTML, with.Link = file, caption, "", ""
		return wish{do: send(with), instead: send(out)}
	}
	if p.caps.Location {
		out.Location, out.Body = sentLocation(st, out.Body)
	}
	return wish{do: send(out)}
}

// looks is how a message looks: as its XHTML says, else by the styling of its text
// (XEP-0393), which a client may have switched off.
func looks(st *component.Stanza, out *bridges.Outgoing) string {
	body, _ := st.Body()
	if l, ok := looksOf(st.Element); ok && body == out.Body {
		return l
	}
	if st.Child(nsStyling, "unstyled") != nil {
		return ""
	}
	return styled(out.Body)
}

// nsStyling is XEP-0393's namespace.
const nsStyling = "urn:xmpp:styling:0"

// spot is the room as a place to say something.
func (r *room) spot(caps *bridges.Caps) *spot {
	return &spot{
		s: r.Session, l: r.l, place: bridges.Place{Room: r.id}, caps: *caps, netID: r.netID, words: r.inWords,
		person: func(jid component.JID) (bridges.UserID, bool) {
			if jid.Bare() != r.jid || jid.Resource == "" {
				return "", false
			}
			m, ok := r.whoIs(jid.Resource)
			return m.ID, ok
		},
	}
}

// spot is the chat with a person as a place to say something.
func (c *contact) spot(s *Session, caps *bridges.Caps) *spot {
	return &spot{
		s: s, l: c.l, place: bridges.Place{User: c.id}, caps: *caps, words: s.privateWords,
		netID: func(id string, then func(bridges.MessageID)) { s.privateNetID(c, id, then) },
	}
}

// outcomeOf is what the network made of something a client said: the name it has
// for it, and when.
func outcomeOf(ev bridges.Event) (id bridges.MessageID, at time.Time, err *bridges.Error) {
	switch ev := ev.(type) {
	case *bridges.Message:
		return ev.ID, ev.At, nil
	case *bridges.Reacted:
		return "", ev.At, nil
	case *bridges.Retracted:
		return "", ev.At, nil
	case *bridges.Failed:
		return "", time.Time{}, ev.Err
	}
	return "", time.Time{}, nil
}

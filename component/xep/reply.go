package xep

import "transportd/component"

// NSReply marks a message as a reply to another (XEP-0461).
const NSReply = "urn:xmpp:reply:0"

// Reply names the message that is replied to and who wrote it.
type Reply struct {
	ID string
	To component.JID
}

// ParseReply reads a reply; false where it names no message.
func ParseReply(e *component.Element) (Reply, bool) {
	r := find(e, NSReply, "reply")
	if r.Attr("id") == "" {
		return Reply{}, false
	}
	return Reply{ID: r.Attr("id"), To: jid(r.Attr("to"))}, true
}

// AppendTo writes the reply.
func (r Reply) AppendTo(o *component.Out) {
	o.Start(NSReply, "reply").OptAttr("to", jidText(r.To)).Attr("id", r.ID).End()
}

package xep

import (
	"time"

	"transportd/component"
)

// NSDelay marks a stanza that is delivered later than it was sent (XEP-0203).
const NSDelay = "urn:xmpp:delay"

// Delay tells when a stanza was first sent, and who kept it since.
type Delay struct {
	From component.JID
	At   time.Time
}

// ParseDelay reads a delay; false where it has no readable time.
func ParseDelay(e *component.Element) (Delay, bool) {
	d := find(e, NSDelay, "delay")
	at, err := component.ParseTime(d.Attr("stamp"))
	if err != nil {
		return Delay{}, false
	}
	return Delay{From: jid(d.Attr("from")), At: at}, true
}

// AppendTo writes the delay.
func (d Delay) AppendTo(o *component.Out) { AppendDelay(o, d.From, d.At) }

// AppendDelay writes that from kept the stanza since at.
func AppendDelay(o *component.Out, from component.JID, at time.Time) {
	o.Start(NSDelay, "delay").OptAttr("from", jidText(from)).Attr("stamp", component.FormatTime(at)).End()
}

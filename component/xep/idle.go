package xep

import (
	"time"

	"transportd/component"
)

// NSIdle tells in a presence since when there was no sign of life (XEP-0319).
const NSIdle = "urn:xmpp:idle:1"

// ParseIdle returns that time; zero where there is none that can be read.
func ParseIdle(e *component.Element) time.Time {
	since, err := component.ParseTime(find(e, NSIdle, "idle").Attr("since"))
	if err != nil {
		return time.Time{}
	}
	return since
}

// AppendIdle writes the time.
func AppendIdle(o *component.Out, since time.Time) {
	o.Start(NSIdle, "idle").Attr("since", component.FormatTime(since)).End()
}

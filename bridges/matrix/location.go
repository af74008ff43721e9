package matrix

import (
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// locationKeys hold a place in an event, in the form of the specification and the one
// before it (MSC3488).
var locationKeys = []string{"m.location", "org.matrix.msc3488.location"}

// readLocation reads an m.location: what is said of it, and where it is. A text that
// only repeats the address says nothing.
func readLocation(o object, c *content) {
	body, uri := cutBytes(o.str("body"), maxBody), o.str("geo_uri")
	for _, key := range locationKeys {
		if at := o.obj(key); at != nil {
			if uri == "" {
				uri = at.str("uri")
			}
			if text := at.str("description"); text != "" {
				body = cutBytes(text, maxBody)
			}
		}
	}
	c.Body = body
	at, ok := bridges.ParseLocation(uri)
	if !ok {
		return
	}
	if c.Location = at; strings.Contains(body, uri) {
		c.Body = ""
	}
}

// writeLocation makes the content of an m.location.
func writeLocation(m *bridges.Outgoing, r resolved) (*event.MessageEventContent, error) {
	c := &event.MessageEventContent{MsgType: event.MsgLocation, Body: strings.TrimSpace(cleanText(m.Body)), GeoURI: m.Location.URI(), Mentions: &event.Mentions{}}
	if c.Body == "" {
		c.Body = c.GeoURI
	}
	relate(c, m, r)
	if m.Replaces != "" {
		replace(c, id.EventID(m.Replaces))
	}
	return c, fit(c)
}

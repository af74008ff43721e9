package session

import (
	"strings"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// located is a place as text: what is said about it, and its geo URI, which clients
// make a link or a map of.
func located(body string, at *bridges.Location) string {
	if uri := at.URI(); !strings.Contains(body, uri) {
		return strings.TrimLeft(body+"\n"+uri, "\n")
	}
	return body
}

// appendLocation writes the place that a text is about (XEP-0080).
func appendLocation(o *component.Out, p *piece) {
	xep.Geoloc{Lat: p.Location.Lat, Lon: p.Location.Lon, Alt: p.Location.Alt, Accuracy: p.Location.Accuracy, Text: p.Body}.AppendTo(o)
}

// placeOf is the place in a stanza.
func placeOf(st *component.Stanza) (*bridges.Location, bool) {
	g, ok := xep.ParseGeoloc(st.Element)
	at := &bridges.Location{Lat: g.Lat, Lon: g.Lon, Alt: g.Alt, Accuracy: g.Accuracy}
	return at, ok && at.Valid()
}

// sentLocation is the place a client sends, where its stanza is about one, and what it
// says about it; else the text remains as it is.
func sentLocation(st *component.Stanza, body string) (*bridges.Location, string) {
	uri, words := "", strings.Fields(body)
	for _, word := range words {
		if strings.HasPrefix(strings.ToLower(word), "geo:") {
			uri = word
		}
	}
	at, ok := bridges.ParseLocation(uri)
	if exact, known := placeOf(st); known {
		if !ok {
			return nil, body // the text is about something else
		}
		at = exact
	} else if !ok || len(words) != 1 {
		return nil, body
	}
	return at, strings.TrimSpace(strings.Replace(body, uri, "", 1))
}

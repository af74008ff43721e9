package xep

import (
	"strconv"
	"strings"

	"transportd/component"
)

// NSGeoloc is the namespace of places on Earth (XEP-0080).
const NSGeoloc = "http://jabber.org/protocol/geoloc"

// Geoloc is a place.
type Geoloc struct {
	Lat, Lon float64  // degrees
	Alt      *float64 // metres; nil: not known
	Accuracy float64  // metres; 0: not known
	Text     string   // the place in words
}

// ParseGeoloc reads a place; false where it has no latitude and longitude.
func ParseGeoloc(e *component.Element) (Geoloc, bool) {
	x := find(e, NSGeoloc, "geoloc")
	number := func(name string) (float64, bool) {
		f, err := strconv.ParseFloat(strings.TrimSpace(x.Child("", name).Text()), 64)
		return f, err == nil
	}
	g := Geoloc{Text: x.Child("", "text").Text()}
	var lat, lon bool
	g.Lat, lat = number("lat")
	g.Lon, lon = number("lon")
	if !lat || !lon {
		return Geoloc{}, false
	}
	if alt, ok := number("alt"); ok {
		g.Alt = &alt
	}
	g.Accuracy, _ = number("accuracy")
	return g, true
}

// AppendTo writes the place.
func (g Geoloc) AppendTo(o *component.Out) {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	o.Start(NSGeoloc, "geoloc")
	if g.Accuracy > 0 {
		o.Elem("", "accuracy", number(g.Accuracy))
	}
	if g.Alt != nil {
		o.Elem("", "alt", number(*g.Alt))
	}
	o.Elem("", "lat", number(g.Lat)).Elem("", "lon", number(g.Lon))
	if g.Text != "" {
		o.Elem("", "text", g.Text)
	}
	o.End()
}

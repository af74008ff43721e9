package bridges

import (
	"math"
	"strconv"
	"strings"
)

// Location is a place on Earth (WGS 84).
type Location struct {
	Lat, Lon float64  // degrees, north and east
	Alt      *float64 // metres; nil: not known
	Accuracy float64  // metres; 0: not known
}

// Valid tells whether there is such a place.
func (l *Location) Valid() bool {
	return math.Abs(l.Lat) <= 90 && math.Abs(l.Lon) <= 180 && l.Accuracy >= 0 && !math.IsInf(l.Accuracy, 0) &&
		(l.Alt == nil || !math.IsNaN(*l.Alt) && !math.IsInf(*l.Alt, 0))
}

// URI is the place as a geo URI (RFC 5870).
func (l *Location) URI() string {
	uri := "geo:" + degrees(l.Lat) + "," + degrees(l.Lon)
	if l.Alt != nil {
		uri += "," + degrees(*l.Alt)
	}
	if l.Accuracy > 0 {
		uri += ";u=" + degrees(l.Accuracy)
	}
	return uri
}

func degrees(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// ParseLocation reads a geo URI of WGS 84; false where it is none. Of parameters it
// knows the uncertainty.
func ParseLocation(uri string) (*Location, bool) {
	const maxURI = 256
	if len(uri) > maxURI || len(uri) < 4 || !strings.EqualFold(uri[:4], "geo:") {
		return nil, false
	}
	uri, _, _ = strings.Cut(uri[4:], "?") // what some programs add
	place, params, _ := strings.Cut(uri, ";")
	var l Location
	var ok [4]bool
	parts := strings.Split(place, ",")
	if len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	l.Lat, ok[0] = coordinate(parts[0])
	l.Lon, ok[1] = coordinate(parts[1])
	ok[2], ok[3] = true, true
	if len(parts) == 3 {
		var alt float64
		alt, ok[2] = coordinate(parts[2])
		l.Alt = &alt
	}
	for _, p := range strings.Split(params, ";") {
		switch name, value, _ := strings.Cut(p, "="); strings.ToLower(name) {
		case "crs":
			ok[3] = strings.EqualFold(value, "wgs84")
		case "u":
			if u, is := coordinate(value); is && u > 0 {
				l.Accuracy = u
			}
		}
	}
	if ok != [4]bool{true, true, true, true} || !l.Valid() {
		return nil, false
	}
	return &l, true
}

// coordinate reads a number of a geo URI (RFC 5870 section 3.3): digits with a point.
func coordinate(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "-.0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

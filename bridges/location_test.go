package bridges

import (
	"reflect"
	"testing"
)

func TestLocation(t *testing.T) {
	alt := -3.5
	for uri, want := range map[string]Location{
		"geo:51.5,-0.12":               {Lat: 51.5, Lon: -0.12},
		"GEO:51.5,-0.12;u=35":          {Lat: 51.5, Lon: -0.12, Accuracy: 35},
		"geo:1,2,-3.5;crs=wgs84;u=0.5": {Lat: 1, Lon: 2, Alt: &alt, Accuracy: 0.5},
		"geo:1,2?q=3,4":                {Lat: 1, Lon: 2},
		"geo:-90,180;x=y;u=many":       {Lat: -90, Lon: 180},
	} {
		l, ok := ParseLocation(uri)
		if !ok || !reflect.DeepEqual(*l, want) {
			t.Fatalf("%s: %+v, %t", uri, l, ok)
		}
		if again, ok := ParseLocation(l.URI()); !ok || !reflect.DeepEqual(again, l) {
			t.Errorf("%s is written %s", uri, l.URI())
		}
	}
	for _, uri := range []string{
		"", "geo:", "geo:1", "geo:1,2,3,4", "geo:91,0", "geo:0,181", "geo:1e1,2", "geo:0x1,2", "geo:NaN,2", "geo:1,2;crs=moon", "geo:1,,2", "geo: 1,2", "https://a", "geo:1-1,2",
	} {
		if l, ok := ParseLocation(uri); ok {
			t.Errorf("%q is %+v", uri, l)
		}
	}
}

func FuzzParseLocation(f *testing.F) {
	f.Add("geo:1,2,3;u=4")
	f.Fuzz(func(t *testing.T, uri string) {
		if l, ok := ParseLocation(uri); ok {
			if again, ok := ParseLocation(l.URI()); !ok || !reflect.DeepEqual(again, l) {
				t.Errorf("%q is written %q", uri, l.URI())
			}
		}
	})
}

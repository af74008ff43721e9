package matrix

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

func TestLocationToARoom(t *testing.T) {
	srv := matrixtest.New(t)
	_, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	for body, says := range map[string]string{"": `"body":"geo:1,2"`, "here": `"body":"here"`} {
		ref := l.nextRef()
		l.ok(l.net.Send(ref, bridges.Place{Room: bridges.RoomID(r.ID)}, bridges.Outgoing{Body: body, Location: &bridges.Location{Lat: 1, Lon: 2}}))
		m := want(l, "the place", func(m *bridges.Message) bool { return m.Ref == ref })
		events := r.Events()
		c := string(events[len(events)-1].Content)
		if m.ID != bridges.MessageID(events[len(events)-1].ID) || !strings.Contains(c, says) || !strings.Contains(c, `"msgtype":"m.location"`) || !strings.Contains(c, `"geo_uri":"geo:1,2"`) {
			t.Errorf("%q: %s", body, c)
		}
	}
}

package session

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestTaggedLogLines(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	user := tag(log, "user", "alice")
	user.Info("one")
	room := tag(user, "room", "#r")
	room.With("more", 1).WithGroup("g").Info("two", "x", 2)
	tag(room, "third", "t").Info("three")
	want := "level=INFO msg=one user=alice\n" +
		"level=INFO msg=two user=alice room=#r more=1 g.x=2\n" +
		"level=INFO msg=three third=t user=alice room=#r\n"
	if out.String() != want {
		t.Errorf("logged\n%swant\n%s", out.String(), want)
	}
}

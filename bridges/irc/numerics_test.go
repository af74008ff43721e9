package irc

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"transportd/bridges"
)

// kindNames are how docs/irc.md calls the kinds of error.
var kindNames = map[bridges.ErrorKind]string{
	bridges.NotFound: "not found", bridges.Invalid: "invalid", bridges.TooLarge: "too large",
	bridges.Unsupported: "unsupported", bridges.Forbidden: "forbidden", bridges.IsBanned: "banned",
	bridges.MembersOnly: "members only", bridges.PasswordRequired: "password required", bridges.RoomFull: "room full",
	bridges.Conflict: "conflict", bridges.NickLocked: "nick locked", bridges.NotJoined: "not joined",
	bridges.TooManyRooms: "too many rooms", bridges.BadCredentials: "bad credentials",
	bridges.NeedsAccount: "account needed", bridges.RateLimited: "slower", bridges.TemporaryRefuse: "try later",
}

var actionNames = []struct {
	act  action
	name string
}{
	{actJoin, "join"}, {actLeave, "leave"}, {actSend, "message"}, {actTopic, "subject"}, {actNick, "nick"},
	{actInvite, "invite"}, {actKick, "kick"}, {actMode, "role, affiliation"}, {actAway, "away"},
	{actWhois, "look-up"}, {actList, "directory"}, {actProbe, "probe"},
}

// docRow is how docs/irc.md shows a numeric.
func docRow(e numericError) string {
	var acts []string
	for _, a := range actionNames {
		if e.answers&a.act != 0 {
			acts = append(acts, a.name)
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", e.code, e.meaning, strings.Join(acts, ", "), kindNames[e.kind])
}

// The table people read and the table the program uses are the same.
func TestNumericsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/irc.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range numericErrors {
		if kindNames[e.kind] == "" || e.answers == 0 || e.meaning == "" {
			t.Errorf("%s is not complete", e.code)
		}
		want = append(want, docRow(e))
	}
	_, rest, _ := strings.Cut(string(doc), "<!-- numerics -->\n")
	table, _, _ := strings.Cut(rest, "\n<!-- end -->")
	got := strings.Split(strings.TrimSpace(table), "\n")
	if len(got) < 2 {
		t.Fatal("docs/irc.md has no table of numerics")
	}
	if got := strings.Join(got[2:], "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the table in docs/irc.md is not this one:\n%s", strings.Join(want, "\n"))
	}
}

// Every setting and its key is in docs/irc.md.
func TestSettingsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/irc.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range settingKeys(t) {
		if !strings.Contains(string(doc), "`"+key+"`") {
			t.Errorf("docs/irc.md does not tell of %s", key)
		}
	}
	for _, f := range append(userFields, bridges.Field{Name: setPorts}) {
		if !strings.Contains(string(doc), "`"+f.Name+"`") {
			t.Errorf("docs/irc.md does not tell of the field %s", f.Name)
		}
	}
}

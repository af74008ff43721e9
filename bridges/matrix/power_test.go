package matrix

import (
	"encoding/json"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// usual is what most rooms have.
const usual = `{"users":{"@owner:e":100,"@mod:e":50,"@mute:e":-1,"@odd:e":"75"},"users_default":0,"events":{"m.room.power_levels":100,"m.room.name":50},
	"events_default":0,"state_default":50,"ban":50,"kick":50,"redact":50,"invite":0}`

var powerRooms = map[string]struct{ create, levels string }{
	"usual":     {`{"creator":"@owner:e"}`, usual},
	"defaults":  {`{"creator":"@owner:e"}`, `{"users":{"@owner:e":100}}`},
	"none":      {`{"creator":"@owner:e"}`, ``},
	"moderated": {`{"room_version":"10","creator":"@owner:e"}`, `{"users":{"@owner:e":100,"@mod:e":50,"@voice:e":10},"events":{"m.room.power_levels":100},"events_default":10}`},
	"sealed":    {`{"room_version":"10","creator":"@owner:e"}`, `{"users":{"@owner:e":100},"events":{"m.room.encrypted":10},"events_default":0}`},
	"steps":     {`{"room_version":"11"}`, `{"users":{"@owner:e":100,"@ban:e":60,"@kick:e":30},"kick":30,"redact":30,"ban":60,"events":{"m.room.power_levels":90}}`},
	"twelve":    {`{"room_version":"12","additional_creators":["@second:e",7]}`, `{"users":{"@mod:e":50,"@top:e":150},"events":{"m.room.power_levels":150}}`},
	"open":      {`{"room_version":"11"}`, `{"users":{"@owner:e":100},"users_default":100}`},
	"garbage":   {`{"room_version":7,"creator":[]}`, `{"users":{"@a:e":null,"@b:e":"x","@c:e":1e400,"@d:e":9e99,"@e:e":true},"kick":{},"ban":"ten","events":[]}`},
}

func readRoom(name string) *powers {
	r := powerRooms[name]
	return readPowers(readCreate("@owner:e", json.RawMessage(r.create)), json.RawMessage(r.levels), name == "sealed")
}

const (
	visitor     = bridges.RoleVisitor
	participant = bridges.RoleParticipant
	moderator   = bridges.RoleModerator

	outcast  = bridges.AffiliationOutcast
	ordinary = bridges.AffiliationNone
	belongs  = bridges.AffiliationMember
	admin    = bridges.AffiliationAdmin
	owner    = bridges.AffiliationOwner
)

func TestStanding(t *testing.T) {
	for _, c := range []struct {
		room, user, membership string
		public                 bool
		role                   bridges.Role
		affiliation            bridges.Affiliation
	}{
		{"usual", "@owner:e", "join", true, moderator, owner},
		{"usual", "@mod:e", "join", true, moderator, admin},
		{"usual", "@odd:e", "join", true, moderator, admin},
		{"usual", "@other:e", "join", true, participant, ordinary},
		{"usual", "@other:e", "join", false, participant, belongs},
		{"usual", "@mute:e", "join", true, visitor, ordinary},
		{"usual", "@mute:e", "join", false, visitor, belongs},
		{"usual", "@other:e", "invite", false, bridges.RoleNone, belongs},
		{"usual", "@other:e", "invite", true, bridges.RoleNone, ordinary},
		{"usual", "@other:e", "knock", false, bridges.RoleNone, ordinary},
		{"usual", "@other:e", "leave", false, bridges.RoleNone, ordinary},
		{"usual", "@other:e", "", false, bridges.RoleNone, ordinary},
		{"usual", "@other:e", "ban", true, bridges.RoleNone, outcast},
		{"usual", "@owner:e", "ban", true, bridges.RoleNone, outcast},
		{"usual", "@owner:e", "leave", true, bridges.RoleNone, owner},
		{"defaults", "@owner:e", "join", true, moderator, owner},
		{"defaults", "@other:e", "join", true, participant, ordinary},
		{"none", "@owner:e", "join", true, moderator, owner},
		{"none", "@other:e", "join", true, participant, ordinary},
		{"moderated", "@other:e", "join", true, visitor, ordinary},
		{"moderated", "@voice:e", "join", true, participant, ordinary},
		{"sealed", "@other:e", "join", false, visitor, belongs},
		{"steps", "@kick:e", "join", true, moderator, ordinary},
		{"steps", "@kick:e", "join", false, moderator, belongs},
		{"steps", "@ban:e", "join", true, moderator, admin},
		{"steps", "@owner:e", "join", true, moderator, owner},
		{"twelve", "@owner:e", "join", true, moderator, owner},
		{"twelve", "@second:e", "join", true, moderator, owner},
		{"twelve", "@top:e", "join", true, moderator, owner},
		{"twelve", "@mod:e", "join", true, moderator, admin},
		{"twelve", "@other:e", "join", true, participant, ordinary},
		{"open", "@other:e", "join", true, moderator, owner},
		{"garbage", "@owner:e", "join", true, participant, ordinary},
		{"garbage", "@a:e", "join", true, participant, ordinary},
		{"garbage", "@b:e", "join", true, participant, ordinary},
		{"garbage", "@d:e", "join", true, moderator, owner},
		{"garbage", "@e:e", "join", true, participant, ordinary},
	} {
		role, a := readRoom(c.room).standing(id.UserID(c.user), c.membership, c.public)
		if role != c.role || a != c.affiliation {
			t.Errorf("%s, %s %q, public %t: role %d, affiliation %d, want %d, %d", c.room, c.user, c.membership, c.public, role, a, c.role, c.affiliation)
		}
	}
}

// TestCreators: who made a room, by its version.
func TestCreators(t *testing.T) {
	for version := 1; version <= 12; version++ {
		content := fmt.Sprintf(`{"room_version":"%d","creator":"@named:e","additional_creators":["@more:e","@sender:e"]}`, version)
		if version == 1 {
			content = `{"creator":"@named:e","additional_creators":["@more:e"]}`
		}
		c := readCreate("@sender:e", json.RawMessage(content))
		want := id.UserID("@named:e")
		if version > 10 {
			want = "@sender:e"
		}
		above := fmt.Sprint(c.Creators)
		if c.Creator != want || (version < 12) != (above == "[]") || version == 12 && above != "[@sender:e @more:e]" {
			t.Errorf("version %d: made by %s, above all %s", version, c.Creator, above)
		}
		p := readPowers(c, nil, false)
		if level := p.level(want); version < 12 && level != 100 || version == 12 && level != creatorPower {
			t.Errorf("version %d: its maker has %d", version, level)
		}
	}
	if c := readCreate("@sender:e", json.RawMessage(`{"room_version":"org.matrix.hydra.11"}`)); len(c.Creators) != 1 {
		t.Error("the trial of version 12 has creators")
	}
	if c := readCreate("@sender:e", json.RawMessage(`{"room_version":"org.example.own"}`)); c.Creator != "@sender:e" || c.Creators != nil {
		t.Errorf("a version of somebody's own: %v", c)
	}
}

func TestLevelFor(t *testing.T) {
	const impossible = -1000
	for _, c := range []struct {
		room, user  string
		role        bridges.Role
		affiliation bridges.Affiliation // one of the two
		want        int64
	}{
		{"usual", "@other:e", moderator, 0, 50},
		{"usual", "@other:e", participant, 0, 0},
		{"usual", "@other:e", visitor, 0, -1},
		{"usual", "@mute:e", participant, 0, 0},
		{"usual", "@mod:e", participant, 0, 0},
		{"usual", "@mod:e", moderator, 0, 50},
		{"usual", "@odd:e", moderator, 0, 75}, // has it: nothing to change
		{"usual", "@mod:e", visitor, 0, -1},
		{"usual", "@other:e", 0, owner, 100},
		{"usual", "@other:e", 0, admin, 50},
		{"usual", "@owner:e", 0, admin, 50},
		{"usual", "@owner:e", 0, belongs, 0},
		{"usual", "@mod:e", 0, ordinary, 0},
		{"usual", "@mute:e", 0, belongs, -1},
		{"usual", "@mute:e", 0, ordinary, -1},
		{"moderated", "@other:e", participant, 0, 10},
		{"moderated", "@mod:e", participant, 0, 10},
		{"moderated", "@voice:e", visitor, 0, 0},
		{"moderated", "@mod:e", 0, ordinary, 10},
		{"sealed", "@other:e", participant, 0, 10},
		{"steps", "@other:e", moderator, 0, 50}, // may kick, may not ban
		{"steps", "@other:e", 0, admin, 60},
		{"steps", "@other:e", 0, owner, 100},
		{"steps", "@owner:e", 0, admin, 60},
		{"twelve", "@other:e", 0, owner, 150},
		{"twelve", "@other:e", 0, admin, 100},
		{"twelve", "@second:e", 0, owner, creatorPower},
		{"twelve", "@second:e", 0, admin, impossible},
		{"twelve", "@owner:e", visitor, 0, impossible},
		{"defaults", "@other:e", 0, admin, impossible}, // who may ban may change everything
		{"defaults", "@other:e", 0, owner, 100},
		{"open", "@other:e", 0, belongs, 0},
	} {
		p := readRoom(c.room)
		level, err := p.levelForRole(id.UserID(c.user), c.role, maxPower)
		if c.affiliation != 0 {
			level, err = p.levelForAffiliation(id.UserID(c.user), c.affiliation, maxPower)
		}
		switch {
		case c.want == impossible:
			if err == nil || err.Text == "" {
				t.Errorf("%s, %s to role %d, affiliation %d: level %d", c.room, c.user, c.role, c.affiliation, level)
			}
		case err != nil || level != c.want:
			t.Errorf("%s, %s to role %d, affiliation %d: level %d, %v, want %d", c.room, c.user, c.role, c.affiliation, level, err, c.want)
		}
	}
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		room, actor, user string
		level             int64
		change, ban       bool
	}{
		{"usual", "@owner:e", "@other:e", 100, true, true},
		{"usual", "@owner:e", "@other:e", 101, false, true},
		{"usual", "@owner:e", "@mod:e", 0, true, true},
		{"usual", "@owner:e", "@owner:e", 50, true, false}, // takes it from themselves
		{"usual", "@mod:e", "@other:e", 50, false, true},
		{"usual", "@mod:e", "@odd:e", 0, false, false},
		{"usual", "@mod:e", "@owner:e", 0, false, false},
		{"usual", "@other:e", "@mute:e", 0, false, false},
		{"twelve", "@owner:e", "@top:e", 0, true, true},
		{"twelve", "@owner:e", "@other:e", 150, true, true},
		{"twelve", "@owner:e", "@second:e", 0, false, false},
		{"twelve", "@top:e", "@owner:e", 0, false, false},
		{"twelve", "@top:e", "@mod:e", 150, true, true},
		{"twelve", "@top:e", "@mod:e", 151, false, true},
	} {
		p := readRoom(c.room)
		change := p.mayChange(id.UserID(c.actor), id.UserID(c.user), c.level)
		ban, kick := p.mayBan(id.UserID(c.actor), id.UserID(c.user)), p.mayKick(id.UserID(c.actor), id.UserID(c.user))
		if (change == nil) != c.change || (ban == nil) != c.ban || (kick == nil) != c.ban {
			t.Errorf("%s: %s, %s to %d: change %v, ban %v, kick %v", c.room, c.actor, c.user, c.level, change, ban, kick)
		}
		for _, err := range []*bridges.Error{change, ban, kick} {
			if err != nil && (err.Kind != bridges.Forbidden || err.Text == "") {
				t.Errorf("refused with %v", err)
			}
		}
	}
}

func TestWithLevel(t *testing.T) {
	create := readCreate("@owner:e", json.RawMessage(`{"room_version":"10","creator":"@owner:e"}`))
	for _, c := range []struct {
		content string
		user    id.UserID
		level   int64
		want    string
	}{
		{`{"users":{"@a:e":100},"notifications":{"room":20},"org.example":[1]}`, "@b:e", 50, `{"notifications":{"room":20},"org.example":[1],"users":{"@a:e":100,"@b:e":50}}`},
		{`{"users":{"@a:e":100,"@b:e":50}}`, "@b:e", 0, `{"users":{"@a:e":100}}`},
		{`{"users_default":10}`, "@b:e", 0, `{"users":{"@b:e":0},"users_default":10}`},
		{`{"users":7}`, "@b:e", -1, `{"users":{"@b:e":-1}}`},
		{``, "@b:e", 50, `{"users":{"@b:e":50,"@owner:e":100}}`},
	} {
		got, err := withLevel(create, json.RawMessage(c.content), c.user, c.level)
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %s at %d: %s, %v", c.content, c.user, c.level, got, err)
		}
		if level := readPowers(create, got, false).level(c.user); level != c.level {
			t.Errorf("%s has %d then", c.user, level)
		}
	}
	for _, content := range []string{`[]`, `"x"`, `null`, `{`} {
		if got, err := withLevel(create, json.RawMessage(content), "@b:e", 50); err == nil {
			t.Errorf("%s becomes %s", content, got)
		}
	}
}

// FuzzPowers: whatever a room says of power, what is wished is what comes of the level
// that is found, and changing it leaves something that can be read.
func FuzzPowers(f *testing.F) {
	for _, r := range powerRooms {
		f.Add(r.create, r.levels)
	}
	f.Fuzz(func(t *testing.T, create, levels string) {
		c := readCreate("@owner:e", json.RawMessage(create))
		p := readPowers(c, json.RawMessage(levels), false)
		for _, user := range []id.UserID{"@owner:e", "@mod:e", "@other:e"} {
			for role := visitor; role <= moderator; role++ {
				level, err := p.levelForRole(user, role, maxPower)
				if got, _ := p.standingOf(level); err == nil && got != role {
					t.Fatalf("level %d of %s gives role %d, not %d", level, user, got, role)
				}
			}
			for _, a := range []bridges.Affiliation{ordinary, admin, owner} {
				level, err := p.levelForAffiliation(user, a, maxPower)
				if err != nil || level == creatorPower {
					continue
				}
				if _, got := p.standingOf(level); got != a {
					t.Fatalf("level %d of %s gives affiliation %d, not %d", level, user, got, a)
				}
				out, failed := withLevel(c, json.RawMessage(levels), user, level)
				if failed == nil && readPowers(c, out, false).level(user) != level {
					t.Fatalf("%s does not give %s %d", out, user, level)
				}
			}
		}
	})
}

// TestLevelBelow: of levels that give a role the one that one may give is taken.
func TestLevelBelow(t *testing.T) {
	p := readPowers(createInfo{}, json.RawMessage(`{"users":{"@a:e":90}}`), false) // who may kick may do everything
	for most, want := range map[int64]int64{90: 50, 100: 100, 40: 100} {
		if level, err := p.levelForRole("@x:e", bridges.RoleModerator, most); err != nil || level != want {
			t.Errorf("with at most %d it is %d, %v, want %d", most, level, err, want)
		}
	}
}

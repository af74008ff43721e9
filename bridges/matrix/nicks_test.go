package matrix

import (
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"transportd/component"
)

// enter has members come in and returns their nicks.
func enter(members ...[2]string) *nicks {
	n := newNicks()
	for _, m := range members {
		n.set(id.UserID(m[0]), m[1])
	}
	return n
}

func TestNicks(t *testing.T) {
	const a, b = "@a:e.example", "@b:e.example"
	for _, c := range []struct{ a, b, nickA, nickB string }{
		{"Ann", "Bob", "Ann", "Bob"},
		{"Ann", "ann", "Ann", "ann"},
		{"Ann", "Ann", "Ann (@a:e.example)", "Ann (@b:e.example)"},
		{"", "Bob", a, "Bob"},
		{"", "", a, b},
		{" \u200b\u00ad\u2060 ", "\n\t", a, b},
		{"  Ann\n Lee ", "Ann  Lee", "Ann Lee (@a:e.example)", "Ann Lee (@b:e.example)"},
		{"Ａnn", "Ann", "Ann (@a:e.example)", "Ann (@b:e.example)"},
		{"An\u200dn", "Ann", "Ann (@a:e.example)", "Ann (@b:e.example)"},
		{"\u202eAnn", "Ann", "Ann (@a:e.example)", "Ann (@b:e.example)"},
		{"❤\ufe0f", "❤", "❤ (@a:e.example)", "❤ (@b:e.example)"},
		{"e\u0301", "é", "é (@a:e.example)", "é (@b:e.example)"},
		{"a\ue000", "a\ue001", "a\ue000 (@a:e.example)", "a\ue001 (@b:e.example)"}, // private use: neither may stay
		{"אבג x", "דהו x", "אבג x (@a:e.example)", "דהו x (@b:e.example)"},         // both directions
		{"אבג", "דהו", "אבג", "דהו"},
		{b, "Bob", "@b:e.example (@a:e.example)", "Bob"}, // somebody else's ID
		{b, "", "@b:e.example (@a:e.example)", b},
		{"Bob (@b:e.example)", "Bob", "Bob (@b:e.example) (@a:e.example)", "Bob"}, // what somebody else's nick could become
		{"\xff\xfe", "\ufffd", "\ufffd (@a:e.example)", "\ufffd (@b:e.example)"},
		{strings.Repeat("x", 2000), strings.Repeat("x", 1000), strings.Repeat("x", maxNick) + " (@a:e.example)", strings.Repeat("x", maxNick) + " (@b:e.example)"},
	} {
		n := enter([2]string{a, c.a}, [2]string{b, c.b})
		if n.nick(a) != c.nickA || n.nick(b) != c.nickB {
			t.Errorf("%q and %q are %q and %q", c.a, c.b, n.nick(a), n.nick(b))
		}
	}
}

// TestNicksOfOddIDs has user ids from before there were rules for them.
func TestNicksOfOddIDs(t *testing.T) {
	n := enter([2]string{"@a b:e.example", ""}, [2]string{"@a%20b:e.example", ""}, [2]string{"@é:e.example", "Ann"}, [2]string{"@É:e.example", "Ann"})
	for user, nick := range map[id.UserID]string{
		"@a b:e.example": "@a%20b:e.example", "@a%20b:e.example": "@a%2520b:e.example",
		"@é:e.example": "Ann (@%C3%A9:e.example)", "@É:e.example": "Ann (@%C3%89:e.example)",
	} {
		if n.nick(user) != nick {
			t.Errorf("%q is %q", user, n.nick(user))
		}
		if who, ok := n.who(nick); !ok || who != user {
			t.Errorf("%q is of %q", nick, who)
		}
	}
}

func TestNickChanges(t *testing.T) {
	n := newNicks()
	for i, step := range []struct {
		user, name string // name "-": leaves
		want       []nickChange
	}{
		{"@a:e", "Ann", []nickChange{{"@a:e", "", "Ann"}}},
		{"@a:e", "Ann", nil},
		{"@a:e", "Ａnn", nil},
		{"@b:e", "Bob", []nickChange{{"@b:e", "", "Bob"}}},
		{"@c:e", "Ann", []nickChange{{"@c:e", "", "Ann (@c:e)"}, {"@a:e", "Ann", "Ann (@a:e)"}}},
		{"@d:e", "Ann", []nickChange{{"@d:e", "", "Ann (@d:e)"}}},
		{"@d:e", "Dan", []nickChange{{"@d:e", "Ann (@d:e)", "Dan"}}},
		{"@c:e", "Bob", []nickChange{{"@c:e", "Ann (@c:e)", "Bob (@c:e)"}, {"@a:e", "Ann (@a:e)", "Ann"}, {"@b:e", "Bob", "Bob (@b:e)"}}},
		{"@b:e", "-", []nickChange{{"@b:e", "Bob (@b:e)", ""}, {"@c:e", "Bob (@c:e)", "Bob"}}},
		{"@b:e", "-", nil},
		{"@c:e", "", []nickChange{{"@c:e", "Bob", "@c:e"}}},
		{"@c:e", "@a:e", []nickChange{{"@c:e", "@c:e", "@a:e (@c:e)"}}},
		{"@a:e", "-", []nickChange{{"@a:e", "Ann", ""}}},
	} {
		var got []nickChange
		if step.name == "-" {
			got = n.remove(id.UserID(step.user))
		} else {
			got = n.set(id.UserID(step.user), step.name)
		}
		if fmt.Sprint(got) != fmt.Sprint(step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

// TestNicksOfMany: whatever people call themselves, in whatever order they come and
// go, nobody shares a nick or the resource made of it, what was told adds up, and the
// order does not count.
func TestNicksOfMany(t *testing.T) {
	users := []string{"@a:e", "@b:e", "@c:e", "@é:e", "@%C3%A9:e"}
	names := []string{
		"", "Ann", "Ａnn", "ann", "Ann (@a:e)", "Ann (@b:e)", "@a:e", "@b:e", "a\ue000", "a\ue001", "a_", "אב x", "__ x", "אב", "גד", "אב1", "x\u0301",
		"👩\u200d🔬", "👩🔬", "👩_🔬", " ", "\u202eAnn", "\ufffd", "_", "é", "e\u0301", strings.Repeat("漢", 200), strings.Repeat("漢", 300),
	}
	name := rapid.OneOf(rapid.SampledFrom(names), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		n, told, called := newNicks(), map[id.UserID]string{}, map[id.UserID]string{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			user := id.UserID(rapid.SampledFrom(users).Draw(t, "user"))
			var changes []nickChange
			if rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
				changes = n.remove(user)
				delete(called, user)
			} else {
				called[user] = name.Draw(t, "name")
				changes = n.set(user, called[user])
			}
			if len(changes) > 3 {
				t.Fatalf("%d changes", len(changes))
			}
			for _, c := range changes {
				if told[c.User] != c.Old {
					t.Fatalf("%s was %q and is told to have been %q", c.User, told[c.User], c.Old)
				}
				told[c.User] = c.New
				if c.New == "" {
					delete(told, c.User)
				}
			}
			anew, resources := newNicks(), map[string]id.UserID{}
			for u, d := range called {
				anew.set(u, d)
			}
			for u := range called {
				nick := n.nick(u)
				if nick == "" || nick != told[u] || nick != anew.nick(u) {
					t.Fatalf("%s is %q, was told to be %q and is %q in another order", u, nick, told[u], anew.nick(u))
				}
				if who, ok := n.who(nick); !ok || who != u {
					t.Fatalf("%q of %s is of %s", nick, u, who)
				}
				r, _ := component.SafeResource(nick)
				if other, twice := resources[r]; twice {
					t.Fatalf("%s and %s are both %q", u, other, r)
				}
				resources[r] = u
			}
			if len(told) != len(called) {
				t.Fatalf("told of %v, there are %v", told, called)
			}
		}
	})
}

func TestNickOfNobody(t *testing.T) {
	n := enter([2]string{"@a:e", "Ann"}, [2]string{"@b:e", "Ann"})
	for _, nick := range []string{"", "Ann", "Bob", "Ann (@c:e)", "Bob (@a:e)", "@a:e", " (@a:e)", "(@)", "Ann (@a:e", "%", "%4"} {
		if who, ok := n.who(nick); ok {
			t.Errorf("%q is said to be %s", nick, who)
		}
	}
	if n.nick("@c:e") != "" {
		t.Error("somebody who is not there has a nick")
	}
}

func BenchmarkNicks(b *testing.B) {
	for _, same := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("%d-alike", same), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := newNicks()
				for i := range 10_000 {
					n.set(id.UserID(fmt.Sprintf("@user%d:example.org", i)), fmt.Sprintf("Member %d", i/same))
				}
				for i := range 10_000 {
					n.remove(id.UserID(fmt.Sprintf("@user%d:example.org", i)))
				}
			}
		})
	}
}

package matrix

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/component"
)

const hash = "!" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"

func personAddress(id string) bridges.Address {
	return bridges.Address{Kind: bridges.AddressPerson, Network: "matrix", Name: id}
}

func roomAddress(id string) bridges.Address {
	return bridges.Address{Kind: bridges.AddressRoom, Network: "matrix", Name: id}
}

// TestAddresses has each address in the one form Format gives it.
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		local string
		want  bridges.Address
	}{
		{"", bridges.Address{Kind: bridges.AddressNetwork, Network: "matrix"}},
		{"alice%example.org", personAddress("@alice:example.org")},
		{"alice%example.org:8448", personAddress("@alice:example.org:8448")},
		{"alice%[2001:db8::1]:8448", personAddress("@alice:[2001:db8::1]:8448")},
		{"alice%192.0.2.1", personAddress("@alice:192.0.2.1")},
		{"Alice=2fx%example.org", personAddress("@Alice=2fx:example.org")},
		{"_xmpp_a=40b%example.org", personAddress("@_xmpp_a=40b:example.org")},
		{`a\25b%example.org`, personAddress("@a%b:example.org")},
		{`a\b%example.org`, personAddress(`@a\b:example.org`)},
		{`a\5c25b%example.org`, personAddress(`@a\25b:example.org`)},
		{`a\5c5cb%example.org`, personAddress(`@a\5cb:example.org`)},
		{`\23a#%example.org`, personAddress("@#a#:example.org")},
		{`\21a!%example.org`, personAddress("@!a!:example.org")},
		{"größe%example.org", personAddress("@größe:example.org")},
		{"#Room One%example.org", roomAddress("#Room One:example.org")},
		{`##a\25%example.org`, roomAddress("##a%:example.org")},
		{"!OpAque%example.org", roomAddress("!OpAque:example.org")},
		{hash, roomAddress(hash)},
		{hash + "%example.org", roomAddress(hash + ":example.org")},
	} {
		got, err := names{}.Parse(c.local)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %v, %v", c.local, got, err)
		}
		if local := (names{}).Format(c.want); local != c.local {
			t.Errorf("Format(%v) = %q, want %q", c.want, local, c.local)
		}
		if again := component.UnescapeLocal(component.EscapeLocal(c.local)); again != c.local {
			t.Errorf("%q comes back as %q from a JID", c.local, again)
		}
	}
}

// TestAddressSpellings has addresses that Format would have written otherwise.
func TestAddressSpellings(t *testing.T) {
	for local, want := range map[string]string{
		"alice%EXAMPLE.org:8448": "@alice:example.org:8448",
		"a%b%example.org":        "@a%b:example.org",
		"#a%b%Example.Org":       "#a%b:example.org",
		`#\23a%example.org`:      "##a:example.org",
		"a%[2001:DB8::1]":        "@a:[2001:db8::1]",
	} {
		got, err := names{}.Parse(local)
		if err != nil || got.Name != want {
			t.Errorf("Parse(%q) = %v, %v, want %s", local, got, err, want)
			continue
		}
		again, err := names{}.Parse(names{}.Format(got))
		if err != nil || again != got {
			t.Errorf("%q comes back as %v, %v", local, again, err)
		}
	}
	if got := (names{}).Format(personAddress("@a:EXAMPLE.org")); got != "a%example.org" {
		t.Errorf("a server is written %q", got)
	}
}

func TestNoAddress(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, local := range []string{
		"alice", "#room", "!" + long[:42], "!" + long[:44], "!" + long[:42] + "/", "%", "%example.org", "#%example.org", "!%example.org",
		"alice%", "alice%exa mple.org", "alice%example..org", "alice%.", "alice%example.org:", "alice%example.org:port",
		"alice%example.org:99999", "alice%example.org:-1", "alice%[::1", "alice%[127.0.0.1]", "alice%[fe80::1%eth0]", "alice%exämple.org",
		"alice%under_score.org", "a:b%", "a\x00b%example.org", "a\nb%example.org", "a\xffb%example.org", long + "%example.org", "a%" + long,
		"@alice:example.org", "#room:example.org",
	} {
		got, err := names{}.Parse(local)
		var be *bridges.Error
		if !errors.As(err, &be) || be.Kind != bridges.NotFound || be.Text == "" {
			t.Errorf("Parse(%q) = %v, %v", local, got, err)
		}
	}
	// The colon divides: a local part that has one moves what follows to the server.
	if _, err := (names{}).Parse("a:b%example.org"); err == nil {
		t.Error("a user's name cannot hold a colon")
	}
}

func TestPrompt(t *testing.T) {
	for _, c := range []struct {
		text, want string
		via        []string
	}{
		{" @Alice:Example.org ", "@Alice:example.org", nil},
		{"@alice:example.org:8448", "@alice:example.org:8448", nil},
		{"#room:example.org", "#room:example.org", nil},
		{"#what?:example.org", "#what?:example.org", nil},
		{"!Id:example.org", "!Id:example.org", nil},
		{"!Id:example.org?via=A.example&via=b.example:80&via=a.example&via=no%20server", "!Id:example.org", []string{"a.example", "b.example:80"}},
		{hash, hash, nil},
		{hash + "?via=a.example", hash, []string{"a.example"}},
		{"alice%example.org", "@alice:example.org", nil},
		{"#room%example.org", "#room:example.org", nil},
		{"matrix:u/alice:example.org", "@alice:example.org", nil},
		{"matrix:u/alice:example.org?action=chat", "@alice:example.org", nil},
		{"MATRIX:r/Room:example.org", "#Room:example.org", nil},
		{"matrix:r/%23room%2Fx:example.org", "##room/x:example.org", nil},
		{"matrix:roomid/Id:example.org?via=a.example&action=join", "!Id:example.org", []string{"a.example"}},
		{"matrix:roomid/Id:example.org/e/Event?via=a.example", "!Id:example.org", []string{"a.example"}},
		{"matrix:roomid/" + hash[1:] + "?via=a.example", hash, []string{"a.example"}},
		{"https://matrix.to/#/@alice:example.org", "@alice:example.org", nil},
		{"https://matrix.to/#/%40alice%3Aexample.org", "@alice:example.org", nil},
		{"http://www.matrix.to/#/%23room%3Aexample.org", "#room:example.org", nil},
		{"matrix.to/#/#room:example.org", "#room:example.org", nil},
		{"https://matrix.to/#/!Id:example.org?via=a.example&via=b.example", "!Id:example.org", []string{"a.example", "b.example"}},
		{"https://matrix.to/#/!Id:example.org/$event/x?via=a.example", "!Id:example.org", []string{"a.example"}},
		{"https://matrix.to/#/" + hash + "?via=a.example", hash, []string{"a.example"}},
	} {
		got, err := names{}.ParsePrompt(c.text)
		if err != nil || got.Name != c.want || got.Network != "matrix" {
			t.Errorf("ParsePrompt(%q) = %v, %v", c.text, got, err)
		}
		if via := promptVia(c.text); !slices.Equal(via, c.via) {
			t.Errorf("promptVia(%q) = %q", c.text, via)
		}
	}
}

func TestNoPrompt(t *testing.T) {
	for _, text := range []string{
		"", " ", "alice", "hello world", "@", "#", "@alice", "@:example.org", "#room:", "matrix:", "matrix:u/", "matrix:x/a:example.org",
		"matrix:u/alice:example.org/e", "matrix:u/al%zzice:example.org", "matrix:r//", "https://matrix.to/", "https://matrix.to/#/",
		"https://matrix.to/#/alice:example.org", "https://matrix.to/#/%zz", "https://example.org/#/@alice:example.org", "$event:example.org",
		"https://matrix.to/#/@alice:exa%20mple.org", "alice%",
	} {
		got, err := names{}.ParsePrompt(text)
		var be *bridges.Error
		if !errors.As(err, &be) || be.Kind != bridges.NotFound || be.Text == "" {
			t.Errorf("ParsePrompt(%q) = %v, %v", text, got, err)
		}
	}
	many := "!a:b.example?via=" + strings.Repeat("x.example&via=", 3)
	for i := range 50 {
		many += string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example&via="
	}
	if via := promptVia(many); len(via) != maxVia {
		t.Errorf("%d servers of a link are tried", len(via))
	}
}

func TestMatrixTo(t *testing.T) {
	for _, id := range []string{"@alice:example.org", "@a/b?c#d%e:example.org", "#room:example.org", hash} {
		l, ok := readLink(matrixTo(id))
		if !ok || l.ID != id {
			t.Errorf("%q comes back as %q from %s", id, l.ID, matrixTo(id))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "alice%example.org", `a\25\5c%b.c:1`, "#a%b", "!a%b", hash, `\23%a`, "a:b%c", "%%%", "!a%[::1]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, local string) {
		a, err := names{}.Parse(local)
		if err != nil {
			return
		}
		out := names{}.Format(a)
		again, err := names{}.Parse(out)
		if err != nil || again != a {
			t.Fatalf("%q is %v, written %q, read %v, %v", local, a, out, again, err)
		}
		if names.Format(names{}, again) != out {
			t.Fatalf("%q has two forms", local)
		}
		if back := component.UnescapeLocal(component.EscapeLocal(out)); back != out {
			t.Fatalf("%q comes back as %q from a JID", out, back)
		}
	})
}

// FuzzFormat goes the other way: whatever identifier there is has an address.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"@alice:example.org", "@#a%b:c.d", `@\25:c`, "#a:b:1", "!a:b", hash, "!:a", "@a:[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		canonical, err := checkID(id)
		if err != nil || strings.IndexByte("@#!", canonical[0]) < 0 {
			return
		}
		a, err := names{}.Parse(names{}.Format(idAddress(canonical)))
		if err != nil || a.Name != canonical {
			t.Fatalf("%q comes back as %v, %v", canonical, a, err)
		}
		p, err := names{}.ParsePrompt(matrixTo(canonical))
		if err != nil || p != a {
			t.Fatalf("%q comes back as %v, %v from its link", canonical, p, err)
		}
	})
}

func FuzzPrompt(f *testing.F) {
	for _, s := range []string{"@a:b", "matrix:u/a:b?via=c", "https://matrix.to/#/%23a:b?via=c", "matrix:roomid/x/e/y", "a%b", "!a:b?via=%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := names{}.ParsePrompt(text)
		if len(promptVia(text)) > maxVia {
			t.Fatal("too many servers")
		}
		if err != nil {
			return
		}
		again, err := names{}.Parse(names{}.Format(a))
		if err != nil || again != a {
			t.Fatalf("%q is %v, read again %v, %v", text, a, again, err)
		}
	})
}

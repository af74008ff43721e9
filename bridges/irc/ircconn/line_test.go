package ircconn

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ergochat/irc-go/ircmsg"
)

func TestAppendLine(t *testing.T) {
	for _, tc := range []struct {
		line Line
		want string
		err  error
	}{
		{Line{Command: "JOIN", Params: []string{"#a"}}, "JOIN #a\r\n", nil},
		{Line{Command: "PRIVMSG", Params: []string{"#a", "hello world"}}, "PRIVMSG #a :hello world\r\n", nil},
		{Line{Command: "PRIVMSG", Params: []string{"#a", ":)"}}, "PRIVMSG #a ::)\r\n", nil},
		{Line{Command: "TOPIC", Params: []string{"#a", ""}}, "TOPIC #a :\r\n", nil},
		{Line{Command: "AWAY"}, "AWAY\r\n", nil},
		{Line{Command: "005", Params: []string{"x"}}, "005 x\r\n", nil},
		{Line{Tags: []Tag{{"label", "1"}, {"+typing", "active"}, {"flag", ""}}, Command: "TAGMSG", Params: []string{"#a"}}, "@label=1;+typing=active;flag TAGMSG #a\r\n", nil},
		{Line{Tags: []Tag{{"+draft/reply", "a; b\\\r\n"}}, Command: "A"}, "@+draft/reply=a\\:\\sb\\\\\\r\\n A\r\n", nil},
		{Line{Command: ""}, "", ErrBadLine},
		{Line{Command: "PRIVMSG x"}, "", ErrBadLine},
		{Line{Command: "A\r\nB"}, "", ErrBadLine},
		{Line{Command: ":a"}, "", ErrBadLine},
		{Line{Command: "JOIN", Params: []string{"#a\r\nQUIT"}}, "", ErrBadLine},
		{Line{Command: "JOIN", Params: []string{"#a\nQUIT"}}, "", ErrBadLine},
		{Line{Command: "JOIN", Params: []string{"#a\x00"}}, "", ErrBadLine},
		{Line{Command: "KICK", Params: []string{"#a b", "nick"}}, "", ErrBadLine},
		{Line{Command: "KICK", Params: []string{"", "nick"}}, "", ErrBadLine},
		{Line{Command: "KICK", Params: []string{":a", "nick"}}, "", ErrBadLine},
		{Line{Tags: []Tag{{"a b", ""}}, Command: "A"}, "", ErrBadLine},
		{Line{Tags: []Tag{{"", "x"}}, Command: "A"}, "", ErrBadLine},
		{Line{Tags: []Tag{{"a", "\x00"}}, Command: "A"}, "", ErrBadLine},
		{Line{Command: "A", Params: []string{strings.Repeat("x", 508)}}, "A " + strings.Repeat("x", 508) + "\r\n", nil},
		{Line{Command: "A", Params: []string{strings.Repeat("x", 509)}}, "", ErrLineTooLong},
		{Line{Tags: []Tag{{"a", strings.Repeat("x", 4093)}}, Command: "A", Params: []string{strings.Repeat("x", 508)}}, "@a=" + strings.Repeat("x", 4093) + " A " + strings.Repeat("x", 508) + "\r\n", ErrLineTooLong},
	} {
		got, err := AppendLine([]byte("before"), DefaultLineLen, &tc.line)
		if !errors.Is(err, tc.err) {
			t.Errorf("%+q: error %v, want %v", tc.line.Params, err, tc.err)
		}
		if want := "before" + tc.want; tc.err == nil && string(got) != want {
			t.Errorf("%q: %q, want %q", tc.line.Params, got, want)
		}
		if tc.err != nil && string(got) != "before" {
			t.Errorf("%q: left %q behind", tc.line.Params, got)
		}
	}
}

// FuzzAppendLine: whatever goes in, out comes nothing, or one line that reads back as what went in.
func FuzzAppendLine(f *testing.F) {
	f.Add("PRIVMSG", "#a", "text", "label", "1")
	f.Add("PRIVMSG", "#a b", "\r\nQUIT", "a;b", "\x00")
	f.Add("", ":", "", "", "")
	f.Add("TOPIC", "#a", ":) ü \xff", "+draft/x", "a;b c\\\r\n")
	f.Fuzz(func(t *testing.T, command, a, b, tag, value string) {
		l := Line{Tags: []Tag{{tag, value}}, Command: command, Params: []string{a, b}}
		got, err := AppendLine(nil, DefaultLineLen, &l)
		if err != nil {
			if len(got) != 0 {
				t.Fatalf("error and %q", got)
			}
			return
		}
		line, ok := bytes.CutSuffix(got, []byte("\r\n"))
		if !ok || bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("not one line: %q", got)
		}
		if len(line) > 512-2+maxClientTags {
			t.Fatalf("%d bytes", len(line))
		}
		if !utf8.ValidString(value) {
			return // ircmsg does not read such tags
		}
		m, err := ircmsg.ParseLine(string(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		present, v := m.GetTag(tag)
		if m.Command != strings.ToUpper(command) || !slices.Equal(m.Params, l.Params) || !present || v != value {
			t.Fatalf("%q reads as %+v", line, m)
		}
	})
}

func TestParseLine(t *testing.T) {
	for raw, want := range map[string]string{
		"WHOIS bob":                  "WHOIS bob\r\n",
		"  privmsg #a :hi  there ":   "PRIVMSG #a :hi  there \r\n",
		"MODE #a +b":                 "MODE #a +b\r\n",
		"QUIT\r\nJOIN #b":            "",
		":fake!x@y PRIVMSG #a :hi":   "",
		"@time=x PRIVMSG #a :hi":     "",
		"":                           "",
		"   ":                        "",
		"PRIV\x00MSG a":              "",
		"PRIVMSG" + "\u00e9" + " #a": "",
	} {
		l, err := ParseLine(raw)
		if want == "" {
			if err == nil {
				t.Errorf("%q is taken as %+v", raw, l)
			}
			continue
		}
		got, err2 := AppendLine(nil, DefaultLineLen, &l)
		if err != nil || err2 != nil || string(got) != want {
			t.Errorf("%q: %q, %v, %v", raw, got, err, err2)
		}
	}
}

func TestParseMessage(t *testing.T) {
	m, err := ParseMessage(`@time=2026-01-01T00:00:00.000Z;a=x\sy\:;b;b=2;+c/d= :nick!user@host.example PRIVMSG #a b :text with :colon`)
	if err != nil {
		t.Fatal(err)
	}
	if m.Command != "PRIVMSG" || m.Param(1) != "b" || m.Last() != "text with :colon" || m.Param(3) != "" || m.Param(-1) != "" {
		t.Errorf("%+v", m)
	}
	for name, want := range map[string]string{"time": "2026-01-01T00:00:00.000Z", "a": "x y;", "b": "2", "+c/d": "", "c": "absent", "tim": "absent", "": "absent"} {
		got, ok := m.Tags.Get(name)
		if !ok {
			got = "absent"
		}
		if got != want {
			t.Errorf("tag %q is %q, want %q", name, got, want)
		}
	}
	if nick, user, host := SplitSource(m.Source); nick != "nick" || user != "user" || host != "host.example" {
		t.Error(nick, user, host)
	}
	if nick, user, host := SplitSource("irc.example"); nick != "irc.example" || user != "" || host != "" {
		t.Error(nick, user, host)
	}
	for _, bad := range []string{"", "@tags", "@", ":src", ":src ", " ", "é", "@a\x00b CMD", "CMD \x00"} {
		if m, err := ParseMessage(bad); err == nil {
			t.Errorf("%q reads as %+v", bad, m)
		}
	}
}

// FuzzParseMessage compares with ircmsg's own reading, and looks for panics.
func FuzzParseMessage(f *testing.F) {
	f.Add("@a=b;c :n!u@h PRIVMSG #a :hi")
	f.Add("@=;;= : x")
	f.Add(":a 005 n A=B C :are")
	f.Fuzz(func(t *testing.T, line string) {
		m, err := ParseMessage(line)
		if err != nil {
			return
		}
		m.Nick()
		m.Last()
		want, err := ircmsg.ParseLine(line)
		if err != nil || strings.HasSuffix(line, "\n") || strings.HasSuffix(line, "\r") {
			return // tags that ircmsg refuses to read
		}
		if m.Source != want.Source || m.Command != want.Command || !slices.Equal(m.Params, want.Params) {
			t.Fatalf("%+v, ircmsg %+v", m, want)
		}
		for name, value := range want.AllTags() {
			if got, ok := m.Tags.Get(name); !ok || got != value {
				t.Fatalf("tag %q is %q %v, ircmsg %q", name, got, ok, value)
			}
		}
	})
}

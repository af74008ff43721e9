package ircconn

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func supportOf(lines ...string) *ISupport {
	s := noSupport
	for _, l := range lines {
		s = s.with(strings.Fields(l))
	}
	return s
}

func TestISupportDefaults(t *testing.T) {
	s := supportOf()
	if s.CaseMapping != RFC1459 || s.ChanTypes != "#&" || s.LineLen != 512 || s.Modes != 3 || s.Monitor != -1 || s.RankOfSymbol('@') != 0 || s.RankOfMode('v') != 1 {
		t.Errorf("%+v", s)
	}
}

func TestISupport(t *testing.T) {
	s := supportOf(
		`CASEMAPPING=ascii CHANTYPES=#!+ PREFIX=(Yqaohv)!~&@%+ CHANMODES=beI,k,lj,imnpst,extra STATUSMSG=@+ NETWORK=Ex\x20ample\x3D BOT=B`,
		`NICKLEN=30 CHANNELLEN=64 TOPICLEN=390 KICKLEN=255 AWAYLEN=200 LINELEN=2048 MODES MAXLIST=be:100,I:50 TARGMAX=PRIVMSG:4,whois:1,JOIN: MONITOR=100 WATCH=60 UTF8ONLY`)
	if s.CaseMapping != ASCII || s.ChanTypes != "#!+" || s.StatusMsg != "@+" || s.Network != "Ex ample=" || s.Bot != "B" || !s.UTF8Only {
		t.Errorf("%+v", s)
	}
	if s.NickLen != 30 || s.ChannelLen != 64 || s.TopicLen != 390 || s.KickLen != 255 || s.AwayLen != 200 || s.LineLen != 2048 || s.Modes != 0 || s.Monitor != 100 || s.Watch != 60 {
		t.Errorf("%+v", s)
	}
	if s.RankOfMode('Y') != 0 || s.RankOfSymbol('+') != 5 || s.RankOfMode('x') != -1 {
		t.Errorf("prefix %v", s.Prefix)
	}
	for mode, want := range map[byte]ModeKind{'b': ModeList, 'k': ModeAlways, 'j': ModeSet, 'm': ModeFlag, 'o': ModePrefix, 'Z': ModeUnknown, 'e': ModeList} {
		if got := s.ModeKind(mode); got != want {
			t.Errorf("mode %c is %d, want %d", mode, got, want)
		}
	}
	if s.MaxList('b') != 100 || s.MaxList('I') != 50 || s.MaxList('q') != 0 {
		t.Error("MAXLIST")
	}
	for command, want := range map[string]int{"privmsg": 4, "WHOIS": 1, "JOIN": 0} {
		if n, known := s.TargMax(command); n != want || !known {
			t.Errorf("TARGMAX %s is %d %v", command, n, known)
		}
	}
	if _, known := s.TargMax("NOTICE"); known {
		t.Error("TARGMAX NOTICE is not known")
	}
	if symbols, nick := s.SplitPrefixes("~@+nick"); symbols != "~@+" || nick != "nick" {
		t.Error(symbols, nick)
	}
	if !s.IsChannel("!x") || s.IsChannel("&x") || s.IsChannel("") {
		t.Error("CHANTYPES")
	}
	if v, ok := s.Raw("NICKLEN"); v != "30" || !ok {
		t.Error("raw", v)
	}
	changed := s.with([]string{"-NICKLEN", "-PREFIX", "KICKLEN=9", "-UNKNOWN"})
	if changed.NickLen != 0 || changed.KickLen != 9 || len(changed.Prefix) != 2 || s.NickLen != 30 {
		t.Errorf("%+v", changed)
	}
	if back := changed.with([]string{"-KICKLEN"}).with([]string{"-ALL"}); back.KickLen != 0 {
		t.Errorf("%+v", back)
	}
}

func TestISupportNonsense(t *testing.T) {
	s := supportOf("NICKLEN=x LINELEN=-5 PREFIX=(ov)@ CHANMODES MODES=99999999999999999999 MAXLIST TARGMAX=: BOT= -", "=x CASEMAPPING=klingon LINELEN=1000000")
	if s.NickLen != 0 || len(s.Prefix) != 2 || s.CaseMapping != RFC1459 || s.LineLen != maxBody || s.Bot != "" {
		t.Errorf("%+v", s)
	}
	if s := supportOf("PREFIX="); len(s.Prefix) != 0 || s.ModeKind('o') != ModeUnknown {
		t.Errorf("no ranks at all: %v", s.Prefix)
	}
	many := noSupport
	for i := range 3000 {
		many = many.with([]string{strings.Repeat("X", i%40+1) + string(rune('A'+i%26)) + "=" + strings.Repeat("v", i%100)})
	}
	if len(many.tokens) > maxTokens || len(many.key) > maxTokenBytes {
		t.Errorf("%d tokens, %d bytes", len(many.tokens), len(many.key))
	}
}

func TestFold(t *testing.T) {
	for _, tc := range []struct {
		m        CaseMapping
		in, want string
	}{
		{ASCII, "AbZ[]\\~^{}|É", "abz[]\\~^{}|É"},
		{RFC1459, "AbZ[]\\~^{}|É", "abz{}|~~{}|É"},
		{RFC1459Strict, "AbZ[]\\~^{}|", "abz{}|~^{}|"},
		{ASCII, "", ""}, {RFC1459, "done", "done"},
	} {
		if got := tc.m.Fold(tc.in); got != tc.want {
			t.Errorf("%v %q: %q, want %q", tc.m, tc.in, got, tc.want)
		}
		if !tc.m.Equal(tc.in, tc.want) || tc.m.Equal(tc.in, tc.want+"x") {
			t.Errorf("%v: %q and %q", tc.m, tc.in, tc.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { RFC1459.Fold("already-folded") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzISupport(f *testing.F) {
	f.Add("PREFIX=(ov)@+ CHANMODES=b,k,l,imnpst", "-PREFIX NICKLEN=5 NETWORK=a\\x20b")
	f.Add("PREFIX=( CASEMAPPING", "MAXLIST=:::,, TARGMAX=,:, BOT=\xff")
	f.Add("-=x =", "LINELEN=99999 \\x \\xZZ NETWORK=\\x0d\\xff")
	f.Fuzz(func(t *testing.T, first, second string) {
		s := supportOf(first, second)
		if s != supportOf(first, second) {
			t.Fatal("the same tokens give different values")
		}
		if s.LineLen < DefaultLineLen || s.LineLen > maxBody || s.NickLen < 0 {
			t.Fatalf("%+v", s)
		}
		for _, p := range s.Prefix {
			if s.ModeKind(p.Mode) != ModePrefix {
				t.Fatalf("mode %q of PREFIX is none", p.Mode)
			}
		}
		if utf8.ValidString(first+second) && strings.ContainsAny(s.Network, "\r\n\x00") && !strings.ContainsAny(first+second, "\r\n\x00") {
			t.Fatalf("control characters from escapes: %q", s.Network)
		}
		if got := s.Fold(first); s.Fold(got) != got || len(got) != len(first) {
			t.Fatalf("fold of %q is %q", first, got)
		}
	})
}

// TestInternTable: values nobody uses leave the table.
func TestInternTable(t *testing.T) {
	var table internTable[[100]int]
	build := func(string) *[100]int { return new([100]int) }
	a := table.get("a", build)
	table.get("b", build)
	if table.get("a", build) != a {
		t.Error("not shared")
	}
	for deadline := time.Now().Add(10 * time.Second); table.len() > 1 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		runtime.GC()
	}
	if table.len() != 1 {
		t.Errorf("%d values left", table.len())
	}
	runtime.KeepAlive(a)
}

func TestPins(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	for s, ok := range map[string]bool{digest: true, strings.ToUpper(digest): true, strings.TrimSuffix(strings.Repeat("ab:", 32), ":"): true, digest[2:]: false, "xyz": false, "": false} {
		if b, err := ParsePin(s); (err == nil) != ok || ok && !slices.Equal(b[:1], []byte{0xab}) {
			t.Errorf("%q: %x %v", s, b, err)
		}
	}
}

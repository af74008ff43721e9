package xmpptest

import "testing"

const sample = `<message type='groupchat' from='#c%irc@gw/nick' xml:lang='de'>
	<body>a [b] 'c'</body>
	<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/><item nick='n'/></x>
</message>`

func parse(t *testing.T, x string) *Node {
	t.Helper()
	n, err := ParseXML(x)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMatch(t *testing.T) {
	n := parse(t, sample)
	for path, want := range map[string]bool{
		`message`:           true,
		`/message`:          true,
		`*`:                 true,
		`presence`:          false,
		`message[@type]`:    true,
		`message[@to]`:      false,
		`message[not(@to)]`: true,
		`message[@type='groupchat'][@from='#c%irc@gw/nick']/body`:            true,
		`message[@type='chat']/body`:                                         false,
		`message[@xml:lang='de']`:                                            true,
		`message/body[text()="a [b] 'c'"]`:                                   true,
		`message/body[text()='x']`:                                           false,
		`message/body[text()]`:                                               true,
		`message/x/item[text()]`:                                             false,
		`message/{http://jabber.org/protocol/muc#user}x/status[@code='110']`: true,
		`message/{urn:x}x`:                                                   false,
		`message[x/item[@nick='n']]`:                                         true,
		`message[not(x/item[@nick='n'])]`:                                    false,
		`message[not(x/item[@nick='other'])]`:                                true,
		`message/*/status`:                                                   true,
		`message/status`:                                                     false,
	} {
		got, err := n.Match(path)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", path, got, err, want)
		}
	}
	if got := n.Find(`message/x/item`); got == nil || got.Attr("nick") != "n" {
		t.Errorf("found %v", got)
	}
	for _, path := range []string{``, `message/`, `message[`, `message[@a=b]`, `{x`, `message]x`, `message[text()=]`} {
		if _, err := n.Match(path); err == nil {
			t.Errorf("%q is taken for a path", path)
		}
	}
}

func TestDiff(t *testing.T) {
	n := parse(t, sample)
	for want, same := range map[string]bool{
		sample: true,
		`<message type='*' from='*' xml:lang='*'><body>*</body><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/><item nick='n'/></x></message>`: true,
		`<message type='groupchat' xml:lang='de'><body>*</body><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/><item nick='n'/></x></message>`: false,
		`<message type='*' from='*' xml:lang='*'><body/><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/><item nick='n'/></x></message>`:        false,
		`<message type='*' from='*' xml:lang='*'><body>*</body><x><status code='110'/><item nick='n'/></x></message>`:                                             false,
		`<message type='*' from='*' xml:lang='*'><body>*</body></message>`:                                                                                        false,
		`<presence/>`: false,
	} {
		if d := diff(n, parse(t, want)); (d == "") != same {
			t.Errorf("%s\ndiffers: %q, want the same: %v", want, d, same)
		}
	}
	if d := diff(n, parse(t, n.String())); d != "" {
		t.Errorf("what String writes differs: %s", d)
	}
}

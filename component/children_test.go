package component

import (
	"strings"
	"testing"
)

func TestChildrenComeBack(t *testing.T) {
	const children = `<replace xmlns="urn:xmpp:message-correct:0" id="a&amp;b"/>` +
		`<x xmlns="jabber:x:oob"><url>https://example.org/?a=1&amp;b=&lt;2&gt;</url></x>` +
		`<thread parent="p">t</thread>`
	st, err := ParseStanza("<message type='groupchat' from='a@b/c' to='#r@gw'><body>hi</body>" + children + "<delay xmlns='urn:xmpp:delay'/></message>")
	if err != nil {
		t.Fatal(err)
	}
	kept := MarshalChildren(st.Element, func(c *Element) bool { return c.Name != "body" && c.Name != "delay" })
	if got := strings.ReplaceAll(string(kept), "'", `"`); got != children {
		t.Errorf("kept are\n%s, not\n%s", got, children)
	}
	from, to := JID{Local: "#r", Domain: "gw"}, JID{Local: "a", Domain: "b"}
	again, err := Encode(NewMessage(from, to, "groupchat", "1").Start("urn:xmpp:forward:0", "forwarded").
		Start("jabber:client", "message").AppendChildren(kept).End().End(), "gw")
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseStanza(again)
	if err != nil {
		t.Fatal(err)
	}
	inner := back.Child("urn:xmpp:forward:0", "forwarded").Child("jabber:client", "message")
	if id := inner.Child("urn:xmpp:message-correct:0", "replace").Attr("id"); id != "a&b" {
		t.Errorf("an attribute came back as %q", id)
	}
	if url := inner.Child("jabber:x:oob", "x").Child("", "url").Text(); url != "https://example.org/?a=1&b=<2>" {
		t.Errorf("a text came back as %q", url)
	}
	if th := inner.Child("", "thread"); th.Text() != "t" || th.Attr("parent") != "p" {
		t.Errorf("a child in the stanza's own namespace came back as %s", th)
	}
}

func TestChildrenBroken(t *testing.T) {
	from, to := JID{Domain: "gw"}, JID{Local: "a", Domain: "b"}
	for _, xml := range []string{"<a>", "</x><evil/>", "&undefined;", "<a/><!-- -->"} {
		got, err := Encode(NewMessage(from, to, "chat", "1").AppendChildren([]byte(xml)), "gw")
		if err != nil {
			t.Errorf("%q: %v", xml, err)
			continue
		}
		if st, err := ParseStanza(got); err != nil || strings.Contains(got, "evil") {
			t.Errorf("%q became %s (%v) %v", xml, got, err, st)
		}
	}
	if MarshalChildren(&Element{}, func(*Element) bool { return true }) != nil {
		t.Error("there are children of nothing")
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"transportd/internal/irctest"
	"transportd/internal/xmpptest"
)

// search asks and returns the answer's payload.
func (w *world) search(to, fields string) string {
	w.t.Helper()
	return w.found(to, fields).String()
}

// found is search with the whole answer.
func (w *world) found(to, fields string) *xmpptest.Node {
	w.t.Helper()
	w.stream.Send("%s", fmt.Sprintf(`<iq type='set' id='s' from='%s' to='%s'><query xmlns='jabber:iq:search'>%s</query></iq>`, balcony, to, fields))
	n, _ := w.stream.Until("iq[@id='s']")
	return n
}

func (w *world) searches(to, fields string, want ...string) {
	w.t.Helper()
	got := w.search(to, fields)
	for _, part := range want {
		if not, ok := strings.CutPrefix(part, "!"); strings.Contains(got, not) == ok {
			w.t.Errorf("%s at %s brought\n%s\nwant %s", fields, to, got, part)
		}
	}
}

func TestScenarioSearch(t *testing.T) {
	w := newWorld(t, irctest.Config{})
	const host, network = "irc.example.org", "net@irc.example.org"
	for _, to := range []string{host, network} {
		w.stream.Send(`<iq type='get' id='i' from='%s' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`, balcony, to)
		w.stream.Until("iq[@id='i']/query/feature[@var='jabber:iq:search']")
		w.stream.Send(`<iq type='get' id='f' from='%s' to='%s'><query xmlns='jabber:iq:search'/></iq>`, balcony, to)
		w.stream.Until("iq[@type='result'][@id='f']/query/x/field[@var='words']")
		w.searches(to, "<nick>verona</nick>", `type="error"`, "recipient-unavailable", "Connect to the network first")
	}
	w.searches(host, "<nick> </nick>", "bad-request", "Say what to search for.")

	romeo := w.irc.Puppet("romeo")
	romeo.Do("JOIN #verona")
	romeo.Do("TOPIC #verona :In fair Verona")
	mercutio := w.irc.Puppet("mercutio") // the server allows one person fewer channels
	for n := range maxFound + 3 {
		[]*irctest.Client{romeo, mercutio}[n%2].Do(fmt.Sprintf("JOIN #street%d", n))
	}
	w.join(balcony, "juliet")

	for _, to := range []string{host, network} {
		w.searches(to, "<nick>FAIR</nick>", `<item jid="#verona%net@irc.example.org"`, "<nick>#verona</nick>", "<first>In fair Verona</first>", "!street")
		w.searches(to, "<nick>romeo</nick>", `<item jid="romeo%net@irc.example.org"`)
		w.searches(to, "<nick>nobody</nick>", `type="result"`, "!<item")
	}
	submit := `<x xmlns='jabber:x:data' type='submit'><field var='%s'><value>%s</value></field></x>`
	w.searches(host, fmt.Sprintf(submit, "words", "verona fair"), `type="result"`, "#verona%net@irc.example.org", "<reported>")
	w.searches(host, fmt.Sprintf(submit, "nick", "romeo"), "romeo%net@irc.example.org", "!#verona")
	w.searches(host, fmt.Sprintf(submit, "words", "street"), fmt.Sprintf("These are %d of %d that were found", maxFound, maxFound+3))

	// What is too much for one answer comes in pages (XEP-0059).
	page := func(set string) string {
		return fmt.Sprintf(submit, "words", "street") + "<set xmlns='http://jabber.org/protocol/rsm'>" + set + "</set>"
	}
	w.searches(host, page("<max>2</max>"), `<first index="0">`, fmt.Sprintf("<count>%d</count>", maxFound+3), "!These are")
	seen := make(map[string]bool)
	for after := ""; ; {
		n := w.found(host, page("<max>20</max>"+after))
		query := n.Child("jabber:iq:search", "query")
		for _, c := range query.Child("jabber:x:data", "x").Children {
			if jid := c.Find("item/field[@var='jid']/value"); jid != nil {
				seen[jid.Text] = true
			}
		}
		last := query.Child("http://jabber.org/protocol/rsm", "set").Child("", "last")
		if last == nil {
			break
		}
		after = "<after>" + last.Text + "</after>"
	}
	if len(seen) != maxFound+3 {
		t.Errorf("in pages there are %d", len(seen))
	}
	w.searches(host, "<nick>street</nick><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set>", fmt.Sprintf(`<first index="%d">`, maxFound+2))
	w.searches(host, page("<max>0</max>"), fmt.Sprintf("<count>%d</count>", maxFound+3), "!<item>")
	w.searches(host, page("<max>many</max>"), "bad-request")
	w.searches(host, page("<after>nowhere</after>"), "item-not-found")

	w.stream.Send(`<message type='chat' from='%s' to='%s'><body>search fair</body></message>`, balcony, host)
	for said := ""; !strings.Contains(said, "#verona%net@irc.example.org"); {
		n, _ := w.stream.Until("message[@type='chat'][@from='irc.example.org']/body")
		said = n.Child("", "body").Text
	}
	w.stream.Send(`<iq type='set' id='c' from='%s' to='%s'><command xmlns='http://jabber.org/protocol/commands' node='search'/></iq>`, balcony, network)
	c, _ := w.stream.Until("iq[@id='c']/command[@sessionid]/x/field[@var='nick']")
	w.stream.Send(`<iq type='set' id='d' from='%s' to='%s'><command xmlns='http://jabber.org/protocol/commands' node='search' sessionid='%s'>`+submit+`</command></iq>`,
		balcony, network, c.Child("http://jabber.org/protocol/commands", "command").Attr("sessionid"), "nick", "romeo")
	w.stream.Until("iq[@id='d']/command[@status='completed']/x/item/field[@var='jid']/value[text()='romeo%net@irc.example.org']")

	// Who may not use the gateway may not search through it.
	w.stream.Send(`<iq type='set' id='e' from='eve@example.net/x' to='%s'><query xmlns='jabber:iq:search'><nick>romeo</nick></query></iq>`, host)
	w.stream.Until("iq[@type='error'][@id='e']/error/forbidden")
	w.end()
}

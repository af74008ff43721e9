package component

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rig is a gateway without a stream: a router with services, whose answers are
// kept. The domain is irc.example.org; local parts with a dot are networks.
type rig struct {
	t        *testing.T
	services Services
	commands *Commands

	mu  sync.Mutex
	out []string
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	domain := JID{Domain: "irc.example.org"}
	r.services = Services{Disco: NewDisco(), Reply: r.keep, Router: NewRouter(domain, func(to JID) (AddressKind, error) {
		switch {
		case to.Local == "":
			return AddressHost, nil
		case strings.HasPrefix(to.Local, "#"):
			return AddressRoom, nil
		}
		return AddressNetwork, nil
	}, r.keep)}
	return r
}

func (r *rig) keep(o *Out) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	xml, err := Encode(o, "irc.example.org")
	if err != nil {
		r.t.Error(err)
		return false
	}
	r.out = append(r.out, xml)
	return true
}

// route gives XML to the router and returns what was sent at once.
func (r *rig) route(xml string) []*Stanza {
	r.t.Helper()
	s, err := ParseStanza(xml)
	if err != nil {
		r.t.Fatalf("%v in %s", err, xml)
	}
	r.services.Router.Route(s)
	return r.sent()
}

// sent returns what was sent since it was asked last.
func (r *rig) sent() []*Stanza {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Stanza
	for _, xml := range r.out {
		s, err := ParseStanza(xml)
		if err != nil {
			r.t.Fatalf("%v in %s", err, xml)
		}
		all = append(all, s)
	}
	r.out = nil
	return all
}

// one is the only stanza of several.
func (r *rig) one(all []*Stanza) *Stanza {
	r.t.Helper()
	if len(all) != 1 {
		r.t.Fatalf("got %d stanzas, want one: %v", len(all), all)
	}
	return all[0]
}

// ask sends a get with a payload to an address and returns the one answer.
func (r *rig) ask(typ, to, payload string) *Stanza {
	r.t.Helper()
	s := r.one(r.route(fmt.Sprintf(`<iq type='%s' id='q1' from='juliet@example.org/balcony' to='%s'>%s</iq>`, typ, to, payload)))
	if s.ID != "q1" || s.To.String() != "juliet@example.org/balcony" || s.From.String() != to {
		r.t.Errorf("the answer is not to the question: %v", s)
	}
	return s
}

// condition is the error of a stanza: type, condition and application condition.
func condition(s *Stanza) string {
	e := s.StanzaError()
	if e == nil {
		return ""
	}
	text := string(e.Type) + " " + e.Condition
	if e.App != nil {
		text += " " + e.App.Name
	}
	return text
}

func TestSmallServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		HandlePing(r.services, AddressHost)
		HandleVersion(r.services, SoftwareVersion{Name: "transportd", Version: "1.0"}, AddressHost)
		HandleTime(r.services, AddressHost)
		HandleLast(r.services, time.Now(), AddressHost)
		HandleVCard(r.services, VCard{FullName: "IRC & more", PhotoType: "image/png", Photo: []byte("\x89PNG")}, AddressHost)
		HandleGateway(r.services, func(lang string) Prompt {
			if lang == "de" {
				return Prompt{Text: "Kanal"}
			}
			return Prompt{Text: "Channel", Desc: "Type a channel."}
		}, func(_ *Stanza, text string) (JID, *StanzaError) {
			if text == "nonsense" {
				return JID{}, NewStanzaError("modify", "not-acceptable", "There is no such network.")
			}
			return JID{Local: EscapeLocal(text + "%irc.example.net"), Domain: "irc.example.org"}, nil
		}, AddressHost)
		time.Sleep(90*time.Second + time.Millisecond)

		for name, c := range map[string]struct{ typ, payload, want string }{
			"ping":          {"get", `<ping xmlns='urn:xmpp:ping'/>`, ``},
			"version":       {"get", `<query xmlns='jabber:iq:version'/>`, `<query xmlns="jabber:iq:version"><name>transportd</name><version>1.0</version></query>`},
			"time":          {"get", `<time xmlns='urn:xmpp:time'/>`, `<time xmlns="urn:xmpp:time"><tzo>+00:00</tzo><utc>2000-01-01T00:01:30.001Z</utc></time>`},
			"last":          {"get", `<query xmlns='jabber:iq:last'/>`, `<query xmlns="jabber:iq:last" seconds="90"/>`},
			"vcard":         {"get", `<vCard xmlns='vcard-temp'/>`, `<vCard xmlns="vcard-temp"><FN>IRC &amp; more</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>iVBORw==</BINVAL></PHOTO></vCard>`},
			"vcard set":     {"set", `<vCard xmlns='vcard-temp'/>`, `auth forbidden`},
			"prompt":        {"get", `<query xmlns='jabber:iq:gateway'/>`, `<query xmlns="jabber:iq:gateway"><desc>Type a channel.</desc><prompt>Channel</prompt></query>`},
			"prompt answer": {"set", `<query xmlns='jabber:iq:gateway'><prompt> #a b </prompt></query>`, `<query xmlns="jabber:iq:gateway"><jid>#a\20b%irc.example.net@irc.example.org</jid></query>`},
			"bad answer":    {"set", `<query xmlns='jabber:iq:gateway'><prompt>nonsense</prompt></query>`, `modify not-acceptable`},
			"empty answer":  {"set", `<query xmlns='jabber:iq:gateway'/>`, `modify not-acceptable`},
			"long answer":   {"set", `<query xmlns='jabber:iq:gateway'><prompt>` + strings.Repeat("x", 5000) + `</prompt></query>`, `modify not-acceptable`},
		} {
			got := r.ask(c.typ, "irc.example.org", c.payload)
			text := got.Payload().String()
			text = strings.Replace(text, ` xmlns="`+NSComponent+`"`, "", 1)
			if got.IsError() {
				text = condition(got)
			}
			if text != c.want {
				t.Errorf("%s: got %s, want %s", name, text, c.want)
			}
		}
		german := r.one(r.route(`<iq type='get' id='1' xml:lang='de' from='a@b/c' to='irc.example.org'><query xmlns='jabber:iq:gateway'/></iq>`))
		if text := german.Payload().Child("", "prompt").Text(); text != "Kanal" {
			t.Errorf("prompt in German: %q", text)
		}
	})
}

func TestEveryServiceShowsInDisco(t *testing.T) {
	r := newRig(t)
	r.services.Disco.AddIdentity(AddressHost, Identity{Category: "gateway", Type: "irc", Name: "IRC"})
	r.services.Disco.AddIdentity(AddressHost, Identity{Category: "conference", Type: "irc"})
	r.commands = NewCommands(CommandsConfig{Reply: r.keep})
	HandleDisco(r.services, AddressHost, AddressNetwork)
	HandlePing(r.services, AddressHost, AddressNetwork)
	HandleVersion(r.services, SoftwareVersion{}, AddressHost)
	HandleTime(r.services, AddressHost)
	HandleLast(r.services, time.Now(), AddressHost)
	HandleVCard(r.services, VCard{}, AddressHost)
	HandleGateway(r.services, nil, nil, AddressHost)
	HandleCommands(r.services, r.commands, AddressHost)
	r.services.Disco.AddForm(AddressHost, Form{Type: FormResult, Fields: []FormField{TypeField("urn:xmpp:dataforms:softwareinfo")}})

	features := func(to string) (found []string) {
		query := r.ask("get", to, `<query xmlns='http://jabber.org/protocol/disco#info'/>`).Payload()
		for c := range query.Children() {
			switch c.Name {
			case "identity":
				found = append(found, c.Attr("category")+"/"+c.Attr("type"))
			case "feature":
				found = append(found, c.Attr("var"))
			case "x":
				found = append(found, c.Child("", "field").Child("", "value").Text())
			}
		}
		return found
	}
	want := []string{
		"gateway/irc", "conference/irc", NSDiscoInfo, NSDiscoItems, NSPing, NSVersion, NSTime, NSLast, NSVCard,
		NSGateway, `jid\20escaping`, NSCommands, "urn:xmpp:dataforms:softwareinfo",
	}
	if got := features("irc.example.org"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the gateway: got %q, want %q", got, want)
	}
	want = []string{NSDiscoInfo, NSDiscoItems, NSPing}
	if got := features("irc.example.net@irc.example.org"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("a network: got %q, want %q", got, want)
	}

	hash := r.services.Disco.Info(AddressHost).CapsHash()
	node := func(node string) string {
		return condition(r.ask("get", "irc.example.org", `<query xmlns='http://jabber.org/protocol/disco#info' node='`+node+`'/>`))
	}
	if got := node(CapsNode + "#" + hash); got != "" {
		t.Errorf("the node of the caps: %s", got)
	}
	if got := node(CapsNode + "#old"); got != "cancel item-not-found" {
		t.Errorf("an unknown node: %q", got)
	}
	var listed int
	r.services.Disco.HandleItems(AddressHost, func(*Stanza) { listed++ })
	r.route(`<iq type='get' id='1' from='a@b/c' to='irc.example.org'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`)
	if listed != 1 {
		t.Error("a list that is waited for was not asked for")
	}
	if got := condition(r.ask("get", "irc.example.org", `<query xmlns='http://jabber.org/protocol/disco#items' node='none'/>`)); got != "cancel item-not-found" {
		t.Errorf("items of an unknown node: %q", got)
	}
}

func TestDiscoOfAddressesSomebodyElseKnows(t *testing.T) {
	r := newRig(t)
	HandleDisco(r.services, AddressRoom)
	d := r.services.Disco
	d.SetNode(AddressRoom, NSCommands, func(*Stanza) (DiscoInfo, *StanzaError) {
		return DiscoInfo{Features: []string{NSCommands}}, nil
	}, func(*Stanza) ([]Item, *StanzaError) { return []Item{{JID: JID{Domain: "x"}, Node: "y"}}, nil })
	var rest []string
	d.HandleRest(AddressRoom, func(req *Stanza) { rest = append(rest, req.Payload().Attr("node")) })
	for _, space := range []string{NSDiscoInfo, NSDiscoItems} {
		if a := r.ask("get", "#room@irc.example.org", "<query xmlns='"+space+"' node='"+NSCommands+"'/>"); a.Type != "result" || a.Payload().Attr("node") != NSCommands {
			t.Errorf("the node of commands: %v", a)
		}
		for _, node := range []string{"", "other"} {
			r.route("<iq type='get' id='1' from='a@b/c' to='#room@irc.example.org'><query xmlns='" + space + "' node='" + node + "'/></iq>")
		}
	}
	if got := strings.Join(rest, ","); got != ",other,,other" {
		t.Errorf("others were asked about the nodes %q", got)
	}
	var under []string
	d.HandleNodes(AddressRoom, "tree/", func(req *Stanza) { under = append(under, req.Payload().Attr("node")) })
	for _, node := range []string{"tree/a", "tree"} {
		r.route("<iq type='get' id='1' from='a@b/c' to='#room@irc.example.org'><query xmlns='" + NSDiscoItems + "' node='" + node + "'/></iq>")
	}
	if got := strings.Join(under, ","); got != "tree/a" || rest[len(rest)-1] != "tree" {
		t.Errorf("of nodes with a prefix %q were asked about, of others %q", got, rest)
	}
}

// The example of XEP-0115 section 5.3.
func TestCapsHash(t *testing.T) {
	info := DiscoInfo{
		Identities: []Identity{
			{Category: "client", Type: "pc", Lang: "en", Name: "Psi 0.11"},
			{Category: "client", Type: "pc", Lang: "el", Name: "Ψ 0.11"},
		},
		Features: []string{"http://jabber.org/protocol/caps", NSDiscoInfo, NSDiscoItems, "http://jabber.org/protocol/muc"},
		Forms: []Form{{Type: FormResult, Fields: []FormField{
			TypeField("urn:xmpp:dataforms:softwareinfo"),
			{Var: "ip_version", Values: []string{"ipv4", "ipv6"}},
			{Var: "os", Values: []string{"Mac"}},
			{Var: "os_version", Values: []string{"10.5.1"}},
			{Var: "software", Values: []string{"Psi"}},
			{Var: "software_version", Values: []string{"0.11"}},
		}}},
	}
	if got := info.CapsHash(); got != "q07IKJEyjvHSyhy//CH0CxmKi8w=" {
		t.Errorf("got %s", got)
	}
}

func items(n int) []Item {
	list := make([]Item, n)
	for i := range list {
		list[i] = Item{JID: JID{Local: fmt.Sprintf("#room%04d", i), Domain: "irc.example.org"}}
	}
	return list
}

func TestItemsPages(t *testing.T) {
	r := newRig(t)
	list := items(100)
	r.services.Disco.SetItems(AddressHost, func(*Stanza) ([]Item, *StanzaError) { return list, nil })
	HandleDisco(r.services, AddressHost)
	id := func(i int) string { return list[i].id() }

	for name, c := range map[string]struct{ set, want string }{
		"no page":        {``, "0-99"},
		"first":          {`<max>10</max>`, "0-9 of 100 at 0"},
		"after":          {`<max>10</max><after>` + id(9) + `</after>`, "10-19 of 100 at 10"},
		"last page":      {`<max>10</max><after>` + id(94) + `</after>`, "95-99 of 100 at 95"},
		"behind the end": {`<max>10</max><after>` + id(99) + `</after>`, "none of 100"},
		"before":         {`<max>10</max><before>` + id(10) + `</before>`, "0-9 of 100 at 0"},
		"before few":     {`<max>10</max><before>` + id(4) + `</before>`, "0-3 of 100 at 0"},
		"the last":       {`<max>10</max><before/>`, "90-99 of 100 at 90"},
		"index":          {`<max>10</max><index>50</index>`, "50-59 of 100 at 50"},
		"count only":     {`<max>0</max>`, "none of 100"},
		"huge":           {`<max>2000000000</max>`, "0-99 of 100 at 0"},
		"gone":           {`<max>10</max><after>#gone@irc.example.org</after>`, "cancel item-not-found"},
		"far index":      {`<index>101</index>`, "cancel item-not-found"},
		"bad number":     {`<max>-1</max>`, "modify bad-request"},
		"no number":      {`<max>ten</max>`, "modify bad-request"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.set != "" {
				c.set = `<set xmlns='http://jabber.org/protocol/rsm'>` + c.set + `</set>`
			}
			if got := page(r.ask("get", "irc.example.org", `<query xmlns='http://jabber.org/protocol/disco#items'>`+c.set+`</query>`)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// page describes an answer of rooms that are numbered.
func page(s *Stanza) string {
	if s.IsError() {
		return condition(s)
	}
	var shown []string
	for c := range s.Payload().Children() {
		if c.Name == "item" {
			shown = append(shown, strings.TrimLeft(strings.TrimSuffix(strings.TrimPrefix(c.Attr("jid"), "#room"), "@irc.example.org"), "0"))
		}
	}
	text := "none"
	if len(shown) > 0 {
		if shown[0] == "" {
			shown[0] = "0"
		}
		text = shown[0] + "-" + shown[len(shown)-1]
	}
	if set := s.Payload().Child(NSRSM, "set"); set != nil {
		text += " of " + set.Child("", "count").Text()
		if at := set.Child("", "first").Attr("index"); at != "" {
			text += " at " + at
		}
	}
	return text
}

// A list of any length is read to its end by clients that turn pages, and no
// answer is larger than servers take.
func TestItemsLongList(t *testing.T) {
	r := newRig(t)
	list := items(9999)
	for i := range list {
		list[i].Name = strings.Repeat("<", 100)
	}
	r.services.Disco.SetItems(AddressHost, func(*Stanza) ([]Item, *StanzaError) { return list, nil })
	HandleDisco(r.services, AddressHost)
	for _, direction := range []string{"after", "before"} {
		seen, at := 0, ""
		if direction == "before" {
			at = "<before/>"
		}
		for seen < len(list) {
			answer := r.ask("get", "irc.example.org", `<query xmlns='http://jabber.org/protocol/disco#items'>`+
				`<set xmlns='http://jabber.org/protocol/rsm'><max>5000</max>`+at+`</set></query>`)
			if size := len(answer.String()); size > 200<<10 {
				t.Fatalf("an answer of %d bytes", size)
			}
			set := answer.Payload().Child(NSRSM, "set")
			n := 0
			for c := range answer.Payload().Children() {
				if c.Name == "item" {
					n++
				}
			}
			if n == 0 {
				t.Fatalf("an empty page after %d", seen)
			}
			seen += n
			at = "<after>" + set.Child("", "last").Text() + "</after>"
			if direction == "before" {
				at = "<before>" + set.Child("", "first").Text() + "</before>"
			}
		}
		if seen != len(list) {
			t.Errorf("%s: saw %d of %d", direction, seen, len(list))
		}
	}
}

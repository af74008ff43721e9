package xep

import (
	"errors"
	"strings"
	"testing"
	"time"

	"transportd/component"
)

func TestMAMQueryRefused(t *testing.T) {
	form := func(fields string) string {
		return "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>" + fields + "</x>"
	}
	for _, c := range []struct{ content, condition string }{
		{form("<field var='start'><value>yesterday</value></field>"), "bad-request"},
		{form("<field var='end'><value>2026-13-01T00:00:00Z</value></field>"), "bad-request"},
		{form("<field var='with'><value>@@</value></field>"), "bad-request"},
		{form("<field var='ids'/>"), "bad-request"},
		{form("<field var='ids'>" + strings.Repeat("<value>x</value>", maxIDs+1) + "</field>"), "bad-request"},
		{form("<field var='free-text'><value>x</value></field>"), "feature-not-implemented"},
		{"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field></x>", "bad-request"},
		{"<x xmlns='jabber:x:data' type='form'/>", "bad-request"},
		{"<set xmlns='http://jabber.org/protocol/rsm'><max>-1</max></set>", "bad-request"},
		{"<set xmlns='http://jabber.org/protocol/rsm'><max>many</max></set>", "bad-request"},
	} {
		e := message(t, "<query xmlns='urn:xmpp:mam:2'>"+c.content+"</query>")
		_, err := ParseMAMQuery(e)
		var se *component.StanzaError
		if !errors.As(err, &se) || se.Condition != c.condition {
			t.Errorf("%s: %v", c.content, err)
		}
	}
	if _, err := ParseMAMQuery(message(t, "<query xmlns='urn:xmpp:mam:2' node='x'/>")); err == nil {
		t.Error("a node was found")
	}
}

func TestMAMAnswers(t *testing.T) {
	at := time.Date(2026, 11, 25, 7, 30, 0, 120034e3, time.UTC)
	for _, c := range []struct {
		write func(*component.Out)
		want  string
	}{
		{func(o *component.Out) {
			StartResult(o, "q", "id1", at)
			o.Attr("type", "groupchat").Elem("", "body", "hi").End().End().End()
		}, `<result xmlns="urn:xmpp:mam:2" queryid="q" id="id1"><forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2026-11-25T07:30:00.120034Z"/>` +
			`<message xmlns="jabber:client" type="groupchat"><body>hi</body></message></forwarded></result>`},
		{Fin{Count: -1}.AppendTo, `<fin xmlns="urn:xmpp:mam:2"><set xmlns="http://jabber.org/protocol/rsm"/></fin>`},
		{func(o *component.Out) { AppendMAMMetadata(o, ArchiveEnd{"a", at}, ArchiveEnd{"b", at.Add(time.Hour)}) },
			`<metadata xmlns="urn:xmpp:mam:2"><start id="a" timestamp="2026-11-25T07:30:00.120034Z"/><end id="b" timestamp="2026-11-25T08:30:00.120034Z"/></metadata>`},
		{func(o *component.Out) { AppendMAMMetadata(o, ArchiveEnd{}, ArchiveEnd{}) }, `<metadata xmlns="urn:xmpp:mam:2"/>`},
		{func(o *component.Out) { AppendRetracted(o, "r1", at) }, `<retracted xmlns="urn:xmpp:message-retract:1" id="r1" stamp="2026-11-25T07:30:00.12Z"/>`},
		{AppendMAMForm, `<query xmlns="urn:xmpp:mam:2"><x xmlns="jabber:x:data" type="form"><field type="hidden" var="FORM_TYPE"><value>urn:xmpp:mam:2</value></field>` +
			`<field type="jid-single" var="with"/><field type="text-single" var="start"/><field type="text-single" var="end"/>` +
			`<field type="text-single" var="before-id"/><field type="text-single" var="after-id"/>` +
			`<field type="list-multi" var="ids"><validate xmlns="http://jabber.org/protocol/xdata-validate" datatype="xs:string"><open></open></validate></field></x></query>`},
	} {
		o := component.NewMessage(room, user, "", "")
		c.write(o)
		xml, err := component.Encode(o, room.Domain)
		if err != nil {
			t.Fatal(err)
		}
		_, in, _ := strings.Cut(xml, `">`)
		if in = strings.TrimSuffix(in, "</message>"); strings.ReplaceAll(in, "<open/>", "<open></open>") != c.want {
			t.Errorf("written is\n%s, not\n%s", in, c.want)
		}
	}
}

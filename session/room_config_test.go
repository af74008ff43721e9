package session

import (
	"strings"
	"testing"

	"transportd/bridges"
)

// roomFields are what a network has of a room's settings in these tests.
func roomFields() []bridges.Field {
	return []bridges.Field{
		{Name: bridges.RoomTitle, Label: "Name", Default: "The Room"},
		{Name: bridges.RoomDescription, Label: "About", Kind: bridges.FieldLines, Default: "one\ntwo"},
		{Name: bridges.RoomModerated, Label: "Moderated", Kind: bridges.FieldBool, Default: "false"},
		{Name: "tide", Label: "Tide", Kind: bridges.FieldChoice, Options: []string{"low", "high"}, Default: "low"},
	}
}

// ownerForm is the answer to the form, with fields and their values in turn.
func ownerForm(room string, fields ...string) string {
	form := ""
	for i := 0; i < len(fields); i += 2 {
		form += "<field var='" + fields[i] + "'>"
		for v := range strings.SplitSeq(fields[i+1], "\n") {
			form += "<value>" + v + "</value>"
		}
		form += "</field>"
	}
	return "<iq type='set' id='c2' from='ALICE/a' to='" + room + "%net@GW'><query xmlns='http://jabber.org/protocol/muc#owner'>" +
		"<x xmlns='jabber:x:data' type='submit'>" + form + "</x></query></iq>"
}

// The form has the network's settings under XEP-0045's names, beside the user's own;
// what is answered differently is changed, and nothing else.
func TestRoomIsConfigured(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Settings = roomFields()
		w.from(ownerGet)
		w.expect(`type="result" & persistentroom & !roomname`) // from outside only one's own
		w.join("a", "Alice")
		w.news()
		w.from(ownerGet)
		w.expect(`type="result" & var="muc#roomconfig_persistentroom" & ` +
			`var="muc#roomconfig_roomname" type="text-single" label="Name"><value>The Room</value> & ` +
			`var="muc#roomconfig_roomdesc" type="text-multi" label="About"><value>one</value><value>two</value> & ` +
			`var="muc#roomconfig_moderatedroom" type="boolean" label="Moderated"><value>false</value> & ` +
			`var="x-tide" type="list-single" label="Tide"><value>low</value><option><value>low</value></option><option><value>high</value>`)
		calls := len(w.net().Calls())
		w.from(ownerForm("#room", "muc#roomconfig_roomname", "The Room", "muc#roomconfig_roomdesc", "one\ntwo", "muc#roomconfig_moderatedroom", "0", "x-tide", "low"))
		w.expect(`<iq type="result" id="c2"`)
		w.from(ownerForm("#room")) // an instant room (XEP-0045 section 10.1.2)
		w.expect(`<iq type="result" id="c2"`)
		if got := w.net().Calls(); len(got) != calls {
			t.Errorf("nothing was changed, and the network was asked %q", got[calls:])
		}
		w.from(ownerForm("#room", "muc#roomconfig_roomname", "Ours", "muc#roomconfig_roomdesc", "three", "muc#roomconfig_moderatedroom", "1", "x-tide", "high",
			"muc#roomconfig_persistentroom", "1"))
		w.expect(`<iq type="result" id="c2"`)
		w.called("configure #room description=three moderated=true tide=high title=Ours")
		if set := w.stored(); len(set) != 1 || !set[0].Persistent {
			t.Errorf("the user's own part is stored as %+v", set)
		}
	})
}

// What the network refuses leaves the user's own settings as they are, and the answer
// says why; so does a value that is none.
func TestRoomConfigurationIsRefused(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Settings = roomFields()
		w.join("a", "Alice")
		w.from(ownerForm("#room", "muc#roomconfig_roomname", "refused", "muc#roomconfig_persistentroom", "1"))
		w.expect(`<iq type="error" id="c2" & <forbidden & You may not change this.`)
		w.from(ownerForm("#room", "x-tide", "spring"))
		w.expect(`<iq type="error" id="c2" & <not-acceptable`)
		w.from(ownerForm("#room", "muc#roomconfig_moderatedroom", "maybe"))
		w.expect(`<iq type="error" id="c2" & <not-acceptable`)
		if set := w.stored(); len(set) != 0 {
			t.Errorf("stored is %+v", set)
		}
		w.net().Ask = func() { panic("a fault of a driver") }
		w.from(ownerGet)
		w.expect(`<iq type="error" id="c1" & <internal-server-error`)
		w.from(ownerForm("#room", "muc#roomconfig_roomname", "Ours"))
		w.expect(`<iq type="error" id="c2" & <internal-server-error`)
		w.net().Ask = nil
		w.from(ownerSet("#room", fieldPersistent, "true")) // needs no network
		w.expect(`<iq type="result" id="c2"`)
	})
}

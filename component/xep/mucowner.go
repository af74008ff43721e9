package xep

import "transportd/component"

// NSMUCOwner asks for and changes a room's configuration, and destroys it
// (XEP-0045 section 10).
const NSMUCOwner = "http://jabber.org/protocol/muc#owner"

// FormRoomConfig is the FORM_TYPE of a room's configuration form.
const FormRoomConfig = "http://jabber.org/protocol/muc#roomconfig"

// MUCOwner is a muc#owner query: nothing set asks for the form.
type MUCOwner struct {
	Form    *component.Form
	Destroy *Destroy
}

// ParseMUCOwner reads a query. The error is about its form.
func ParseMUCOwner(e *component.Element) (MUCOwner, error) {
	q := find(e, NSMUCOwner, "query")
	if q == nil {
		return MUCOwner{}, badRequest("The query is missing.")
	}
	if d := q.Child("", "destroy"); d != nil {
		return MUCOwner{Destroy: parseDestroy(d)}, nil
	}
	form, ok, err := component.ParseForm(q)
	if err != nil {
		return MUCOwner{}, err
	}
	if !ok {
		return MUCOwner{}, nil
	}
	return MUCOwner{Form: &form}, nil
}

// AppendTo writes the query.
func (q MUCOwner) AppendTo(o *component.Out) {
	o.Start(NSMUCOwner, "query")
	if q.Destroy != nil {
		q.Destroy.AppendTo(o)
	}
	if q.Form != nil {
		q.Form.AppendTo(o)
	}
	o.End()
}

package xep

import (
	"time"

	"gosrc.io/xmpp/stanza"

	"transportd/component"
)

// Namespaces of message archive management (XEP-0313).
const (
	NSMAM = "urn:xmpp:mam:2"
	// FeatureMAMExtended tells that ids can be asked for, pages flipped, and the
	// ends of the archive be known.
	FeatureMAMExtended = NSMAM + "#extended"
	NSForward          = "urn:xmpp:forward:0" // XEP-0297

	nsValidate = "http://jabber.org/protocol/xdata-validate" // XEP-0122
)

// maxIDs bounds the ids asked for at once.
const maxIDs = 250

// MAMQuery asks an archive for lines (XEP-0313 section 4). Zero parts do not limit.
type MAMQuery struct {
	QueryID           string
	With              component.JID
	Start, End        time.Time // inclusive
	BeforeID, AfterID string
	IDs               []string
	Flip              bool // the page in reverse order
	Page              component.ResultSet
}

// ParseMAMQuery reads a query. The error is a *component.StanzaError: for a form
// that is none, a field nobody knows, or a value that does not fit.
func ParseMAMQuery(e *component.Element) (MAMQuery, error) {
	e = find(e, NSMAM, "query")
	q := MAMQuery{QueryID: e.Attr("queryid"), Flip: e.Child("", "flip-page") != nil}
	if node := e.Attr("node"); node != "" {
		return q, component.NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "A room's archive has no nodes.")
	}
	var err error
	if q.Page, _, err = component.ParseResultSet(e); err != nil {
		return q, err
	}
	form, there, err := component.ParseForm(e)
	if err != nil || !there {
		return q, err
	}
	if form.Type != component.FormSubmit || form.Value("FORM_TYPE") != NSMAM {
		return q, badRequest("The form of a query is submitted, and of the type " + NSMAM + ".")
	}
	for i := range form.Fields {
		if err := q.field(&form.Fields[i]); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (q *MAMQuery) field(f *component.FormField) error {
	value := f.Value()
	if value == "" && f.Var != "ids" {
		return nil // as if it were not there
	}
	var err error
	switch f.Var {
	case "FORM_TYPE":
	case "with":
		if q.With, err = component.ParseJID(value); err != nil {
			return badRequest("“with” is no address.")
		}
	case "start":
		if q.Start, err = component.ParseTime(value); err != nil {
			return badRequest("“start” is no time, which is written as 2026-11-25T07:30:00Z.")
		}
	case "end":
		if q.End, err = component.ParseTime(value); err != nil {
			return badRequest("“end” is no time, which is written as 2026-11-25T07:30:00Z.")
		}
	case "before-id":
		q.BeforeID = value
	case "after-id":
		q.AfterID = value
	case "ids":
		if q.IDs = f.Values; len(q.IDs) == 0 || len(q.IDs) > maxIDs {
			return badRequest("Between 1 and 250 ids can be asked for at once.")
		}
	default:
		return component.NewStanzaError(stanza.ErrorTypeCancel, "feature-not-implemented", "This archive knows no field “"+f.Var+"”.")
	}
	return nil
}

// AppendTo writes the query.
func (q MAMQuery) AppendTo(o *component.Out) {
	o.Start(NSMAM, "query").OptAttr("queryid", q.QueryID)
	form := component.Form{Type: component.FormSubmit, Fields: []component.FormField{component.TypeField(NSMAM)}}
	add := func(name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			form.Fields = append(form.Fields, component.FormField{Var: name, Values: values})
		}
	}
	add("with", jidText(q.With))
	for _, at := range []struct {
		name string
		t    time.Time
	}{{"start", q.Start}, {"end", q.End}} {
		if !at.t.IsZero() {
			add(at.name, mamTime(at.t))
		}
	}
	add("before-id", q.BeforeID)
	add("after-id", q.AfterID)
	add("ids", q.IDs...)
	if len(form.Fields) > 1 {
		form.AppendTo(o)
	}
	if q.Page != (component.ResultSet{Max: -1, Index: -1}) {
		q.Page.AppendTo(o)
	}
	if q.Flip {
		o.Start("", "flip-page").End()
	}
	o.End()
}

// AppendMAMForm writes what can be asked for (XEP-0313 section 4.1.5), as the
// answer to a get.
func AppendMAMForm(o *component.Out) {
	o.Start(NSMAM, "query").Start(NSForms, "x").Attr("type", component.FormAsk)
	o.Start("", "field").Attr("type", "hidden").Attr("var", "FORM_TYPE").Elem("", "value", NSMAM).End()
	for _, f := range []struct{ name, typ string }{
		{"with", "jid-single"}, {"start", "text-single"}, {"end", "text-single"},
		{"before-id", "text-single"}, {"after-id", "text-single"},
	} {
		o.Start("", "field").Attr("type", f.typ).Attr("var", f.name).End()
	}
	o.Start("", "field").Attr("type", "list-multi").Attr("var", "ids").
		Start(nsValidate, "validate").Attr("datatype", "xs:string").Elem("", "open", "").End().End()
	o.End().End()
}

// mamTime writes a time as exactly as archives know it: who asks for lines from
// the stamp of one on must get that one.
func mamTime(t time.Time) string {
	return t.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z07:00")
}

// StartResult begins a line of an answer, up to the message in it; the caller
// writes that message and then calls End three times: for the message, forwarded
// and result.
func StartResult(o *component.Out, queryID, id string, at time.Time) {
	o.Start(NSMAM, "result").OptAttr("queryid", queryID).Attr("id", id)
	o.Start(NSForward, "forwarded").Start(NSDelay, "delay").Attr("stamp", mamTime(at)).End()
	o.Start("jabber:client", "message")
}

// Fin ends an answer: the ids of the first and last line of the page, and whether
// it reaches the end of what was asked for. Count is told where it is not negative.
type Fin struct {
	First, Last string
	Complete    bool
	Count       int
}

// AppendTo writes it.
func (f Fin) AppendTo(o *component.Out) {
	o.Start(NSMAM, "fin")
	if f.Complete {
		o.Attr("complete", "true")
	}
	component.AppendEnds(o, f.First, f.Last, f.Count)
	o.End()
}

// ParseFin reads the end of an answer.
func ParseFin(e *component.Element) (Fin, bool) {
	fin := find(e, NSMAM, "fin")
	if fin == nil {
		return Fin{}, false
	}
	set := fin.Child(NSRSM, "set")
	f := Fin{Complete: fin.Attr("complete") == "true", First: set.Child("", "first").Text(), Last: set.Child("", "last").Text(), Count: -1}
	if n := count(set.Child("", "count").Text()); n != nil {
		f.Count = *n
	}
	return f, true
}

// ArchiveEnd is one end of an archive.
type ArchiveEnd struct {
	ID string
	At time.Time
}

// AppendMAMMetadata writes where an archive begins and ends (XEP-0313 section 5);
// of an empty one, nothing.
func AppendMAMMetadata(o *component.Out, first, last ArchiveEnd) {
	o.Start(NSMAM, "metadata")
	if first.ID != "" {
		for _, end := range []struct {
			name string
			ArchiveEnd
		}{{"start", first}, {"end", last}} {
			o.Start("", end.name).Attr("id", end.ID).Attr("timestamp", mamTime(end.At)).End()
		}
	}
	o.End()
}

// FeatureTombstone tells that an archive shows what was taken back (XEP-0424).
const FeatureTombstone = NSRetract + "#tombstone"

// AppendRetracted writes that what stood here was taken back, by the message with
// that id (XEP-0424, tombstones).
func AppendRetracted(o *component.Out, id string, stamp time.Time) {
	o.Start(NSRetract, "retracted").Attr("id", id).Attr("stamp", component.FormatTime(stamp)).End()
}

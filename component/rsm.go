package component

import (
	"errors"
	"strconv"

	"gosrc.io/xmpp/stanza"
)

// NSRSM is result set management (XEP-0059).
const NSRSM = "http://jabber.org/protocol/rsm"

// ResultSet asks for a part of a long list.
type ResultSet struct {
	Max        int    // how many at most; negative: no limit asked for
	After      string // those behind this one
	Before     string // those before this one
	BeforeLast bool   // the last ones: an empty before
	Index      int    // those from this position on; negative: not asked for
}

// ParseResultSet reads the set element that is e or a child of e; false where
// there is none. The error is a *StanzaError for numbers that are none.
func ParseResultSet(e *Element) (ResultSet, bool, error) {
	set := e
	if set != nil && (set.Space != NSRSM || set.Name != "set") {
		set = e.Child(NSRSM, "set")
	}
	r := ResultSet{Max: -1, Index: -1}
	if set == nil {
		return r, false, nil
	}
	for c := range set.Children() {
		if c.Space != NSRSM {
			continue
		}
		switch c.Name {
		case "after":
			r.After = c.Text()
		case "before":
			r.Before = c.Text()
			r.BeforeLast = r.Before == ""
		case "max", "index":
			n, err := strconv.ParseUint(c.Text(), 10, 31)
			if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond it is the largest there is
				return r, true, NewStanzaError(stanza.ErrorTypeModify, "bad-request", "The size or position of a page is a number.")
			}
			if c.Name == "max" {
				r.Max = int(n)
			} else {
				r.Index = int(n)
			}
		}
	}
	return r, true, nil
}

// AppendTo writes the request.
func (r ResultSet) AppendTo(o *Out) {
	o.Start(NSRSM, "set")
	if r.Max >= 0 {
		o.Elem("", "max", strconv.Itoa(r.Max))
	}
	if r.Index >= 0 {
		o.Elem("", "index", strconv.Itoa(r.Index))
	}
	if r.After != "" {
		o.Elem("", "after", r.After)
	}
	if r.Before != "" || r.BeforeLast {
		o.Elem("", "before", r.Before)
	}
	o.End()
}

// Window is the part of a list of count entries that r asks for: from start to
// before end. position finds an entry by the id it was shown with, and returns
// a negative number where there is none such; the error is then item-not-found
// (XEP-0059 section 2.5).
func (r ResultSet) Window(count int, position func(id string) int) (start, end int, err *StanzaError) {
	size := count
	if r.Max >= 0 {
		size = min(r.Max, count)
	}
	switch {
	case r.After != "":
		at := position(r.After)
		if at < 0 {
			return 0, 0, lostPage()
		}
		return at + 1, min(at+1+size, count), nil
	case r.Before != "":
		at := position(r.Before)
		if at < 0 {
			return 0, 0, lostPage()
		}
		return max(0, at-size), at, nil
	case r.BeforeLast:
		return count - size, count, nil
	case r.Index >= 0:
		if r.Index > count {
			return 0, 0, lostPage()
		}
		return r.Index, min(r.Index+size, count), nil
	}
	return 0, size, nil
}

func lostPage() *StanzaError {
	return NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "That page is not there any more.")
}

// AppendPage writes which part of a list of count entries is shown: the ids of
// its first and last entry, empty for a page without any.
func AppendPage(o *Out, first, last string, index, count int) {
	o.Start(NSRSM, "set")
	if first != "" {
		o.Start("", "first").Attr("index", strconv.Itoa(index)).Text(first).End()
		o.Elem("", "last", last)
	}
	o.Elem("", "count", strconv.Itoa(count))
	o.End()
}

// AppendEnds writes the ids of a page's first and last entry, empty for a page
// without any, where positions are not known. The count is told where it is not
// negative.
func AppendEnds(o *Out, first, last string, count int) {
	o.Start(NSRSM, "set")
	if first != "" {
		o.Elem("", "first", first)
		o.Elem("", "last", last)
	}
	if count >= 0 {
		o.Elem("", "count", strconv.Itoa(count))
	}
	o.End()
}

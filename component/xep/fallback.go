package xep

import (
	"strconv"
	"strings"

	"transportd/component"
)

// NSFallback marks which part of a message repeats in words what another
// payload says (XEP-0428).
const NSFallback = "urn:xmpp:fallback:0"

// Range is a part of a text, counted in Unicode code points: Start is the first,
// End the one behind the last.
type Range struct{ Start, End int }

// Fallback tells that the message's text, or the ranges of it, stand in for the
// extension with the namespace For.
type Fallback struct {
	For     string
	Body    []Range
	Subject []Range
	// WholeBody and WholeSubject: all of the text is a fallback.
	WholeBody, WholeSubject bool
}

// ParseFallback returns the fallback for an extension; false where there is
// none. Without body or subject children the whole body and subject are meant.
func ParseFallback(e *component.Element, namespace string) (Fallback, bool) {
	if e == nil {
		return Fallback{}, false
	}
	if e.Space == NSFallback && e.Name == "fallback" {
		return parseFallback(e), e.Attr("for") == namespace
	}
	for c := range e.Children() {
		if c.Space == NSFallback && c.Name == "fallback" && c.Attr("for") == namespace {
			return parseFallback(c), true
		}
	}
	return Fallback{}, false
}

func parseFallback(e *component.Element) Fallback {
	f := Fallback{For: e.Attr("for")}
	named := false
	for c := range e.Children() {
		if c.Space != NSFallback || (c.Name != "body" && c.Name != "subject") {
			continue
		}
		named = true
		ranges, whole := &f.Body, &f.WholeBody
		if c.Name == "subject" {
			ranges, whole = &f.Subject, &f.WholeSubject
		}
		start, end := c.Attr("start"), c.Attr("end")
		if start == "" && end == "" {
			*whole = true
			continue
		}
		from, to := count(start), count(end)
		if from != nil && to != nil && *from <= *to {
			*ranges = append(*ranges, Range{*from, *to})
		}
	}
	if !named {
		f.WholeBody, f.WholeSubject = true, true
	}
	return f
}

// Strip returns a body without the parts that are a fallback.
func (f Fallback) Strip(body string) string {
	if f.WholeBody {
		return ""
	}
	if len(f.Body) == 0 {
		return body
	}
	var b strings.Builder
	i := 0
	for _, r := range body {
		if !f.covers(i) {
			b.WriteRune(r)
		}
		i++
	}
	return b.String()
}

func (f Fallback) covers(i int) bool {
	for _, r := range f.Body {
		if i >= r.Start && i < r.End {
			return true
		}
	}
	return false
}

// AppendTo writes the fallback.
func (f Fallback) AppendTo(o *component.Out) {
	o.Start(NSFallback, "fallback").OptAttr("for", f.For)
	if !f.WholeBody || !f.WholeSubject {
		f.appendPart(o, "body", f.Body, f.WholeBody)
		f.appendPart(o, "subject", f.Subject, f.WholeSubject)
	}
	o.End()
}

func (f Fallback) appendPart(o *component.Out, name string, ranges []Range, whole bool) {
	if whole {
		o.Start("", name).End()
	}
	for _, r := range ranges {
		o.Start("", name).Attr("start", strconv.Itoa(r.Start)).Attr("end", strconv.Itoa(r.End)).End()
	}
}

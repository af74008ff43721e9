package xep

import (
	"strconv"
	"strings"

	"transportd/component"
)

// NSUpload is the namespace of places for files (XEP-0363): of the service's feature,
// of its form, and of what is asked of it.
const NSUpload = "urn:xmpp:http:upload:0"

// SlotRequest asks for a place for a file (XEP-0363 section 5).
type SlotRequest struct {
	Name string
	Type string // media type; empty: not said
	Size int64  // bytes
}

// AppendTo writes the request.
func (r SlotRequest) AppendTo(o *component.Out) {
	o.Start(NSUpload, "request").Attr("filename", r.Name).Attr("size", strconv.FormatInt(r.Size, 10)).OptAttr("content-type", r.Type).End()
}

// Slot is a place for a file: it is put to one address and read from another.
type Slot struct {
	Put, Get string
	Headers  [][2]string // to be sent with it: name and value
}

// slotHeaders are those that a service may ask for (XEP-0363 section 5).
var slotHeaders = map[string]string{"authorization": "Authorization", "cookie": "Cookie", "expires": "Expires"}

// ParseSlot reads a place for a file; false where it has not both addresses. Other
// headers than a service may ask for are left out.
func ParseSlot(e *component.Element) (Slot, bool) {
	x := find(e, NSUpload, "slot")
	put := x.Child("", "put")
	s := Slot{Put: put.Attr("url"), Get: x.Child("", "get").Attr("url")}
	if s.Put == "" || s.Get == "" {
		return Slot{}, false
	}
	for c := range put.Children() {
		name := slotHeaders[strings.ToLower(c.Attr("name"))]
		value := strings.NewReplacer("\r", "", "\n", "").Replace(c.Text())
		if c.Name == "header" && name != "" && len(s.Headers) < 2*len(slotHeaders) {
			s.Headers = append(s.Headers, [2]string{name, value})
		}
	}
	return s, true
}

// AppendTo writes the place, as a service does.
func (s Slot) AppendTo(o *component.Out) {
	o.Start(NSUpload, "slot").Start("", "put").Attr("url", s.Put)
	for _, h := range s.Headers {
		o.Start("", "header").Attr("name", h[0]).Text(h[1]).End()
	}
	o.End().Start("", "get").Attr("url", s.Get).End().End()
}

// UploadTooLarge tells whether a service refuses a file for its size (XEP-0363
// section 5.3).
func UploadTooLarge(e *component.StanzaError) bool {
	return e != nil && e.App != nil && e.App.Space == NSUpload && e.App.Name == "file-too-large"
}

// UploadLimit is the size of file that a service takes at most, by what it tells of
// itself (XEP-0363 section 4); false where it is no such service. 0: it does not say.
func UploadLimit(info *component.Element) (max int64, ok bool) {
	for c := range info.Children() {
		switch {
		case c.Name == "feature" && c.Attr("var") == NSUpload:
			ok = true
		case c.Name == "x" && c.Space == NSForms:
			form, _, err := component.ParseForm(c)
			if err != nil || form.Value("FORM_TYPE") != NSUpload {
				continue
			}
			if n, err := strconv.ParseInt(form.Value("max-file-size"), 10, 64); err == nil && n > 0 {
				max = n
			}
		}
	}
	return max, ok
}

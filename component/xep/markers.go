package xep

import "transportd/component"

// Markable reports whether a message asks for markers (XEP-0333).
func Markable(e *component.Element) bool { return find(e, NSMarkers, "markable") != nil }

// AppendMarkable asks for markers.
func AppendMarkable(o *component.Out) { o.Start(NSMarkers, "markable").End() }

// ParseDisplayed returns the id of the message up to which its recipient has read;
// empty where the message is no such marker.
func ParseDisplayed(e *component.Element) string {
	return find(e, NSMarkers, "displayed").Attr("id")
}

// AppendDisplayed writes that everything up to the message with that id was read.
func AppendDisplayed(o *component.Out, id string) {
	o.Start(NSMarkers, "displayed").Attr("id", id).End()
}

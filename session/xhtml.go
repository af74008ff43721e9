package session

import (
	"html"
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// maxXHTMLDepth bounds how deep the elements of a message's XHTML may lie in each
// other.
const maxXHTMLDepth = 32

// looksOf returns the looks of a message (XEP-0071) as elements of
// bridges.Markup; false where it has none. Everything else is left out, what it
// holds is not.
func looksOf(e *component.Element) (string, bool) {
	body := e.Child(xep.NSXHTML, "html").Child(xep.NSXHTMLBody, "body")
	if body == nil {
		return "", false
	}
	var b strings.Builder
	markup(&b, body, 0)
	return b.String(), b.Len() > 0
}

// asMarkup are elements that have another name in bridges.Markup.
var asMarkup = map[string]string{"cite": "em", "dfn": "em", "var": "em", "kbd": "code", "samp": "code", "q": "em", "div": "p"}

func markup(b *strings.Builder, e *component.Element, depth int) {
	for text, c := range e.Content() {
		if c == nil {
			b.WriteString(html.EscapeString(text))
			continue
		}
		if c.Space != xep.NSXHTMLBody || depth >= maxXHTMLDepth || c.Name == "script" || c.Name == "style" || c.Name == "head" {
			continue
		}
		names := markupOf(c)
		for _, n := range names {
			b.WriteString("<" + n)
			if href := c.Attr("href"); n == "a" {
				b.WriteString(` href="` + html.EscapeString(href) + `"`)
			}
			b.WriteString(">")
		}
		switch c.Name {
		case "br", "hr":
			continue
		case "img":
			b.WriteString(html.EscapeString(c.Attr("alt")))
		}
		markup(b, c, depth+1)
		for _, n := range slices.Backward(names) {
			b.WriteString("</" + n + ">")
		}
	}
}

// markupOf are the elements of bridges.Markup that an element becomes.
func markupOf(c *component.Element) []string {
	name := c.Name
	if other := asMarkup[name]; other != "" {
		name = other
	}
	switch {
	case name == "a":
		if !linkable(c.Attr("href")) {
			return nil
		}
		return []string{"a"}
	case name == "span":
		return styles(c.Attr("style"))
	case slices.Contains(bridges.Markup, name):
		return []string{name}
	}
	return nil
}

// styles are the elements that say what a style says.
func styles(style string) (names []string) {
	for s := range strings.SplitSeq(strings.ToLower(style), ";") {
		property, value, _ := strings.Cut(s, ":")
		property, value = strings.TrimSpace(property), strings.TrimSpace(value)
		switch {
		case property == "font-weight" && (value == "bold" || value == "bolder" || value == "700"):
			names = append(names, "strong")
		case property == "font-style" && (value == "italic" || value == "oblique"):
			names = append(names, "em")
		case property == "text-decoration" && strings.Contains(value, "line-through"):
			names = append(names, "del")
		case property == "text-decoration" && strings.Contains(value, "underline"):
			names = append(names, "u")
		}
	}
	return names
}

// linkable tells whether a link may be followed.
func linkable(href string) bool {
	scheme, _, ok := strings.Cut(href, ":")
	return ok && slices.Contains([]string{"http", "https", "mailto", "xmpp"}, strings.ToLower(scheme))
}

// asXHTML makes XHTML (XEP-0071 section 6) of bridges.Markup.
var asXHTML = strings.NewReplacer(
	"<br>", "<br/>", "<hr>", "<br/>",
	"<b>", "<strong>", "</b>", "</strong>", "<i>", "<em>", "</i>", "</em>",
	"<del>", "<span style='text-decoration: line-through'>", "</del>", "</span>",
	"<s>", "<span style='text-decoration: line-through'>", "</s>", "</span>",
	"<u>", "<span style='text-decoration: underline'>", "</u>", "</span>",
)

// appendLooks writes the looks of a message, given in bridges.Markup. What is none
// is left out as a whole.
func appendLooks(o *component.Out, looks string) {
	o.Start(xep.NSXHTML, "html").AppendChildren([]byte("<body xmlns='" + xep.NSXHTMLBody + "'>" + asXHTML.Replace(looks) + "</body>")).End()
}

package xmpptest

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Node is an element as the server read it.
type Node struct {
	Name     xml.Name
	Attrs    []xml.Attr // without namespace declarations, sorted by name
	Text     string     // its own character data, joined
	Children []*Node
}

// ParseXML parses one element. Its namespace is that of a component's stream
// unless it declares another.
func ParseXML(s string) (*Node, error) {
	d := xml.NewDecoder(strings.NewReader(s))
	d.DefaultSpace = nsComponent
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("parsing %q: %w", s, err)
		}
		if start, ok := t.(xml.StartElement); ok {
			return readNode(d, start)
		}
	}
}

// readNode reads the rest of an element.
func readNode(d *xml.Decoder, start xml.StartElement) (*Node, error) {
	n := &Node{Name: start.Name}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			n.Attrs = append(n.Attrs, a)
		}
	}
	slices.SortFunc(n.Attrs, func(a, b xml.Attr) int {
		return strings.Compare(a.Name.Space+a.Name.Local, b.Name.Space+b.Name.Local)
	})
	for {
		t, err := d.Token()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			c, err := readNode(d, t)
			if err != nil {
				return nil, err
			}
			n.Children = append(n.Children, c)
		case xml.CharData:
			n.Text += string(t)
		case xml.EndElement:
			return n, nil
		default:
			return nil, fmt.Errorf("the component sent %T, which XMPP forbids", t)
		}
	}
}

// Attr returns an attribute's value, "" when it is not there. "xml:lang" is
// understood.
func (n *Node) Attr(name string) string {
	v, _ := n.attr(name)
	return v
}

func (n *Node) attr(name string) (string, bool) {
	space := ""
	if local, ok := strings.CutPrefix(name, "xml:"); ok {
		space, name = "http://www.w3.org/XML/1998/namespace", local
	}
	for _, a := range n.Attrs {
		if a.Name.Local == name && (a.Name.Space == space || (space != "" && a.Name.Space == "xml")) {
			return a.Value, true
		}
	}
	return "", false
}

// Child returns the first child with this namespace and name, or nil; "" stands
// for any namespace.
func (n *Node) Child(space, name string) *Node {
	for _, c := range n.Children {
		if c.Name.Local == name && (space == "" || c.Name.Space == space) {
			return c
		}
	}
	return nil
}

// String returns the element as XML, its namespaces written where they change.
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b, nsComponent)
	return b.String()
}

func (n *Node) write(b *strings.Builder, space string) {
	b.WriteString("<" + n.Name.Local)
	if n.Name.Space != space {
		fmt.Fprintf(b, " xmlns=%q", n.Name.Space)
	}
	for _, a := range n.Attrs {
		name := a.Name.Local
		if a.Name.Space != "" {
			name = "xml:" + name
		}
		b.WriteString(" " + name + `="` + escape(a.Value) + `"`)
	}
	if n.Text == "" && len(n.Children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteString(">" + escape(n.Text))
	for _, c := range n.Children {
		c.write(b, n.Name.Space)
	}
	b.WriteString("</" + n.Name.Local + ">")
}

// Escape escapes text for use in XML that a test sends.
func Escape(s string) string { return escape(s) }

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// diff compares an element with what a test wants and returns the first
// difference, or "". In want the value "*" of an attribute or of a text stands
// for any that is not empty, and text of nothing but space is not looked at.
func diff(got, want *Node) string {
	if got.Name != want.Name {
		return fmt.Sprintf("got <%s xmlns=%q>, want <%s xmlns=%q>", got.Name.Local, got.Name.Space, want.Name.Local, want.Name.Space)
	}
	at := "in <" + got.Name.Local + ">: "
	for _, w := range want.Attrs {
		i := slices.IndexFunc(got.Attrs, func(g xml.Attr) bool { return g.Name == w.Name })
		if i < 0 {
			return at + "no attribute " + w.Name.Local
		}
		if g := got.Attrs[i].Value; !like(g, w.Value) {
			return fmt.Sprintf("%sattribute %s is %q, want %q", at, w.Name.Local, g, w.Value)
		}
	}
	if len(got.Attrs) != len(want.Attrs) {
		return at + "more attributes than wanted"
	}
	if g, w := got.Text, want.Text; !like(g, w) && (strings.TrimSpace(g) != "" || strings.TrimSpace(w) != "") {
		return fmt.Sprintf("%stext is %q, want %q", at, g, w)
	}
	if len(got.Children) != len(want.Children) {
		return fmt.Sprintf("%s%d children, want %d", at, len(got.Children), len(want.Children))
	}
	for i := range want.Children {
		if d := diff(got.Children[i], want.Children[i]); d != "" {
			return at + d
		}
	}
	return ""
}

func like(got, want string) bool { return got == want || (want == "*" && got != "") }

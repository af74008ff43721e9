package testenv

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Node is an XML element: namespaces resolved, attributes by local name.
type Node struct {
	Space, Name string
	Attrs       []xml.Attr
	Children    []*Node
	Text        string // character data directly inside
}

// ParseNode reads one element.
func ParseNode(text string) (*Node, error) {
	return readNode(xml.NewDecoder(strings.NewReader(text)))
}

// readNode reads the next element of a document, or of a stream that is open.
func readNode(d *xml.Decoder) (*Node, error) {
	var stack []*Node
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			n := &Node{Space: t.Name.Space, Name: t.Name.Local, Attrs: t.Copy().Attr}
			if len(stack) > 0 {
				parent := stack[len(stack)-1]
				parent.Children = append(parent.Children, n)
			}
			stack = append(stack, n)
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].Text += string(t)
			}
		case xml.EndElement:
			if len(stack) == 0 {
				return nil, io.EOF
			}
			if len(stack) == 1 {
				return stack[0], nil
			}
			stack = stack[:len(stack)-1]
		}
	}
}

// Attr is an attribute's value, "" when it is absent.
func (n *Node) Attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.Attrs {
		if a.Name.Local == name && a.Name.Space != "xmlns" {
			return a.Value
		}
	}
	return ""
}

// Child is the first child of that name, in any namespace when space is "".
func (n *Node) Child(space, name string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Name == name && (space == "" || c.Space == space) {
			return c
		}
	}
	return nil
}

// All are the descendants of that name, in document order.
func (n *Node) All(name string) []*Node {
	if n == nil {
		return nil
	}
	var found []*Node
	for _, c := range n.Children {
		if c.Name == name {
			found = append(found, c)
		}
		found = append(found, c.All(name)...)
	}
	return found
}

// First is the first descendant of that name, or nil.
func (n *Node) First(name string) *Node {
	if all := n.All(name); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Content is the character data, "" for no node.
func (n *Node) Content() string {
	if n == nil {
		return ""
	}
	return n.Text
}

// String shows the element, for messages to people.
func (n *Node) String() string {
	if n == nil {
		return "<nothing/>"
	}
	var b strings.Builder
	n.write(&b, "")
	return b.String()
}

func (n *Node) write(b *strings.Builder, parent string) {
	b.WriteString("<" + n.Name)
	if n.Space != parent {
		fmt.Fprintf(b, " xmlns=%q", n.Space)
	}
	for _, a := range n.Attrs {
		if a.Name.Local != "xmlns" && a.Name.Space != "xmlns" {
			fmt.Fprintf(b, " %s=%q", a.Name.Local, a.Value)
		}
	}
	if n.Text == "" && len(n.Children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteString(">")
	// Written for people and never read again, so only the sign that would
	// make the markup unreadable is escaped.
	b.WriteString(strings.ReplaceAll(n.Text, "<", "&lt;"))
	for _, c := range n.Children {
		c.write(b, n.Space)
	}
	b.WriteString("</" + n.Name + ">")
}

// Stanza is a received stanza. Seq counts what one client received, from 1.
type Stanza struct {
	*Node
	At  time.Time
	Seq int
}

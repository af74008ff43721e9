package xmpptest

import (
	"strings"
	"time"
)

// Next waits for what the component sends next.
func (c *Conn) Next() *Node {
	c.s.t.Helper()
	n, ok := c.TryNext(c.s.Patience)
	if !ok {
		select {
		case _, open := <-c.nodes:
			if !open {
				c.fatalf("the component's stream ended: %v", c.err)
			}
		default:
		}
		c.fatalf("the component sent nothing within %v", c.s.Patience)
	}
	return n
}

// TryNext waits for d at most.
func (c *Conn) TryNext(d time.Duration) (*Node, bool) {
	select {
	case n, ok := <-c.nodes:
		return n, ok
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case n, ok := <-c.nodes:
		return n, ok
	case <-timer.C:
		return nil, false
	}
}

// Expect waits for the next stanza, which must fit all the paths (see [Node.Match]),
// and returns it.
func (c *Conn) Expect(paths ...string) *Node {
	c.s.t.Helper()
	n := c.Next()
	for _, p := range paths {
		if !c.matches(n, p) {
			c.fatalf("got %v\nwhich does not fit %s", n, p)
		}
	}
	return n
}

func (c *Conn) matches(n *Node, path string) bool {
	c.s.t.Helper()
	ok, err := n.Match(path)
	if err != nil {
		c.fatalf("%v", err)
	}
	return ok
}

// ExpectFunc waits for the next stanza, for which f must return "", and returns
// it. Anything else f returns says what is wrong.
func (c *Conn) ExpectFunc(f func(*Node) string) *Node {
	c.s.t.Helper()
	n := c.Next()
	if wrong := f(n); wrong != "" {
		c.fatalf("got %v\n%s", n, wrong)
	}
	return n
}

// ExpectXML waits for the next stanza, which must be the same tree as want. In
// want "*" as the value of an attribute or as text stands for any that is not
// empty.
func (c *Conn) ExpectXML(want string) *Node {
	c.s.t.Helper()
	n := c.Next()
	if d := diff(n, c.parse(want)); d != "" {
		c.fatalf("got %v\nwant %s\n%s", n, strings.TrimSpace(want), d)
	}
	return n
}

func (c *Conn) parse(x string) *Node {
	c.s.t.Helper()
	n, err := ParseXML(x)
	if err != nil {
		c.fatalf("%v", err)
	}
	return n
}

// Unordered waits for as many stanzas as there are arguments, in any order, each
// of which must fit another one: a path, or XML when it begins with "<". They
// are returned in the order of the arguments.
func (c *Conn) Unordered(wants ...string) []*Node {
	c.s.t.Helper()
	found := make([]*Node, len(wants))
	for range wants {
		n := c.Next()
		i := 0
		for ; i < len(wants); i++ {
			if found[i] == nil && c.fits(n, wants[i]) {
				found[i] = n
				break
			}
		}
		if i == len(wants) {
			c.fatalf("got %v\nwhich fits none of\n%s", n, strings.Join(wants, "\n"))
		}
	}
	return found
}

func (c *Conn) fits(n *Node, want string) bool {
	c.s.t.Helper()
	if strings.HasPrefix(strings.TrimSpace(want), "<") {
		return diff(n, c.parse(want)) == ""
	}
	return c.matches(n, want)
}

// Until throws stanzas away until one fits the path, and returns it with those
// before it.
func (c *Conn) Until(path string) (found *Node, before []*Node) {
	c.s.t.Helper()
	for {
		n := c.Next()
		if c.matches(n, path) {
			return n, before
		}
		before = append(before, n)
	}
}

// ExpectEnd waits for the component to end its stream with the end tag. Stanzas
// before it fail the test.
func (c *Conn) ExpectEnd() {
	c.s.t.Helper()
	if n, ok := c.TryNext(c.s.Patience); ok {
		c.fatalf("got %v, want the end of the stream", n)
	}
	if !c.over() || !c.ended {
		c.fatalf("the component did not end its stream: %v", c.reason())
	}
}

// ExpectGone waits for the connection's end, polite or not. Stanzas before it
// are thrown away.
func (c *Conn) ExpectGone() {
	c.s.t.Helper()
	deadline := time.Now().Add(c.s.Patience)
	for {
		if _, ok := c.TryNext(time.Until(deadline)); !ok {
			break
		}
	}
	if !c.over() {
		c.fatalf("the component is still connected")
	}
}

// over reports whether nothing more can come.
func (c *Conn) over() bool {
	select {
	case _, open := <-c.nodes:
		return !open
	default:
		return false
	}
}

func (c *Conn) reason() error {
	if c.over() {
		return c.err
	}
	return nil
}

package xmpptest

import (
	"fmt"
	"strings"
)

// A path describes an element and what it must hold, in the manner of XPath:
//
//	message[@type='groupchat'][@from='#c%irc@gw/nick']/body[text()='hi']
//	presence[@to='a@b/c']/{http://jabber.org/protocol/muc#user}x/status[@code='110']
//	iq[@type='result'][not(query)]
//
// The first step is the stanza itself. A name without {namespace} matches in any
// namespace, * matches any name. Predicates: [@name], [@name='value'], [text()],
// [text()='value'], [path], and [not(…)] around any of these.
type path []step

type step struct {
	space, name string // "" and "*": any
	preds       []predicate
}

type predicate struct {
	not        bool
	attr       string
	text       bool
	hasValue   bool
	value      string
	descendant path
}

// Match reports whether an element fits a path. The error is a mistake in the
// path.
func (n *Node) Match(expr string) (bool, error) {
	p, err := parsePath(expr)
	if err != nil {
		return false, err
	}
	return len(p.find([]*Node{n})) > 0, nil
}

// Find returns what the last step of a path matches, or nil. A mistake in the
// path matches nothing.
func (n *Node) Find(expr string) *Node {
	p, err := parsePath(expr)
	if err != nil {
		return nil
	}
	if found := p.find([]*Node{n}); len(found) > 0 {
		return found[0]
	}
	return nil
}

// find returns what the path leads to from the candidates for its first step.
func (p path) find(nodes []*Node) []*Node {
	for i, s := range p {
		var fit, next []*Node
		for _, n := range nodes {
			if s.fits(n) {
				fit = append(fit, n)
				next = append(next, n.Children...)
			}
		}
		if i == len(p)-1 {
			return fit
		}
		nodes = next
	}
	return nil
}

func (s step) fits(n *Node) bool {
	if (s.name != "*" && s.name != n.Name.Local) || (s.space != "" && s.space != n.Name.Space) {
		return false
	}
	for _, p := range s.preds {
		if p.holds(n) == p.not {
			return false
		}
	}
	return true
}

func (p predicate) holds(n *Node) bool {
	switch {
	case p.attr != "":
		v, ok := n.attr(p.attr)
		return ok && (!p.hasValue || v == p.value)
	case p.text:
		return (p.hasValue && n.Text == p.value) || (!p.hasValue && n.Text != "")
	}
	return len(p.descendant.find(n.Children)) > 0
}

// parsePath reads a path.
func parsePath(expr string) (path, error) {
	var p path
	rest := strings.TrimPrefix(expr, "/")
	for {
		var s step
		var err error
		if s, rest, err = parseStep(rest); err != nil {
			return nil, fmt.Errorf("path %q: %w", expr, err)
		}
		p = append(p, s)
		if rest == "" {
			return p, nil
		}
		if rest[0] != '/' {
			return nil, fmt.Errorf("path %q: %q is not understood", expr, rest)
		}
		rest = rest[1:]
	}
}

func parseStep(s string) (step, string, error) {
	var st step
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return st, "", fmt.Errorf("no } after %q", s)
		}
		st.space, s = s[1:end], s[end+1:]
	}
	end := strings.IndexAny(s, "/[")
	if end < 0 {
		end = len(s)
	}
	if st.name, s = s[:end], s[end:]; st.name == "" || strings.ContainsAny(st.name, " ]@='\"()") {
		return st, "", fmt.Errorf("%q is no name", st.name)
	}
	for strings.HasPrefix(s, "[") {
		end := closing(s)
		if end < 0 {
			return st, "", fmt.Errorf("no ] after %q", s)
		}
		p, err := parsePredicate(s[1:end])
		if err != nil {
			return st, "", err
		}
		st.preds = append(st.preds, p)
		s = s[end+1:]
	}
	return st, s, nil
}

// closing returns where the bracket s begins with is closed, quotes regarded.
func closing(s string) int {
	depth, quote := 0, byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func parsePredicate(s string) (predicate, error) {
	var p predicate
	if inner, ok := strings.CutPrefix(s, "not("); ok && strings.HasSuffix(inner, ")") {
		p, err := parsePredicate(inner[:len(inner)-1])
		p.not = !p.not
		return p, err
	}
	subject, value, hasValue := strings.Cut(s, "=")
	switch {
	case strings.HasPrefix(s, "@"):
		p.attr = subject[1:]
	case subject == "text()":
		p.text = true
	default:
		var err error
		p.descendant, err = parsePath(s)
		return p, err
	}
	if p.hasValue = hasValue; hasValue {
		if len(value) < 2 || value[0] != value[len(value)-1] || (value[0] != '\'' && value[0] != '"') {
			return p, fmt.Errorf("%q is not quoted", value)
		}
		p.value = value[1 : len(value)-1]
	}
	return p, nil
}

package matrix

import (
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds on what is taken of HTML and made of it. An event has 65,536 bytes; what is
// more comes from a server that keeps no rule.
const (
	maxHTMLInput  = 1 << 17 // bytes
	maxHTMLDepth  = 64      // elements within one another
	maxHTMLNodes  = 1 << 14 // elements and pieces of text
	maxHTMLOutput = 1 << 16 // bytes
	maxURL        = 2048    // bytes
)

// node is an element, or a piece of text where tag is empty.
type node struct {
	tag   atom.Atom
	text  string
	attr  map[string]string // those in keptAttributes
	kids  []*node
	block bool // there is a block within
}

// keptAttributes are the attributes anything is made of.
var keptAttributes = map[string]bool{
	"href": true, "class": true, "alt": true, "title": true, "start": true, "data-mx-spoiler": true,
}

// Kinds of element, by what becomes of them.
var (
	voids = []atom.Atom{
		atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta,
		atom.Param, atom.Source, atom.Track, atom.Wbr,
	}
	blocks = []atom.Atom{
		atom.Address, atom.Article, atom.Blockquote, atom.Caption, atom.Dd, atom.Details, atom.Div, atom.Dl, atom.Dt,
		atom.Figure, atom.Footer, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header, atom.Hr, atom.Li,
		atom.Main, atom.Nav, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Summary, atom.Table, atom.Tbody, atom.Td,
		atom.Tfoot, atom.Th, atom.Thead, atom.Tr, atom.Ul,
	}
	// silent elements go with all that is in them. What is in the raw ones is not HTML.
	silent = []string{
		"mx-reply", "script", "style", "title", "textarea", "iframe", "noembed", "noframes", "noscript", "plaintext",
		"xmp", "template", "object", "select", "svg", "math", "head",
	}
)

// closing tells which open elements a start tag ends, and those it looks no further
// than, since HTML lets people leave end tags out.
type closing struct{ ends, within []atom.Atom }

var closings = func() map[atom.Atom]closing {
	m := map[atom.Atom]closing{
		atom.Li: {[]atom.Atom{atom.Li, atom.P}, []atom.Atom{atom.Ul, atom.Ol}},
		atom.Tr: {[]atom.Atom{atom.Tr, atom.Td, atom.Th, atom.P}, []atom.Atom{atom.Table}},
		atom.Td: {[]atom.Atom{atom.Td, atom.Th, atom.P}, []atom.Atom{atom.Table, atom.Tr}},
		atom.Dd: {[]atom.Atom{atom.Dd, atom.Dt, atom.P}, []atom.Atom{atom.Dl}},
	}
	m[atom.Th], m[atom.Dt] = m[atom.Td], m[atom.Dd]
	for _, b := range blocks {
		if _, ok := m[b]; !ok {
			m[b] = closing{[]atom.Atom{atom.P}, containers}
		}
	}
	return m
}()

// containers hold blocks of their own: an end tag of something inline does not reach
// beyond the one it stands in.
var containers = []atom.Atom{atom.Blockquote, atom.Li, atom.Td, atom.Th, atom.Div, atom.Dd, atom.Details, atom.Pre}

// htmlParser builds the tree. The tokenizer reads in one pass; each token costs at
// most the depth of the tree.
type htmlParser struct {
	stack  []*node
	over   int // open elements beyond the depth, which are not in the stack
	nodes  int
	silent string // the silent element that is open
	nested int    // how often, within itself
}

// parseHTML reads HTML as people's clients write it, and as those write it who mean
// harm. It never fails.
func parseHTML(s string) *node {
	p := &htmlParser{stack: []*node{{tag: atom.Div}}}
	z := html.NewTokenizer(strings.NewReader(cutBytes(s, maxHTMLInput)))
	for p.nodes < maxHTMLNodes {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			return p.stack[0]
		case html.TextToken:
			if p.silent == "" {
				p.add(&node{text: cleanText(string(z.Text()))})
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			p.start(string(name), kind == html.SelfClosingTagToken, z, more)
		case html.EndTagToken:
			name, _ := z.TagName()
			p.end(string(name))
		}
	}
	return p.stack[0]
}

func (p *htmlParser) top() *node { return p.stack[len(p.stack)-1] }

func (p *htmlParser) add(n *node) {
	p.nodes++
	p.top().kids = append(p.top().kids, n)
}

func (p *htmlParser) start(name string, closed bool, z *html.Tokenizer, more bool) {
	switch {
	case p.silent == name:
		p.nested++
		return
	case p.silent != "":
		return
	case slices.Contains(silent, name):
		p.silent, p.nested = name, 1
		return
	}
	n := &node{tag: atom.Lookup([]byte(name))}
	if n.tag == 0 {
		n.tag = atom.Span // unknown: only what is in it counts
	}
	for i := 0; more && i < 32; i++ {
		var key, value []byte
		key, value, more = z.TagAttr()
		if k := string(key); keptAttributes[k] {
			if n.attr == nil {
				n.attr = map[string]string{}
			}
			if _, twice := n.attr[k]; !twice {
				n.attr[k] = cleanText(string(value))
			}
		}
	}
	if c, ok := closings[n.tag]; ok {
		p.closeImplied(c)
	}
	if slices.Contains(blocks, n.tag) {
		for _, open := range p.stack {
			open.block = true
		}
	}
	if closed || slices.Contains(voids, n.tag) {
		p.add(n)
		return
	}
	if len(p.stack) >= maxHTMLDepth {
		p.over++
		return
	}
	p.add(n)
	p.stack = append(p.stack, n)
}

func (p *htmlParser) closeImplied(c closing) {
	cut := 0
	for i := len(p.stack) - 1; i > 0 && !slices.Contains(c.within, p.stack[i].tag); i-- {
		if slices.Contains(c.ends, p.stack[i].tag) {
			cut = i
		}
	}
	if cut > 0 {
		p.stack = p.stack[:cut]
	}
}

func (p *htmlParser) end(name string) {
	if p.silent != "" {
		if p.silent == name {
			if p.nested--; p.nested == 0 {
				p.silent = ""
			}
		}
		return
	}
	if p.over > 0 {
		p.over--
		return
	}
	tag := atom.Lookup([]byte(name))
	if tag == 0 {
		tag = atom.Span
	}
	inline := !slices.Contains(blocks, tag)
	for i := len(p.stack) - 1; i > 0; i-- {
		if p.stack[i].tag == tag {
			p.stack = p.stack[:i]
			return
		}
		if inline && slices.Contains(containers, p.stack[i].tag) {
			return
		}
	}
}

// inline tells that an element is part of a line of text.
func (n *node) inline() bool {
	return n.tag == 0 || !n.block && !slices.Contains(blocks, n.tag)
}

// blank tells of text that only lays out the source.
func (n *node) blank() bool { return n.tag == 0 && strings.Trim(n.text, " \t\n\r\f") == "" }

// raw is all text within, as it stands.
func (n *node) raw() string {
	var b strings.Builder
	n.appendRaw(&b)
	return b.String()
}

func (n *node) appendRaw(b *strings.Builder) {
	if n.tag == atom.Br {
		b.WriteByte('\n')
	}
	b.WriteString(n.text)
	for _, k := range n.kids {
		k.appendRaw(b)
	}
}

// language is what a block of code is written in, as its class says.
func (n *node) language() string {
	for class := range strings.FieldsSeq(n.attr["class"]) {
		if lang, ok := strings.CutPrefix(class, "language-"); ok && lang != "" && len(lang) <= 32 &&
			!strings.ContainsFunc(lang, func(r rune) bool {
				return r >= 0x80 || !isBase64URL(byte(r)) && r != '+' && r != '#' && r != '.'
			}) {
			return lang
		}
	}
	return ""
}

// target is where a link leads, if it is a kind of address that may be shown.
func (n *node) target() string {
	href := strings.TrimSpace(n.attr["href"])
	if href == "" || len(href) > maxURL || strings.ContainsAny(href, " \t\n\r\"<>") {
		return ""
	}
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" {
			return ""
		}
	case "mailto":
		if u.Opaque == "" {
			return ""
		}
	default:
		return ""
	}
	return href
}

// mentioned is the user a link stands for; empty: none.
func (n *node) mentioned() string {
	if l, ok := readLink(n.attr["href"]); ok && l.ID[0] == '@' {
		if id, err := checkID(l.ID); err == nil {
			return id
		}
	}
	return ""
}

// label is what stands for a picture: clients give one to their own emoji too.
func (n *node) label() string {
	for _, key := range []string{"alt", "title"} {
		if text := strings.TrimSpace(n.attr[key]); text != "" {
			return text
		}
	}
	return "[picture]"
}

// spoiler is what stands before text that is to be hidden until it is asked for;
// empty: it is not.
func (n *node) spoiler() string {
	reason, ok := n.attr["data-mx-spoiler"]
	switch reason = strings.Join(strings.Fields(reason), " "); {
	case !ok:
		return ""
	case reason == "":
		return "[spoiler] "
	}
	return "[spoiler: " + reason + "] "
}

// cleanText is s without what XML 1.0 (section 2.2) cannot carry.
func cleanText(s string) string {
	if !strings.ContainsFunc(s, noXML) {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.Map(func(r rune) rune {
		if noXML(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func noXML(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' || r == 0x7f || r == 0xFFFE || r == 0xFFFF
}

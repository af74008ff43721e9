package matrix

import (
	"html"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
	"maunium.net/go/mautrix/id"
)

// markupTags are the elements that are kept, and what they are called then: those of
// bridges.Markup.
var markupTags = map[atom.Atom]string{
	atom.A: "a", atom.B: "b", atom.Blockquote: "blockquote", atom.Br: "br", atom.Code: "code", atom.Del: "del",
	atom.Em: "em", atom.H1: "h1", atom.H2: "h2", atom.H3: "h3", atom.H4: "h4", atom.H5: "h5", atom.H6: "h6",
	atom.Hr: "hr", atom.I: "i", atom.Li: "li", atom.Ol: "ol", atom.P: "p", atom.Pre: "pre", atom.S: "s",
	atom.Strike: "s", atom.Strong: "strong", atom.Tt: "code", atom.U: "u", atom.Ul: "ul",
}

// htmlMarkup is HTML reduced to bridges.Markup: well-formed, at most maxHTMLOutput
// bytes. It is empty where that looks as plain text does.
func htmlMarkup(s string) string { return treeMarkup(parseHTML(s)) }

func treeMarkup(root *node) string {
	w := &markupWriter{}
	w.kids(root, place{})
	if !w.looks {
		return ""
	}
	return strings.TrimSpace(string(w.b))
}

// mention is somebody named in a message, and the text that stands for them there.
type mention struct {
	User id.UserID
	Text string
}

// formattedBody is bridges.Markup as the formatted_body of a message, with links to
// the people it mentions.
func formattedBody(markup string, mentions []mention) string {
	w := &markupWriter{mentions: longestFirst(mentions)}
	w.kids(parseHTML(markup), place{})
	return strings.TrimSpace(string(w.b))
}

// formattedText is plain text as a formatted_body, with links to the people it
// mentions; empty: none of them is found in it, and plain text does.
func formattedText(text string, mentions []mention) string {
	w := &markupWriter{mentions: longestFirst(mentions)}
	for i, l := range strings.Split(cleanText(text), "\n") {
		if i > 0 {
			w.write("<br>")
		}
		w.text(l, place{exact: true})
	}
	if !w.looks {
		return ""
	}
	return string(w.b)
}

func longestFirst(mentions []mention) []mention {
	out := slices.DeleteFunc(slices.Clone(mentions), func(m mention) bool { return m.Text == "" || m.User == "" })
	slices.SortStableFunc(out, func(a, b mention) int { return len(b.Text) - len(a.Text) })
	return out
}

// place is where an element stands, as far as it decides what may stand there.
type place struct {
	list  bool // of a list: only items
	line  bool // in a paragraph or heading: no blocks
	link  bool // in a link: no other
	code  bool // in code: only text
	exact bool // white space counts
	quiet bool // names are not made links
}

// markupWriter writes the tree. What is open is always closed, so the bound is on
// what goes between.
type markupWriter struct {
	b        []byte
	mentions []mention
	looks    bool // something was written that plain text does not show
	full     bool
}

// write appends s unless it would be too much; then nothing follows.
func (w *markupWriter) write(s string) bool {
	const tags = maxHTMLDepth * len("</blockquote>") // still to be closed
	if w.full || len(w.b)+len(s) > maxHTMLOutput-tags {
		w.full = true
		return false
	}
	w.b = append(w.b, s...)
	return true
}

func (w *markupWriter) kids(n *node, p place) {
	for _, k := range n.kids {
		if w.full {
			return
		}
		if k.blank() && !p.exact && (n.block || p.list) {
			if strings.Contains(k.text, "\n") || p.list {
				continue // between blocks
			}
		}
		if p.list && k.tag != atom.Li {
			p := p
			p.list = false
			w.element("li", "", &node{kids: []*node{k}, block: k.block}, p)
			continue
		}
		w.node(k, p)
	}
}

func (w *markupWriter) node(n *node, p place) {
	switch n.tag {
	case 0:
		w.text(n.text, p)
		return
	case atom.Img:
		w.text(n.label(), p)
		return
	case atom.Table:
		w.rows(n, p)
		return
	}
	if s := n.spoiler(); s != "" {
		w.text(s, p)
	}
	tag := markupTags[n.tag]
	isBlock := slices.Contains(blocks, n.tag)
	switch {
	case n.tag == atom.Br:
		if p.exact {
			w.write("\n")
			return
		}
		w.write("<br>")
	case n.tag == atom.Hr:
		if !p.line && !p.code {
			w.looks = w.write("<hr>") || w.looks
		}
	case p.code, isBlock && p.line:
		w.kids(n, p)
	case n.tag == atom.A:
		w.link(n, p)
	case n.tag == atom.Li:
		if p.list {
			p.list = false
			w.element("li", "", n, p)
			return
		}
		w.paragraph(n, p)
	case tag == "" && isBlock:
		w.paragraph(n, p)
	case tag == "", !isBlock && n.block:
		w.kids(n, p) // a mark around blocks is not taken apart
	default:
		w.known(tag, n, p)
	}
}

// known writes an element that is kept.
func (w *markupWriter) known(tag string, n *node, p place) {
	attr := ""
	switch n.tag {
	case atom.P:
		w.paragraph(n, p)
		return
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		p.line = true
	case atom.Ul, atom.Ol:
		p.list = true
	case atom.Pre:
		if p.exact { // in another one
			w.kids(n, p)
			return
		}
		w.pre(n, p)
		return
	case atom.Code, atom.Tt:
		p.code, p.quiet = true, true
		if lang := n.language(); lang != "" {
			attr = ` class="language-` + lang + `"`
		}
	}
	w.element(tag, attr, n, p)
}

// pre writes a block of code; what is in it is text, and code or none around it.
func (w *markupWriter) pre(n *node, p place) {
	p.exact, p.quiet = true, true
	if !slices.ContainsFunc(n.kids, func(k *node) bool { return k.tag == atom.Code }) {
		p.code = true
	}
	w.element("pre", "", n, p)
}

// paragraph writes a block that has no name of its own: as a paragraph if it is one.
func (w *markupWriter) paragraph(n *node, p place) {
	if n.block {
		w.kids(n, p)
		return
	}
	p.line = true
	w.element("p", "", n, p)
}

// element writes an element with what is in it; nothing where nothing is in it.
func (w *markupWriter) element(tag, attr string, n *node, p place) {
	start := len(w.b)
	if !w.write("<" + tag + attr + ">") {
		return
	}
	inner := len(w.b)
	w.kids(n, p)
	if len(w.b) == inner {
		w.b = w.b[:start]
		return
	}
	w.b = append(append(append(w.b, "</"...), tag...), '>')
	if tag != "p" {
		w.looks = true
	}
}

func (w *markupWriter) link(n *node, p place) {
	target := n.target()
	if n.block || target == "" || p.link || n.mentioned() != "" {
		if n.mentioned() != "" && strings.TrimSpace(n.raw()) == "" {
			w.text(n.mentioned(), p)
			return
		}
		w.kids(n, p)
		return
	}
	p.link, p.quiet = true, true
	if strings.TrimSpace(n.raw()) == "" && len(n.kids) == 0 {
		n = &node{kids: []*node{{text: target}}}
	}
	w.element("a", ` href="`+html.EscapeString(target)+`"`, n, p)
}

// rows writes each row of a table as a paragraph.
func (w *markupWriter) rows(n *node, p place) {
	for _, k := range n.kids {
		switch {
		case k.tag == atom.Tr:
			if text, _ := k.row(); text != "" {
				w.paragraph(&node{kids: []*node{{text: text}}}, p)
			}
		case len(k.kids) > 0:
			w.rows(k, p)
		}
	}
}

// text writes text, with links to whom it mentions.
func (w *markupWriter) text(s string, p place) {
	if !p.exact {
		s = collapse(s)
		if s != "" && s[0] == ' ' && (len(w.b) == 0 || w.b[len(w.b)-1] == ' ') {
			s = s[1:]
		}
	}
	mentions := w.mentions
	if p.quiet {
		mentions = nil
	}
	for s != "" && !w.full {
		at, length, user := findMention(s, mentions)
		w.escape(s[:at])
		if length == 0 {
			return
		}
		name := html.EscapeString(s[at : at+length])
		w.looks = w.write(`<a href="`+matrixTo(string(user))+`">`+name+`</a>`) || w.looks
		s = s[at+length:]
	}
}

// escape writes plain text, and as much of it as there is room for.
func (w *markupWriter) escape(s string) {
	for s != "" && !w.full {
		piece := cutBytes(s, 512)
		if piece == "" {
			return
		}
		w.write(html.EscapeString(piece))
		s = s[len(piece):]
	}
}

// collapse makes one space of all white space that stands together.
func collapse(s string) string {
	if !strings.ContainsAny(s, "\t\n") && !strings.Contains(s, "  ") {
		return s
	}
	out := strings.Join(strings.Fields(s), " ")
	if out == "" {
		return " "
	}
	if strings.IndexByte(" \t\n", s[0]) >= 0 {
		out = " " + out
	}
	if strings.IndexByte(" \t\n", s[len(s)-1]) >= 0 {
		out += " "
	}
	return out
}

// findMention finds the first place where the text names one of them, as a word; an @
// before it belongs to it. Length 0: there is none, and at is the end.
func findMention(s string, mentions []mention) (at, length int, user id.UserID) {
	at = len(s)
	for _, m := range mentions {
		for from := 0; from < at; {
			i := strings.Index(s[from:], m.Text)
			if i < 0 {
				break
			}
			i += from
			end := i + len(m.Text)
			from = end
			start := i
			if i > 0 && s[i-1] == '@' && m.Text[0] != '@' && wordEdge(s[:i-1], m.Text) {
				start--
			}
			if start < at && wordEdge(s[:start], s[start:]) && wordEdge(s[:end], s[end:]) {
				at, length, user = start, end-start, m.User
			}
		}
	}
	return at, length, user
}

// wordEdge tells whether no word runs from before to after.
func wordEdge(before, after string) bool {
	b, _ := utf8.DecodeLastRuneInString(before)
	a, _ := utf8.DecodeRuneInString(after)
	return before == "" || after == "" || !isWord(b) || !isWord(a)
}

func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r)
}

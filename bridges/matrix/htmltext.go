package matrix

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// maxPrefixes bounds how deep quotes and lists show in text; what is deeper stands
// where the last one does.
const maxPrefixes = 8

// htmlText is HTML as plain text, with the marks of XEP-0393 where they mean the same:
// *strong*, _emphasis_, ~strike~, `code`, ``` blocks and > quotes. It is at most
// maxHTMLOutput bytes and what follows.
func htmlText(s string) string { return treeText(parseHTML(s)) }

func treeText(root *node) string {
	w := &textWriter{}
	w.container(root)
	return strings.Trim(w.out.String(), "\n")
}

// blockKind is what stood before, as far as it decides about the space to what follows.
type blockKind uint8

const (
	nothing blockKind = iota
	line              // text between blocks, a list, a rule, a table, code
	paragraph
	quote
)

// textWriter writes lines under the prefixes of the quotes and lists they are in.
type textWriter struct {
	out      strings.Builder
	prefixes []*prefix
	last     blockKind
}

// prefix begins the lines of a quote or an item of a list.
type prefix struct {
	first, rest string
	used        bool
}

func (w *textWriter) full() bool { return w.out.Len() >= maxHTMLOutput }

// writeLine writes one line; only the first one of an item has its mark.
func (w *textWriter) writeLine(s string) {
	if w.full() {
		return
	}
	start := w.out.Len()
	if start > 0 {
		w.out.WriteByte('\n')
	}
	var b strings.Builder
	for _, p := range w.prefixes {
		if p.used {
			b.WriteString(p.rest)
		} else {
			b.WriteString(p.first)
			p.used = true
		}
	}
	b.WriteString(s)
	w.out.WriteString(cutBytes(strings.TrimRight(b.String(), " "), maxHTMLOutput))
}

// begin makes room before a block.
func (w *textWriter) begin(kind blockKind) {
	if w.last == kind && (kind == paragraph || kind == quote) {
		w.writeLine("")
	}
	w.last = kind
}

func (w *textWriter) lines(kind blockKind, text string) {
	text = strings.Trim(text, " \n")
	if text == "" {
		return
	}
	w.begin(kind)
	for l := range strings.SplitSeq(text, "\n") {
		w.writeLine(strings.TrimSpace(l))
	}
}

// within writes what is in a quote or an item.
func (w *textWriter) within(p *prefix, kind blockKind, n *node) {
	w.begin(kind)
	if len(w.prefixes) < maxPrefixes {
		w.prefixes = append(w.prefixes, p)
		defer func() { w.prefixes = w.prefixes[:len(w.prefixes)-1] }()
	}
	w.last = nothing
	w.container(n)
	w.last = kind
}

// container writes what may hold blocks; text between them is a line of its own.
func (w *textWriter) container(n *node) {
	if n.spoiler() != "" {
		w.lines(line, n.spoiler())
	}
	var run inlineText
	flush := func() {
		w.lines(line, run.String())
		run = inlineText{}
	}
	for _, k := range n.kids {
		if w.full() {
			return
		}
		if k.inline() {
			run.node(k)
			continue
		}
		flush()
		w.block(k)
	}
	flush()
}

func (w *textWriter) block(n *node) {
	switch n.tag {
	case atom.P:
		if n.block {
			w.container(n)
			return
		}
		w.lines(paragraph, inlineOf(n))
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		var run inlineText
		run.mark('*', n)
		w.lines(paragraph, strings.ReplaceAll(run.String(), "\n", " "))
	case atom.Blockquote:
		w.within(&prefix{first: "> ", rest: "> "}, quote, n)
	case atom.Ul, atom.Ol:
		w.list(n)
	case atom.Li: // outside a list
		w.within(&prefix{first: "- ", rest: "  "}, line, n)
	case atom.Pre:
		w.code(n)
	case atom.Hr:
		w.begin(line)
		w.writeLine("---")
	case atom.Table:
		w.begin(line)
		w.rows(n)
	default:
		w.container(n)
	}
}

func (w *textWriter) list(n *node) {
	number, err := strconv.Atoi(n.attr["start"])
	if err != nil || number < 0 || number > 1e9 {
		number = 1
	}
	for _, k := range n.kids {
		if k.blank() || w.full() {
			continue
		}
		p := &prefix{first: "- ", rest: "  "}
		if n.tag == atom.Ol {
			p.first = strconv.Itoa(number) + ". "
			p.rest = strings.Repeat(" ", len(p.first))
			number++
		}
		if k.tag == atom.Li {
			w.within(p, line, k)
			continue
		}
		w.within(p, line, &node{kids: []*node{k}, block: true})
	}
	w.last = line
}

// code writes a block as it stands.
func (w *textWriter) code(n *node) {
	text := strings.Trim(n.raw(), "\n")
	if strings.TrimSpace(text) == "" {
		return
	}
	language := n.language()
	for _, k := range n.kids {
		if k.tag == atom.Code && language == "" {
			language = k.language()
		}
	}
	w.begin(line)
	w.writeLine("```" + language)
	for l := range strings.SplitSeq(text, "\n") {
		w.writeLine(l)
	}
	w.writeLine("```")
}

// rows writes the rows of a table: cells side by side, a rule below the heads.
func (w *textWriter) rows(n *node) {
	for _, k := range n.kids {
		switch {
		case w.full():
			return
		case k.tag == atom.Tr:
			text, head := k.row()
			if text == "" {
				continue
			}
			w.writeLine(text)
			if head {
				w.writeLine("---")
			}
		case k.tag == atom.Caption:
			w.lines(line, inlineOf(k))
		case k.block:
			w.rows(k)
		}
	}
}

// row is the cells of a row side by side; head tells that they are all heads.
func (n *node) row() (text string, head bool) {
	var cells []string
	head = true
	for _, k := range n.kids {
		if k.tag != atom.Td && k.tag != atom.Th {
			continue
		}
		head = head && k.tag == atom.Th
		cells = append(cells, strings.Join(strings.Fields(inlineOf(k)), " "))
	}
	return strings.Trim(strings.Join(cells, " | "), " "), head && len(cells) > 0
}

// inlineOf is what is within an element, in one run.
func inlineOf(n *node) string {
	var run inlineText
	run.kids(n)
	return run.String()
}

// inlineText is a run of text: white space is one space, as browsers show it.
type inlineText struct {
	b     []byte
	space bool   // there is one before what comes
	open  []byte // marks within which the text stands
}

func (t *inlineText) String() string { return string(t.b) }

func (t *inlineText) node(n *node) {
	switch n.tag {
	case 0:
		t.text(n.text)
	case atom.Br:
		t.newline()
	case atom.B, atom.Strong:
		t.mark('*', n)
	case atom.I, atom.Em:
		t.mark('_', n)
	case atom.S, atom.Del, atom.Strike:
		t.mark('~', n)
	case atom.Code, atom.Tt:
		t.code(n)
	case atom.Img:
		t.text(n.label())
	case atom.A:
		t.link(n)
	case atom.Sup:
		t.text("^")
		t.kids(n)
	default:
		if s := n.spoiler(); s != "" {
			t.text(s)
		}
		if slices.Contains(blocks, n.tag) { // in a cell or a heading
			t.newline()
			t.kids(n)
			t.newline()
			return
		}
		t.kids(n)
	}
}

func (t *inlineText) kids(n *node) {
	for _, k := range n.kids {
		if len(t.b) > maxHTMLOutput {
			return
		}
		t.node(k)
	}
}

func (t *inlineText) newline() {
	t.space = false
	if len(t.b) > 0 {
		t.b = append(t.b, '\n')
	}
}

func (t *inlineText) text(s string) {
	for s != "" {
		i := strings.IndexAny(s, " \t\n")
		if i == 0 {
			t.space = true
			s = s[1:]
			continue
		}
		if i < 0 {
			i = len(s)
		}
		t.gap()
		t.b = append(t.b, s[:i]...)
		s = s[i:]
	}
}

// gap writes the space that is due.
func (t *inlineText) gap() {
	if t.space && len(t.b) > 0 && t.b[len(t.b)-1] != '\n' {
		t.b = append(t.b, ' ')
	}
	t.space = false
}

// mark writes what is within under a mark on each line, unless it is under that mark
// already or stands in the middle of a word, where it would be taken for itself.
func (t *inlineText) mark(c byte, n *node) {
	if slices.Contains(t.open, c) || !t.space && !leadingSpace(n) && t.inWord() {
		t.kids(n)
		return
	}
	sub := inlineText{open: append(slices.Clone(t.open), c)}
	sub.text(n.text)
	sub.kids(n)
	text := strings.Trim(string(sub.b), "\n")
	if text == "" {
		t.space = t.space || sub.space
		return
	}
	t.space = t.space || leadingSpace(n)
	t.gap()
	for i, l := range strings.Split(text, "\n") {
		if i > 0 {
			t.b = append(t.b, '\n')
		}
		if l = strings.TrimSpace(l); l != "" {
			t.b = append(append(append(t.b, c), l...), c)
		}
	}
	t.space = sub.space
}

// leadingSpace tells whether what is within begins with a space, which goes before
// a mark.
func leadingSpace(n *node) bool {
	for len(n.kids) > 0 {
		n = n.kids[0]
	}
	return n.text != "" && strings.IndexByte(" \t\n", n.text[0]) >= 0
}

// inWord tells whether the run ends in a letter or digit.
func (t *inlineText) inWord() bool {
	r, _ := utf8.DecodeLastRune(t.b)
	return len(t.b) > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

func (t *inlineText) code(n *node) {
	text := strings.Join(strings.Fields(n.raw()), " ")
	if text == "" {
		return
	}
	t.space = t.space || leadingSpace(n)
	t.gap()
	if strings.IndexByte(text, '`') < 0 && !slices.Contains(t.open, '`') {
		text = "`" + text + "`"
	}
	t.b = append(t.b, text...)
}

// link writes what stands for a link, and where it leads if that says something else.
// Of a mention the name is left.
func (t *inlineText) link(n *node) {
	target := n.target()
	sub := inlineText{open: t.open}
	sub.kids(n)
	text := strings.TrimSpace(string(sub.b))
	t.space = t.space || leadingSpace(n)
	if id := n.mentioned(); id != "" && text == "" {
		text = id
	}
	if text == "" {
		text, target = target, ""
	}
	if text == "" {
		return
	}
	t.gap()
	t.b = append(t.b, text...)
	if target != "" && !n.sameTarget(text, target) {
		t.b = append(append(append(t.b, " ("...), target...), ')')
	}
	t.space = sub.space
}

// sameTarget tells whether the text of a link says all of where it leads.
func (n *node) sameTarget(text, target string) bool {
	if l, ok := readLink(target); ok {
		return l.ID[0] == '@' || l.Event == "" && strings.EqualFold(text, l.ID)
	}
	for _, scheme := range []string{"https://", "http://", "mailto:"} {
		target, text = strings.TrimPrefix(target, scheme), strings.TrimPrefix(text, scheme)
	}
	return strings.TrimSuffix(target, "/") == strings.TrimSuffix(text, "/")
}

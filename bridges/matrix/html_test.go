package matrix

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"transportd/bridges"
)

// TestHTML has what comes in, and what is made of it: text, and markup where that says
// more.
func TestHTML(t *testing.T) {
	for _, c := range []struct{ html, text, markup string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"a &lt;b&gt; &amp; &quot;c&quot; &eacute;&#x1F600;", `a <b> & "c" é😀`, ""},
		{"one<br>two<br/>three", "one\ntwo\nthree", ""},
		{"  much \n\t space  ", "much space", ""},

		// Marks.
		{"<strong>bold</strong> <b>b</b>", "*bold* *b*", "<strong>bold</strong> <b>b</b>"},
		{"<em>it</em> and <i>i</i>", "_it_ and _i_", "<em>it</em> and <i>i</i>"},
		{"<del>gone</del> <s>s</s> <strike>st</strike>", "~gone~ ~s~ ~st~", "<del>gone</del> <s>s</s> <s>st</s>"},
		{"<u>under</u>", "under", "<u>under</u>"},
		{"<b><i>both</i></b>", "*_both_*", "<b><i>both</i></b>"},
		{"<b>a <b>b</b></b>", "*a b*", "<b>a <b>b</b></b>"},
		{"a<b> b </b>c", "a *b* c", "a<b> b </b>c"},
		{"un<b>believ</b>able", "unbelievable", "un<b>believ</b>able"},
		{"(<b>so</b>)", "(*so*)", "(<b>so</b>)"},
		{"<b>two<br>lines</b>", "*two*\n*lines*", "<b>two<br>lines</b>"},
		{"<b> </b>x<i></i>", "x", "<b> </b>x"},
		{"<code>a  b</code>", "`a b`", "<code>a b</code>"},
		{"<code>a`b</code>", "a`b", "<code>a`b</code>"},
		{"<code>&lt;<b>x</b></code>", "`<x`", "<code>&lt;x</code>"},
		{`<font color="red" data-mx-color="#ff0000">red</font>`, "red", ""},
		{"x<sup>2</sup>", "x^2", ""},

		// Blocks.
		{"<p>a</p><p>b</p>", "a\n\nb", ""},
		{"<p>a</p>\n<p><b>b</b></p>\n", "a\n\n*b*", "<p>a</p><p><b>b</b></p>"},
		{"<p>a<p>b", "a\n\nb", ""},
		{"<div>a</div><div>b</div>c", "a\nb\nc", ""},
		{"<h1>Title</h1><h3>Less</h3>text", "*Title*\n\n*Less*\ntext", "<h1>Title</h1><h3>Less</h3>text"},
		{"<blockquote>a<br>b</blockquote>c", "> a\n> b\nc", "<blockquote>a<br>b</blockquote>c"},
		{"<blockquote><p>a</p><blockquote>b</blockquote></blockquote>", "> a\n> > b", "<blockquote><p>a</p><blockquote>b</blockquote></blockquote>"},
		{"<blockquote>a</blockquote><blockquote>b</blockquote>", "> a\n\n> b", "<blockquote>a</blockquote><blockquote>b</blockquote>"},
		{"a<hr>b", "a\n---\nb", "a<hr>b"},
		{
			"<pre><code class=\"language-go hl\">func main() {\n\tx := 1 &lt; 2\n}\n</code></pre>",
			"```go\nfunc main() {\n\tx := 1 < 2\n}\n```",
			"<pre><code class=\"language-go\">func main() {\n\tx := 1 &lt; 2\n}\n</code></pre>",
		},
		{"<pre>a  b<br>c</pre>", "```\na  b\nc\n```", "<pre>a  b\nc</pre>"},
		{`<code class="language-<x">a</code>`, "`a`", "<code>a</code>"},

		// Lists.
		{"<ul><li>a</li><li>b</li></ul>", "- a\n- b", "<ul><li>a</li><li>b</li></ul>"},
		{"<ul>\n<li>a\n<li>b\n</ul>", "- a\n- b", "<ul><li>a </li><li>b </li></ul>"},
		{"<ol><li>a</li><li>b</li></ol>", "1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"},
		{`<ol start="9"><li>a</li><li><p>b</p><p>c</p></li></ol>`, "9. a\n10. b\n\n    c", "<ol><li>a</li><li><p>b</p><p>c</p></li></ol>"},
		{"<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"},
		{"<p>Buy:</p><ul><li>milk</li></ul><p>Now.</p>", "Buy:\n- milk\nNow.", "<p>Buy:</p><ul><li>milk</li></ul><p>Now.</p>"},
		{"<ul>x<b>y</b></ul>", "- x\n- *y*", "<ul><li>x</li><li><b>y</b></li></ul>"},
		{"<li>stray</li>", "- stray", ""},

		// Tables.
		{
			"<table><thead><tr><th>Name</th><th>Age</th></tr></thead><tbody><tr><td>Ann</td><td><b>7</b></td></tr></tbody></table>",
			"Name | Age\n---\nAnn | *7*", "",
		},
		{"<table><tr><td>a<td>b<tr><td>c</table>d", "a | b\nc\nd", ""},

		// Links and mentions.
		{`<a href="https://example.org/x">here</a>`, "here (https://example.org/x)", `<a href="https://example.org/x">here</a>`},
		{`<a href="https://example.org/">https://example.org</a>`, "https://example.org", `<a href="https://example.org/">https://example.org</a>`},
		{`<a href="mailto:a@example.org">a@example.org</a>`, "a@example.org", `<a href="mailto:a@example.org">a@example.org</a>`},
		{`<a href="https://e.example/?a=1&amp;b=%22'">x</a>`, "x (https://e.example/?a=1&b=%22')", `<a href="https://e.example/?a=1&amp;b=%22&#39;">x</a>`},
		{`<a href="https://e.example/&quot;&gt;">x</a>`, "x", ""},
		{`<a href="https://e.example/a"></a>`, "https://e.example/a", `<a href="https://e.example/a">https://e.example/a</a>`},
		{`<a href="https://e.example"><b>a</b> <a href="https://f.example">b</a></a>`, "*a* b (https://f.example) (https://e.example)", `<a href="https://e.example"><b>a</b> b</a>`},
		{`<a href="javascript:alert(1)">x</a>`, "x", ""},
		{`<a href=" java&#10;script:x">x</a>`, "x", ""},
		{`<a href="data:text/html,x">x</a>`, "x", ""},
		{`<a href="//example.org">x</a>`, "x", ""},
		{`<a href="https:x">x</a>`, "x", ""},
		{`<a>x</a>`, "x", ""},
		{`<a href="https://matrix.to/#/@alice:example.org">Alice</a>: hi`, "Alice: hi", ""},
		{`<a href="https://matrix.to/#/%40alice%3Aexample.org"></a>`, "@alice:example.org", ""},
		{`<a href="matrix:u/alice:example.org">Alice</a>`, "Alice", ""},
		{
			`<a href="https://matrix.to/#/#room:example.org">#room:example.org</a>`, "#room:example.org",
			`<a href="https://matrix.to/#/#room:example.org">#room:example.org</a>`,
		},
		{
			`<a href="https://matrix.to/#/!r:e.example/$ev?via=e.example">this</a>`, "this (https://matrix.to/#/!r:e.example/$ev?via=e.example)",
			`<a href="https://matrix.to/#/!r:e.example/$ev?via=e.example">this</a>`,
		},

		// What is special to Matrix.
		{"<mx-reply><blockquote>old</blockquote></mx-reply>new", "new", ""},
		{"<mx-reply>a<mx-reply>b</mx-reply>c</mx-reply>new", "new", ""},
		{"<mx-reply>never closed", "", ""},
		{`it was <span data-mx-spoiler>him</span>`, "it was [spoiler] him", ""},
		{`<span data-mx-spoiler="the  end">him</span>`, "[spoiler: the end] him", ""},
		{`<img src="mxc://e/x" alt=":cat:" data-mx-emoticon> <img title="dog"><img>`, ":cat: dog[picture]", ""},
		{"<details><summary>More</summary>text</details>", "More\ntext", ""},
		{`<span data-mx-maths="x^2"><code>x²</code></span>`, "`x²`", "<code>x²</code>"},

		// What is not to come through.
		{"a<script>alert('<b>')</script>b<style>b{}</style>c<!-- d -->e<?f?>", "abce", ""},
		{"<title>a</title><textarea>b</textarea><iframe>c</iframe><svg><text>d</text></svg>e", "e", ""},
		{"a\x00b\x1bc\uFFFEd\xffe", "abcd\uFFFDe", ""},
		{"a&#0;b&#1;&#x1b;c", "a\uFFFDbc", ""},
		{`<b onclick="x" style="y" class="z">a</b>`, "*a*", "<b>a</b>"},
		{"<b>a<i>b</b>c</i>", "*ab*c", "<b>a<i>b</i></b>c"},
		{"<b><p>x</p></b>y", "x\ny", ""},
		{"</b></p></ul>x", "x", ""},
		{"<b", "", ""},
		{"a<b", "a", ""},
		{"<unknown><custom-tag>x</custom-tag>", "x", ""},
	} {
		if got := htmlText(c.html); got != c.text {
			t.Errorf("text of %q:\n%q, want\n%q", c.html, got, c.text)
		}
		if got := htmlMarkup(c.html); got != c.markup {
			t.Errorf("markup of %q:\n%q, want\n%q", c.html, got, c.markup)
		}
	}
}

// checkMarkup tells what is wrong with something that should be bridges.Markup.
func checkMarkup(s string) error {
	d := xml.NewDecoder(strings.NewReader("<x>" + strings.NewReplacer("<br>", "<br/>", "<hr>", "<hr/>").Replace(s) + "</x>"))
	depth := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 1 {
				continue
			}
			if depth > maxHTMLDepth+2 {
				return errors.New("too deep")
			}
			if !slices.Contains(bridges.Markup, tok.Name.Local) || tok.Name.Space != "" {
				return errors.New("element " + tok.Name.Local)
			}
			for _, a := range tok.Attr {
				scheme, _, _ := strings.Cut(strings.ToLower(a.Value), ":")
				switch {
				case tok.Name.Local == "a" && a.Name.Local == "href" && slices.Contains([]string{"http", "https", "mailto"}, scheme):
				case tok.Name.Local == "code" && a.Name.Local == "class" && strings.HasPrefix(a.Value, "language-"):
				default:
					return errors.New("attribute " + a.Name.Local + "=" + a.Value)
				}
			}
		case xml.EndElement:
			depth--
		case xml.Comment, xml.ProcInst, xml.Directive:
			return errors.New("not an element")
		}
	}
}

// checkText tells what is wrong with text that goes into a stanza.
func checkText(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("no UTF-8")
	case strings.ContainsFunc(s, noXML):
		return errors.New("a character XML forbids")
	case len(s) > 2*maxHTMLOutput:
		return errors.New("too long")
	}
	return nil
}

// hostileHTML is what people have sent to break clients, and more of it.
var hostileHTML = map[string]string{
	"nested quotes":     strings.Repeat("<blockquote>", 1<<20/12),
	"nested lists":      strings.Repeat("<ul><li>", 1<<20/8),
	"nested spans":      strings.Repeat("<span>", 1<<20/6) + "x",
	"nested marks":      strings.Repeat("<b><i>", 1<<20/6) + "x",
	"nested tables":     strings.Repeat("<table><tr><td>", 1<<20/15),
	"nested links":      strings.Repeat(`<a href="https://a">x`, 1<<20/21),
	"deep and back":     strings.Repeat("<div>", 1<<16) + strings.Repeat("</div>", 1<<16),
	"lines in quotes":   strings.Repeat("<blockquote>", 60) + strings.Repeat("<br>x", 1<<18),
	"items in lists":    strings.Repeat("<ol><li>", 30) + strings.Repeat("<li>x", 1<<18),
	"attributes":        "<b " + strings.Repeat("a=b ", 1<<18) + ">x</b>",
	"an attribute":      `<a href="https://a/` + strings.Repeat("x", 1<<20) + `">x</a>`,
	"entities":          strings.Repeat("&lt;", 1<<18),
	"markup":            strings.Repeat("\"", 1<<20),
	"unclosed":          strings.Repeat("<", 1<<20),
	"unclosed tag":      "<b " + strings.Repeat("x", 1<<20),
	"unclosed comment":  "<!--" + strings.Repeat("x", 1<<20),
	"scripts":           strings.Repeat("<script>", 1<<17),
	"plaintext":         "<plaintext>" + strings.Repeat("<b>", 1<<18),
	"replies":           strings.Repeat("<mx-reply>", 1<<20/10),
	"NUL":               strings.Repeat("\x00", 1<<20),
	"no UTF-8":          strings.Repeat("\xff\xfe", 1<<19),
	"text":              strings.Repeat("x", 1<<20),
	"words":             strings.Repeat("word ", 1<<18),
	"misnested":         strings.Repeat("<b><i></b></i>", 1<<20/14),
	"end tags":          strings.Repeat("</b>", 1<<18),
	"paragraphs":        strings.Repeat("<p>", 1<<18),
	"spoilers":          strings.Repeat("<span data-mx-spoiler='"+strings.Repeat("x", 500)+"'>", 2000),
	"start of a list":   `<ol start="999999999999999999999"><li>x</ol>`,
	"languages":         strings.Repeat(`<pre><code class="language-`+strings.Repeat("x", 32)+`">x`, 2000),
	"cells":             strings.Repeat("<table>", 60) + strings.Repeat("<td>x", 1<<16),
	"mark on each line": "<b>" + strings.Repeat("x<br>", 1<<16) + "</b>",
}

func TestHostileHTML(t *testing.T) {
	for name, s := range hostileHTML {
		t.Run(name, func(t *testing.T) {
			if err := checkText(htmlText(s)); err != nil {
				t.Error(err)
			}
			m := htmlMarkup(s)
			if err := checkMarkup(m); err != nil {
				t.Error(err)
			}
			if len(m) > maxHTMLOutput {
				t.Errorf("%d bytes of markup", len(m))
			}
		})
	}
}

func FuzzHTML(f *testing.F) {
	for _, s := range hostileHTML {
		f.Add(s[:min(len(s), 200)])
	}
	for _, s := range []string{
		"<ul><li>a<ol start=3><li>b</ol></ul>", `<a href="https://matrix.to/#/@a:b.c">A</a>`, "<pre><code class=language-go>x\n</code></pre>",
		"<table><tr><th>a<td>b</table>", "<b>a<i>b</b>c</i><p>x<div>y</p></div>", "<h1><p>x</p></h1><li><hr></li><mx-reply>x</mx-reply>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := checkText(htmlText(s)); err != nil {
			t.Fatalf("text: %v", err)
		}
		m := htmlMarkup(s)
		if err := checkMarkup(m); err != nil {
			t.Fatalf("%v: %q", err, m)
		}
		if len(m) > maxHTMLOutput {
			t.Fatal("too long")
		}
		// Markup is HTML of the same markup, and goes out as it came.
		if out := formattedBody(m, nil); out != m {
			t.Fatalf("%q goes out as %q", m, out)
		}
	})
}

var people = []mention{
	{"@al:example.org", "Al"}, {"@alice:example.org", "Alice"}, {"@bob:example.org", "Bob <3"}, {"@none:example.org", ""},
}

func TestFormattedBody(t *testing.T) {
	const (
		alice = `<a href="https://matrix.to/#/@alice:example.org">Alice</a>`
		al    = `<a href="https://matrix.to/#/@al:example.org">Al</a>`
	)
	for _, c := range []struct{ markup, want string }{
		{"Hi <b>there</b>", "Hi <b>there</b>"},
		{"Alice: hi", alice + ": hi"},
		{"<b>Alice</b> and Al", "<b>" + alice + "</b> and " + al},
		{"Alicebob xAl Al", "Alicebob xAl " + al},
		{"@Alice", `<a href="https://matrix.to/#/@alice:example.org">@Alice</a>`},
		{"mail@Al", "mail@" + al},
		{"Bob &lt;3!", `<a href="https://matrix.to/#/@bob:example.org">Bob &lt;3</a>!`},
		{"<code>Alice</code><pre>Alice</pre>", "<code>Alice</code><pre>Alice</pre>"},
		{`<a href="https://e.example">Alice</a>`, `<a href="https://e.example">Alice</a>`},
		{`<a href="xmpp:alice@example.org">mail</a><script>x</script>`, "mail"},
	} {
		if got := formattedBody(c.markup, people); got != c.want {
			t.Errorf("%q goes out as\n%q, want\n%q", c.markup, got, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"nobody here", ""},
		{"a  <b>\nAlice", "a  &lt;b&gt;<br>" + alice},
		{"Alice:  Al", alice + ":  " + al},
	} {
		if got := formattedText(c.text, people); got != c.want {
			t.Errorf("%q goes out as %q, want %q", c.text, got, c.want)
		}
	}
}

func FuzzMentions(f *testing.F) {
	f.Add("Alice: hi <b>", "Alice", "@alice:example.org")
	f.Add("@@@a", "@", "@a:b")
	f.Add("aéé", "é", "@\"<:b")
	f.Fuzz(func(t *testing.T, text, name, user string) {
		out := formattedText(text, []mention{{Text: cleanText(name), User: "x"}, {Text: "a", User: "@a:b"}})
		if err := checkMarkup(out); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		out = formattedBody(text, []mention{{Text: cleanText(name), User: "@x:y"}})
		if err := checkMarkup(out); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
	})
}

func BenchmarkHTML(b *testing.B) {
	const s = `<p>Look at <a href="https://matrix.to/#/@alice:example.org">Alice</a>'s <strong>new</strong> list:</p>
<ul>
<li>one <code>x</code></li>
<li>two</li>
</ul>
<blockquote><p>quoted &amp; more</p></blockquote>`
	b.ReportAllocs()
	for b.Loop() {
		tree := parseHTML(s)
		_, _ = treeText(tree), treeMarkup(tree)
	}
}

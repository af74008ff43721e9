package component

import (
	"bytes"
	"io"
)

// frameKind says what the framer found.
type frameKind uint8

const (
	frameHeader  frameKind = iota // the stream's start tag
	frameStanza                   // one whole element of the stream
	frameSkipped                  // an element that was skipped; data is its start tag, if known
	frameEnd                      // the stream's end tag
)

// frame is one piece of the stream. Its data is valid until the framer's next
// fill.
type frame struct {
	kind  frameKind
	data  []byte
	head  int // size of the start tag in data
	nodes int
	attrs int
	err   *parseError // why it was skipped
}

// Where in the markup the framer stands.
type scanState uint8

const (
	inText scanState = iota
	inStartTag
	inValue // in an attribute value, until f.quote
	inEndTag
	inCDATA
	inComment
	inPI
)

// framer cuts the byte stream of the server into the stream's header, its
// stanzas and its end. It knows of XML no more than it must to find where
// elements begin and end; the parser does the rest.
//
// It holds one stanza at most, and of a stanza that breaks a limit only the start
// tag: from then on it counts depth and throws the bytes away.
type framer struct {
	r   io.Reader
	lim Limits

	buf   []byte // buf[start:] is what was read and is not consumed
	start int    // where the current frame begins
	pos   int    // where scanning goes on

	state scanState
	quote byte
	depth int // open elements, the stream's own counted

	name  string // the stream element's name as written
	head  int    // size of the current frame's start tag, once known
	nodes int
	attrs int

	skip     *parseError // set: the current stanza is thrown away
	skipHead []byte      // its start tag

	out frame // the frame that was completed last
}

// progress is what a step of scanning came to.
type progress uint8

const (
	needMore progress = iota // the buffer ends here
	moved                    // go on
	complete                 // f.out is a frame
)

func newFramer(r io.Reader, lim Limits) *framer {
	return &framer{r: r, lim: lim.withDefaults(), buf: make([]byte, 0, readBuffer)}
}

var (
	errNotXML       = &parseError{errFatal, "the stream is not well-formed XML"}
	errTopText      = &parseError{errFatal, "text between stanzas"}
	errRestricted   = &parseError{errFatal, "the stream holds markup that XMPP forbids"}
	errEndlessTag   = &parseError{errFatal, "the stream's own markup is too large"}
	errRestrictedIn = &parseError{errContent, "the stanza holds markup that XMPP forbids"}
	errTooLarge     = &parseError{errLimit, "the stanza is too large"}
	errTooDeep      = &parseError{errLimit, "the stanza is nested too deeply"}
	errTooManyNodes = &parseError{errLimit, "the stanza has too many elements"}
	errTooManyAttrs = &parseError{errLimit, "the stanza has too many attributes"}
)

// read returns the next frame, reading as often as it must.
func (f *framer) read() (frame, error) {
	for {
		got, err := f.next()
		if err != nil {
			return frame{}, err
		}
		if got {
			return f.out, nil
		}
		if err := f.fill(); err != nil {
			return frame{}, err
		}
	}
}

// fill reads once from the connection, making room first. The buffer grows with
// the stanza it must hold and shrinks when that is over.
func (f *framer) fill() error {
	if f.skip == nil && len(f.buf)-f.start > f.lim.Bytes {
		if f.depth <= 1 {
			return errEndlessTag
		}
		f.discard(errTooLarge)
	}
	if f.skip != nil && f.pos > f.start {
		f.start = f.pos - 1 // the byte before decides whether a tag closes itself
	}
	if f.start > 0 && (f.start == len(f.buf) || cap(f.buf)-len(f.buf) < cap(f.buf)/2) {
		n := copy(f.buf, f.buf[f.start:])
		f.buf, f.pos, f.start = f.buf[:n], f.pos-f.start, 0
	}
	switch {
	case len(f.buf) == cap(f.buf):
		f.resize(2 * cap(f.buf))
	case cap(f.buf) > readBuffer && len(f.buf) < readBuffer/2:
		f.resize(readBuffer)
	}
	n, err := f.r.Read(f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (f *framer) resize(size int) {
	b := make([]byte, len(f.buf), size)
	copy(b, f.buf)
	f.buf = b
}

// next scans what is in the buffer. It reports whether a frame is complete.
func (f *framer) next() (bool, error) {
	for f.pos < len(f.buf) {
		var p progress
		var err error
		switch f.state {
		case inText:
			p, err = f.scanText()
		case inStartTag:
			p, err = f.scanStartTag()
		case inValue:
			p = f.scanPast(f.quote, inStartTag)
		case inEndTag:
			if p = f.scanPast('>', inText); p == moved {
				p, err = f.closeElement()
			}
		case inCDATA:
			p = f.scanPastSeq("]]>")
		case inComment:
			p = f.scanPastSeq("-->")
		case inPI:
			p = f.scanPastSeq("?>")
		}
		if err != nil {
			return false, err
		}
		if p != moved {
			return p == complete, nil
		}
	}
	return false, nil
}

// scanPast moves behind the next c and changes the state there.
func (f *framer) scanPast(c byte, then scanState) progress {
	i := bytes.IndexByte(f.buf[f.pos:], c)
	if i < 0 {
		f.pos = len(f.buf)
		return needMore
	}
	f.pos += i + 1
	f.state = then
	return moved
}

// scanPastSeq moves behind the next seq, back into text.
func (f *framer) scanPastSeq(seq string) progress {
	i := bytes.Index(f.buf[f.pos:], []byte(seq))
	if i < 0 {
		f.pos = max(f.pos, len(f.buf)-len(seq)+1)
		return needMore
	}
	f.pos += i + len(seq)
	f.state = inText
	return moved
}

// scanText moves to the next markup and into it.
func (f *framer) scanText() (progress, error) {
	i := bytes.IndexByte(f.buf[f.pos:], '<')
	if f.depth <= 1 {
		n := i
		if i < 0 {
			n = len(f.buf) - f.pos
		}
		for _, c := range f.buf[f.pos : f.pos+n] {
			if !isSpace(c) {
				return needMore, errTopText
			}
		}
		f.start = f.pos + n
	}
	if i < 0 {
		f.pos = len(f.buf)
		return needMore, nil
	}
	f.pos += i
	rest := f.buf[f.pos:]
	if len(rest) < 2 {
		return needMore, nil
	}
	switch rest[1] {
	case '/':
		f.pos += 2
		f.state = inEndTag
		return moved, nil
	case '?':
		return moved, f.forbidden(inPI, 2)
	case '!':
		return f.declaration(rest)
	}
	f.pos++
	f.state = inStartTag
	f.depth++
	if f.depth > 1 {
		f.nodes++
		switch {
		case f.depth-1 > f.lim.Depth:
			f.discard(errTooDeep)
		case f.nodes > f.lim.Nodes:
			f.discard(errTooManyNodes)
		}
	}
	return moved, nil
}

// declaration enters what begins with "<!": character data or a comment. A
// document type is the end of the stream.
func (f *framer) declaration(rest []byte) (progress, error) {
	const cdata, comment = "<![CDATA[", "<!--"
	switch {
	case bytes.HasPrefix(rest, []byte(cdata)):
		if f.depth <= 1 {
			return needMore, errTopText
		}
		f.pos += len(cdata)
		f.state = inCDATA
		return moved, nil
	case bytes.HasPrefix(rest, []byte(comment)):
		return moved, f.forbidden(inComment, len(comment))
	case len(rest) < len(cdata) && (hasPrefixOf(cdata, rest) || hasPrefixOf(comment, rest)):
		return needMore, nil
	}
	return needMore, errRestricted
}

func hasPrefixOf(s string, b []byte) bool { return len(b) <= len(s) && s[:len(b)] == string(b) }

// forbidden enters a comment or processing instruction: the XML declaration
// before the stream's header is allowed, inside a stanza it costs the stanza.
func (f *framer) forbidden(s scanState, n int) error {
	switch {
	case f.depth > 1:
		f.discard(errRestrictedIn)
	case f.depth == 1 || s == inComment:
		return errRestricted
	}
	f.pos += n
	f.state = s
	return nil
}

// tagByte marks what ends a tag or the text of a tag outside of values.
var tagByte = [256]bool{'"': true, '\'': true, '<': true, '>': true}

// scanStartTag moves to the end of a start tag or into one of its values.
func (f *framer) scanStartTag() (progress, error) {
	i := f.pos
	for ; i < len(f.buf); i++ {
		c := f.buf[i]
		if !tagByte[c] {
			continue
		}
		f.pos = i + 1
		switch c {
		case '<':
			return needMore, errNotXML
		case '>':
			f.state = inText
			return f.openElement(i > f.start && f.buf[i-1] == '/')
		}
		if f.depth > 1 {
			if f.attrs++; f.attrs > f.lim.Attrs {
				f.discard(errTooManyAttrs)
			}
		}
		// Most values are short and whole: finish here what can be.
		n := bytes.IndexByte(f.buf[i+1:], c)
		if n < 0 {
			f.quote, f.state = c, inValue
			return moved, nil
		}
		i += n + 1
	}
	f.pos = i
	return needMore, nil
}

// openElement is called behind a start tag.
func (f *framer) openElement(selfClosing bool) (progress, error) {
	if f.depth == 1 {
		if selfClosing {
			return needMore, errNotXML
		}
		f.out = frame{kind: frameHeader, data: f.buf[f.start:f.pos], head: f.pos - f.start}
		f.name = tagName(f.out.data)
		f.start = f.pos
		return complete, nil
	}
	if f.depth == 2 && f.skip == nil {
		f.head = f.pos - f.start
	}
	if selfClosing {
		return f.closeElement()
	}
	return moved, nil
}

// tagName returns the name in a start tag, as written.
func tagName(tag []byte) string {
	tag = tag[1:]
	if i := bytes.IndexAny(tag, " \t\r\n/>"); i >= 0 {
		tag = tag[:i]
	}
	return string(tag)
}

// closeElement is called behind an end tag or a tag that closes itself.
func (f *framer) closeElement() (progress, error) {
	f.depth--
	switch {
	case f.depth > 1:
		return moved, nil
	case f.depth < 0:
		return needMore, errNotXML
	case f.depth == 0:
		end := bytes.TrimRight(f.buf[f.start:f.pos-1], " \t\r\n")
		f.start = f.pos
		if string(end) != "</"+f.name {
			return needMore, errNotXML
		}
		f.out = frame{kind: frameEnd}
		return complete, nil
	}
	if f.skip == nil && f.pos-f.start > f.lim.Bytes {
		f.discard(errTooLarge)
	}
	if f.skip == nil {
		f.out = frame{kind: frameStanza, data: f.buf[f.start:f.pos], head: f.head, nodes: f.nodes, attrs: f.attrs}
	} else {
		f.out = frame{kind: frameSkipped, data: f.skipHead, head: len(f.skipHead), err: f.skip}
	}
	f.start = f.pos
	f.head, f.nodes, f.attrs = 0, 0, 0
	f.skip, f.skipHead = nil, nil
	return complete, nil
}

// discard gives the current stanza up, keeping its start tag if it is known.
func (f *framer) discard(why *parseError) {
	if f.skip != nil {
		return
	}
	f.skip = why
	if f.head > 0 && f.head <= maxHead {
		f.skipHead = bytes.Clone(f.buf[f.start : f.start+f.head])
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

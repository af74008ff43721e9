package component

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzFramer demands that where the reads are cut makes no difference.
func FuzzFramer(f *testing.F) {
	for _, s := range parserSeeds {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, body string, size uint8) {
		lim := Limits{Bytes: 200, Depth: 4, Nodes: 8, Attrs: 8}
		whole, err1 := readStream(strings.NewReader(testHeader+body), lim)
		cut, err2 := readStream(&chunked{strings.NewReader(testHeader + body), int(size)%7 + 1}, lim)
		if len(whole) != len(cut) || fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Fatalf("%q: %d events and %v, cut into pieces %d and %v", body, len(whole), err1, len(cut), err2)
		}
		for i, a := range whole {
			b := cut[i]
			// Which limit is noticed first may depend on the pieces.
			sameErr := a.err == b.err || (a.err != nil && b.err != nil && a.err.kind == errLimit)
			if a.el.String() != b.el.String() || a.end != b.end || !sameErr {
				t.Fatalf("%q: event %d is %v %v, cut into pieces %v %v", body, i, a.el, a.err, b.el, b.err)
			}
		}
	})
}

type chunked struct {
	r io.Reader
	n int
}

func (c *chunked) Read(b []byte) (int, error) { return c.r.Read(b[:min(len(b), c.n)]) }

func TestFramerLimits(t *testing.T) {
	lim := Limits{Bytes: 1000, Depth: 3, Nodes: 5, Attrs: 4}
	for _, c := range []struct {
		body string
		want *parseError
	}{
		{"<m><a><b/></a></m>", nil},
		{"<m><a><b><c/></b></a></m>", errTooDeep},
		{"<m><a/><a/><a/><a/></m>", nil},
		{"<m><a/><a/><a/><a/><a/></m>", errTooManyNodes},
		{"<m a='' b=''><c a='' b=''/></m>", nil},
		{"<m a='' b=''><c a='' b='' c=''/></m>", errTooManyAttrs},
		{"<m>" + strings.Repeat("x", 1000-7) + "</m>", nil},
		{"<m>" + strings.Repeat("x", 1001-7) + "</m>", errTooLarge},
		{"<m><![CDATA[" + strings.Repeat("x", 5000) + "]]></m>", errTooLarge},
		{"<m a='" + strings.Repeat("x", 5000) + "'/>", errTooLarge},
		{"<m><!--" + strings.Repeat("x", 5000) + "--></m>", errRestrictedIn},
	} {
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			got, err := readStream(wrap(strings.NewReader(testHeader+c.body+"<after/></stream:stream>")), lim)
			if err != nil || len(got) != 3 {
				t.Fatalf("%.40q: %d events, %v", c.body, len(got), err)
			}
			if got[0].err != c.want || got[1].el == nil || got[1].el.Name != "after" || !got[2].end {
				t.Errorf("%.40q: got %+v, want %v", c.body, got, c.want)
			}
		}
	}
}

// hostile is a stream with one thing repeated in the middle.
type hostile struct {
	head string
	fill string
	left int // bytes of the repetition still to come
	tail string
}

func (h *hostile) Read(b []byte) (int, error) {
	if h.head != "" {
		n := copy(b, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	if h.left > 0 {
		n := min(h.left, len(b))
		for i := range n {
			b[i] = h.fill[(len(h.fill)-(h.left-i)%len(h.fill))%len(h.fill)]
		}
		h.left -= n
		return n, nil
	}
	n := copy(b, h.tail)
	h.tail = h.tail[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// One stanza of 64 MiB, in bytes, nodes, depth or attributes, must not take more
// memory than the limit allows.
func TestHostileStanzasTakeBoundedMemory(t *testing.T) {
	const size = 64 << 20
	for name, h := range map[string]*hostile{
		"text":       {head: "<message><body>", fill: "x", tail: "</body></message>"},
		"nodes":      {head: "<message>", fill: "<a/>", tail: "</message>"},
		"attributes": {head: "<message", fill: " a=''", tail: "/>"},
		"value":      {head: "<message a='", fill: "x", tail: "'/>"},
	} {
		t.Run(name, func(t *testing.T) {
			h.head = testHeader + h.head
			h.left = size / len(h.fill) * len(h.fill)
			f := newFramer(h, Limits{})
			largest := 0
			if fr, err := f.read(); err != nil || fr.kind != frameHeader {
				t.Fatal(err)
			}
			for {
				got, err := f.next()
				if err != nil {
					t.Fatal(err)
				}
				if got {
					if f.out.kind != frameSkipped {
						t.Fatalf("got a frame of kind %d", f.out.kind)
					}
					break
				}
				if err := f.fill(); err != nil {
					t.Fatal(err)
				}
				largest = max(largest, cap(f.buf))
			}
			if largest > 4<<20 {
				t.Errorf("the buffer grew to %d bytes", largest)
			}
		})
	}
}

// Outside of stanzas nothing can be skipped.
func TestEndlessStreamMarkup(t *testing.T) {
	for _, head := range []string{"<?xml ", "<stream:stream a='", "<stream:stream ", testHeader + "</stream:stream ", "<"} {
		r := &hostile{head: head, fill: " ", left: 64 << 20}
		if _, err := readStream(r, Limits{}); err != errEndlessTag {
			t.Errorf("%s…: %v", head, err)
		}
	}
}

func TestFramerGivesMemoryBack(t *testing.T) {
	big := "<m>" + strings.Repeat("x", 900<<10) + "</m>"
	f := newFramer(iotest.DataErrReader(strings.NewReader(testHeader+big+"<a/>"+strings.Repeat(" ", 1<<20)+"<b/>")), Limits{})
	for range 4 {
		if _, err := f.read(); err != nil {
			t.Fatal(err)
		}
	}
	if cap(f.buf) > readBuffer {
		t.Errorf("the buffer has %d bytes after a large stanza", cap(f.buf))
	}
}

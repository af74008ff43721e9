package ircconn

import (
	"bytes"
	"io"
	"net"
	"sync"
	"syscall"
)

const (
	readSize = 4 << 10              // a buffer from the pool
	maxLine  = ircTagsMax + maxBody // longest line kept; longer ones are skipped
	readMax  = maxLine + readSize   // a buffer that has grown
	// ircTagsMax is the longest tag section a server may send (IRCv3 message-tags).
	ircTagsMax = 8191
)

var readPool = sync.Pool{New: func() any { return new([readSize]byte) }}

// lineReader cuts a stream into lines. It holds no buffer while it waits for
// a line to begin, which is where idle connections spend their lives.
type lineReader struct {
	sock net.Conn
	raw  syscall.RawConn // set when the socket can be waited for without a buffer
	try  func(fd uintptr) bool

	pooled     *[readSize]byte // behind buf unless it has grown
	buf        []byte
	start, end int // unread bytes
	searched   int // no line end before here
	skipping   bool
	skipped    uint64 // lines too long to keep

	n     int // result of try
	err   error
	first [1]byte
}

func (r *lineReader) init(sock net.Conn) {
	r.sock = sock
	if raw := rawConn(sock); raw != nil {
		r.raw, r.try = raw, r.tryRead
	}
}

// line returns the next complete line without its end, or nil when more must be read.
// The bytes are valid until fill.
func (r *lineReader) line() []byte {
	for {
		i := bytes.IndexByte(r.buf[r.searched:r.end], '\n')
		if i < 0 {
			r.searched = r.end
			return nil
		}
		line := r.buf[r.start : r.searched+i]
		r.start = r.searched + i + 1
		r.searched = r.start
		if r.skipping {
			r.skipping = false
			continue
		}
		if len(line) > maxLine {
			r.skipped++
			continue
		}
		return bytes.TrimRight(line, "\r")
	}
}

// unread is the complete lines that have been read and not returned yet.
func (r *lineReader) unread() []byte {
	b := r.buf[r.start:r.end]
	return b[:bytes.LastIndexByte(b, '\n')+1]
}

// fill reads more; it blocks until there is something, the deadline, or the end.
func (r *lineReader) fill() error {
	r.makeRoom()
	if r.buf == nil {
		return r.firstRead()
	}
	n, err := r.sock.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return orEOF(err)
}

// makeRoom moves what is left of a line to the front, grows the buffer for a long one and
// gives it back when nothing is left.
func (r *lineReader) makeRoom() {
	if r.skipping {
		r.start, r.searched = r.end, r.end
	}
	if r.start == r.end {
		r.release()
		return
	}
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.end -= r.start
		r.searched -= r.start
		r.start = 0
	}
	if r.end < len(r.buf) {
		return
	}
	if len(r.buf) >= readMax {
		r.skipped++
		r.skipping = true
		r.release()
		return
	}
	grown := make([]byte, readMax)
	copy(grown, r.buf)
	searched, end := r.searched, r.end
	r.release()
	r.buf, r.searched, r.end = grown, searched, end
}

func (r *lineReader) release() {
	if r.pooled != nil {
		readPool.Put(r.pooled)
	}
	r.pooled, r.buf = nil, nil
	r.start, r.end, r.searched = 0, 0, 0
}

func (r *lineReader) take() {
	r.pooled = readPool.Get().(*[readSize]byte)
	r.buf = r.pooled[:]
}

// firstRead waits without a buffer: on the bare socket where there is one,
// else by reading a single byte (through TLS, which knows no other way).
func (r *lineReader) firstRead() error {
	if r.raw != nil {
		if err := r.raw.Read(r.try); err != nil {
			return err
		}
		if r.n > 0 {
			r.end = r.n
			return nil
		}
		return orEOF(r.err)
	}
	n, err := r.sock.Read(r.first[:])
	if n == 0 {
		return orEOF(err)
	}
	r.take()
	r.buf[0], r.end = r.first[0], 1
	return nil // the rest of the line comes with the next fill
}

// tryRead reads what is there; false asks to be called again when something is.
func (r *lineReader) tryRead(fd uintptr) bool {
	r.take()
	var again bool
	r.n, again, r.err = readSocket(fd, r.buf)
	if r.n <= 0 {
		r.n = 0
		r.release()
	}
	return !again
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

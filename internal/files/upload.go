package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"transportd/bridges"
)

// Slot is a place for a file at the XMPP server (XEP-0363): it is put to one address
// and read from another.
type Slot struct {
	Put, Get string
	Header   http.Header // to be sent with it
}

// Slots asks the XMPP server for places.
type Slots interface {
	// Slot asks for a place for a file of size bytes. It blocks under ctx. The error is
	// an *bridges.Error, of kind TooLarge where another file may be taken.
	Slot(ctx context.Context, name, typ string, size int64) (Slot, error)
}

// Uploader copies files of networks to where the XMPP server keeps files. Its methods
// are safe for concurrent use.
type Uploader struct {
	slots  Slots
	max    int64
	plain  bool
	client *http.Client
	log    *slog.Logger

	mu   sync.Mutex
	rest time.Time // until when nothing is tried
}

// restTime is how long nothing is put anywhere after it did not succeed: meanwhile
// nobody waits for it.
const restTime = 5 * time.Minute

// errResting is while nothing is tried.
var errResting = bridges.NewError(bridges.Offline, "The XMPP server's file service does not take files at the moment.")

// NewUploader makes one for files of at most max bytes (0: DefaultSize). With trusted
// the service that slots asks is one the operator has named: it may be at a private
// address, and without TLS.
func NewUploader(slots Slots, max int64, trusted bool, log *slog.Logger) *Uploader {
	if max <= 0 {
		max = DefaultSize
	}
	return &Uploader{slots: slots, max: max, plain: trusted, log: log, client: &http.Client{
		Transport: transport(trusted),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the place that was given is the place
		},
	}}
}

// Put copies a file, which open begins to read, and returns the address where it can
// be read now. It blocks under ctx. The error is an *bridges.Error with words for the
// user; after one that is not about this file, all is refused for five minutes.
func (u *Uploader) Put(ctx context.Context, f *bridges.File, open func(context.Context) (*bridges.Media, error)) (string, error) {
	if f.Size > u.max {
		return "", u.tooLarge()
	}
	if u.resting() {
		return "", errResting
	}
	m, err := open(ctx)
	if err != nil {
		return "", bridges.AsError(err)
	}
	defer func() { _ = m.Close() }()
	size := m.Size
	if size < 0 {
		size = f.Size // by its sender's word, and if that is not true it fails
	}
	switch {
	case size > u.max:
		return "", u.tooLarge()
	case size <= 0:
		return "", bridges.NewError(bridges.Unsupported, "It is not known how large the file is.")
	}
	typ := typeOf(f.Type, m.Type)
	slot, err := u.slots.Slot(ctx, plainName(f.Name), typ, size)
	if err != nil {
		return "", u.failed(ctx, err)
	}
	source := &source{Reader: m, left: size}
	err = u.put(ctx, &slot, typ, size, source)
	if e := source.failure(); e != nil {
		return "", bridges.AsError(e) // the network's fault, not the service's
	}
	if err != nil {
		return "", u.failed(ctx, err)
	}
	return slot.Get, nil
}

func (u *Uploader) tooLarge() *bridges.Error {
	return bridges.NewError(bridges.TooLarge, fmt.Sprintf("It is larger than the %d MiB that are copied to the XMPP server.", u.max>>20))
}

func (u *Uploader) resting() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.rest)
}

// failed judges why a file could not be put: whether another could.
func (u *Uploader) failed(ctx context.Context, err error) *bridges.Error {
	e := bridges.AsError(err)
	if e.Kind == bridges.Internal {
		e = &bridges.Error{Kind: bridges.Offline, Text: "The XMPP server's file service did not take the file.", Err: err}
	}
	if e.Kind == bridges.TooLarge || errors.Is(ctx.Err(), context.Canceled) {
		return e
	}
	u.mu.Lock()
	u.rest = time.Now().Add(restTime)
	u.mu.Unlock()
	u.log.Warn("files are not copied to the XMPP server for a while", "error", e, "for", restTime)
	return e
}

// put writes a file to its place.
func (u *Uploader) put(ctx context.Context, slot *Slot, typ string, size int64, from io.Reader) error {
	if err := u.checkSlot(slot); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalled := time.AfterFunc(stallTime, cancel)
	defer stalled.Stop()
	body := &moving{Reader: from, stalled: stalled, closed: make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, slot.Put, body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	for name, values := range slot.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", typ)
	req.Header.Set("User-Agent", "transportd")
	res, err := u.client.Do(req)
	if err != nil {
		return cause(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	select { // the service may answer before it is known whether there is more than was said
	case <-body.closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cause is why a request failed, without its address: who knows that may write there.
func cause(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// checkSlot tells what is wrong with a place.
func (u *Uploader) checkSlot(slot *Slot) error {
	for _, address := range []string{slot.Put, slot.Get} {
		a, err := url.Parse(address)
		if err != nil || checkURL(a) != nil {
			return errors.New("the service names no address")
		}
		if a.Scheme != "https" && !u.plain {
			return errors.New("the service names an address without TLS (XEP-0363 section 6)")
		}
	}
	return nil
}

// source is a file being read from its network, just as long as it was said to be. A
// client may still be at it when a request has failed.
type source struct {
	io.Reader
	left int64
	mu   sync.Mutex
	err  error
}

// failure is why the file could not be read to its end.
func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// errLength is a file that is not as long as it was said to be.
var errLength = bridges.NewError(bridges.Unsupported, "The file is not as large as it was said to be.")

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.left -= int64(n)
	if s.left < 0 || s.left > 0 && errors.Is(err, io.EOF) {
		n, err = 0, errLength
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

// moving puts a timer off as long as something is read.
type moving struct {
	io.Reader
	stalled *time.Timer
	once    sync.Once
	closed  chan struct{} // nothing is read any more
}

// Close implements io.Closer.
func (m *moving) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.stalled.Reset(stallTime)
	return n, err
}

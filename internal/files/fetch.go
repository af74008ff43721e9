package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"syscall"
	"time"

	"transportd/bridges"
	"transportd/bridges/guard"
)

// Fetcher reads files that users send from where their servers put them. It is safe
// for concurrent use.
type Fetcher struct {
	max    int64
	client *http.Client
}

// Bounds of a fetch.
const (
	dialTime     = 15 * time.Second
	maxRedirects = 3
)

// NewFetcher makes one that reads files of at most max bytes (0: DefaultSize). Without
// allowPrivate it goes to public addresses only, judged when they are dialled: after
// resolution, and again at each redirect.
func NewFetcher(max int64, allowPrivate bool) *Fetcher {
	if max <= 0 {
		max = DefaultSize
	}
	return &Fetcher{max: max, client: &http.Client{
		Transport: transport(allowPrivate),
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			return checkURL(req.URL)
		},
	}}
}

// transport goes to public addresses only, unless private ones are allowed.
func transport(allowPrivate bool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime}
	if !allowPrivate {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			where, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return guard.PublicOnly(where.Addr())
		}
	}
	return &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTime,
		ResponseHeaderTimeout: stallTime, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
}

// errAddress is an address that no file is read from.
var errAddress = bridges.NewError(bridges.Invalid, "Files are only fetched from https addresses.")

func checkURL(u *url.URL) error {
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return errAddress
	}
	return nil
}

// Fetchable tells whether a text is an address that a file can be read from.
func Fetchable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && checkURL(u) == nil
}

// Upload is the file at an address; name, typ and size are what the sender says of
// it: empty and negative where nothing is said.
func (f *Fetcher) Upload(address, name, typ string, size int64) *bridges.Upload {
	if name == "" {
		name = nameOf(address)
	}
	return &bridges.Upload{Name: name, Type: typ, Size: size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return f.open(ctx, address)
	}}
}

// nameOf is the name in an address.
func nameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "file"
	}
	if name := path.Base(u.Path); name != "/" && name != "." {
		return name
	}
	return "file"
}

func (f *Fetcher) open(ctx context.Context, address string) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	if err != nil || checkURL(u) != nil {
		return nil, errAddress
	}
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, errAddress
	}
	req.Header.Set("User-Agent", "transportd")
	res, err := f.client.Do(req)
	if err != nil {
		cancel()
		return nil, fetchError(err)
	}
	if e := f.acceptable(res); e != nil {
		_ = res.Body.Close()
		cancel()
		return nil, e
	}
	b := &body{ReadCloser: res.Body, left: f.max, cancel: cancel}
	b.stalled = time.AfterFunc(stallTime, cancel)
	return b, nil
}

func fetchError(err error) *bridges.Error {
	kind, text := bridges.Offline, "The file could not be fetched from where it lies."
	var known *bridges.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, guard.ErrNotPublic):
		kind, text = bridges.Forbidden, "The file lies at an address that the gateway may not fetch from."
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		kind, text = bridges.Timeout, "The file could not be fetched in time."
	}
	return &bridges.Error{Kind: kind, Text: text, Err: err}
}

// acceptable judges what a server answers.
func (f *Fetcher) acceptable(res *http.Response) *bridges.Error {
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return bridges.NewError(bridges.NotFound, "The file is not where the message says it is.")
	case res.StatusCode != http.StatusOK:
		return &bridges.Error{Kind: bridges.Offline, Text: "The file could not be fetched from where it lies.", Err: fmt.Errorf("status %d", res.StatusCode)}
	case res.ContentLength > f.max:
		return f.tooLarge()
	}
	return nil
}

func (f *Fetcher) tooLarge() *bridges.Error {
	return bridges.NewError(bridges.TooLarge, fmt.Sprintf("The file is larger than the %d MiB the gateway carries.", f.max>>20))
}

// body is a file being read: bounded in size, and given up when nothing comes.
type body struct {
	io.ReadCloser
	left    int64
	cancel  context.CancelFunc
	stalled *time.Timer
}

// Read implements io.Reader. A file that is larger than it may be ends with an
// *bridges.Error.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.stalled.Reset(stallTime)
	if b.left -= int64(n); b.left < 0 {
		return 0, bridges.NewError(bridges.TooLarge, "The file is larger than the gateway carries.")
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.stalled.Stop()
	defer b.cancel()
	return b.ReadCloser.Close()
}

package matrix

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"maunium.net/go/mautrix"

	"transportd/bridges"
	"transportd/bridges/guard"
)

// Bounds of the connections all accounts of a gateway share.
const (
	dialTime     = 15 * time.Second
	idleTime     = 90 * time.Second
	idlePerHost  = 16
	maxHeader    = 64 << 10
	pingAfter    = 30 * time.Second // of silence on a connection of many requests (HTTP/2)
	maxRedirects = 5
)

// newTransport makes the connections of a gateway. Every address is judged when
// it is dialled, after resolution, so that no redirect and no name leads inside.
// There is no proxy: it would resolve names where nobody judges them.
func newTransport(allowPrivate bool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: time.Minute}
	if !allowPrivate {
		dialer.Control = onlyPublic
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTime,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: dialTime},
	}
}

func onlyPublic(_, address string, _ syscall.RawConn) error {
	where, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return guard.PublicOnly(where.Addr())
}

// newAPIClient is for requests with a token. The client-server API redirects
// nothing, so that no token follows a redirect.
func newAPIClient(t *http.Transport) *http.Client {
	return &http.Client{Transport: objects{t}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// objects makes sure that what the client-server API answers is an object or a list.
// The decoder takes a null for one, and leaves nothing where an answer is looked for.
type objects struct{ *http.Transport }

var errNoObject = errors.New("the answer is not a JSON object")

// RoundTrip implements http.RoundTripper.
func (o objects) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.Transport.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusOK && !strings.Contains(req.URL.Path, "/media/") {
		resp.Body = &objectBody{ReadCloser: resp.Body}
	}
	return resp, err
}

// objectBody looks at the first byte that is not white space.
type objectBody struct {
	io.ReadCloser
	begun bool
}

func (b *objectBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.begun {
		return n, err
	}
	if first := bytes.TrimLeft(p[:n], " \t\r\n"); len(first) > 0 {
		if b.begun = first[0] == '{' || first[0] == '['; !b.begun {
			return 0, errNoObject
		}
	}
	return n, err
}

// client is an account at a homeserver. It repeats nothing by itself.
func (d *Driver) client(c credentials) *mautrix.Client {
	cli := &mautrix.Client{
		HomeserverURL: c.base, UserID: c.user, DeviceID: c.device, AccessToken: c.token,
		UserAgent: userAgent, Client: d.api, IgnoreRateLimit: true, ResponseSizeLimit: d.cfg.MaxResponse,
	}
	if c.refresh != "" {
		cli.OAuthSetTokens(c.clientID, c.refresh, c.token, c.expires)
	}
	return cli
}

const userAgent = "transportd"

// webClient is for discovery, which may redirect.
func (d *Driver) webClient() *http.Client {
	return &http.Client{Transport: d.transport, Timeout: d.cfg.Timeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return d.checkURL(req.URL)
	}}
}

// checkURL judges where a homeserver says it is.
func (d *Driver) checkURL(u *url.URL) error {
	switch {
	case u.Host == "" || u.User != nil || u.Opaque != "":
		return bridges.NewError(bridges.Invalid, "That is not the address of a homeserver. Write it as https://matrix.example.org.")
	case u.Scheme == "https" || u.Scheme == "http" && d.cfg.AllowPrivate:
		return nil
	case u.Scheme == "http":
		return bridges.NewError(bridges.Forbidden, "Homeservers without TLS are not allowed here: the address must begin with https://.")
	}
	return bridges.NewError(bridges.Invalid, "The address of a homeserver begins with https://.")
}

// parseURL reads the address of a homeserver, with or without its scheme.
func (d *Driver) parseURL(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, &bridges.Error{Kind: bridges.Invalid, Text: "That is not the address of a homeserver. Write it as https://matrix.example.org.", Err: err}
	}
	u.RawQuery, u.Fragment, u.Path = "", "", strings.TrimRight(u.Path, "/")
	return u, d.checkURL(u)
}

// codeKinds are what Matrix's error codes mean to the gateway.
var codeKinds = map[string]bridges.ErrorKind{
	"M_FORBIDDEN":                       bridges.Forbidden,
	"M_UNKNOWN_TOKEN":                   bridges.BadCredentials,
	"M_MISSING_TOKEN":                   bridges.BadCredentials,
	"M_USER_DEACTIVATED":                bridges.BadCredentials,
	"M_USER_LOCKED":                     bridges.NetworkBanned,
	"M_USER_SUSPENDED":                  bridges.NetworkBanned,
	"M_NOT_FOUND":                       bridges.NotFound,
	"M_LIMIT_EXCEEDED":                  bridges.RateLimited,
	"M_TOO_LARGE":                       bridges.TooLarge,
	"M_UNRECOGNIZED":                    bridges.Unsupported,
	"M_BAD_JSON":                        bridges.Invalid,
	"M_NOT_JSON":                        bridges.Invalid,
	"M_INVALID_PARAM":                   bridges.Invalid,
	"M_MISSING_PARAM":                   bridges.Invalid,
	"M_INVALID_USERNAME":                bridges.Invalid,
	"M_ROOM_IN_USE":                     bridges.Conflict,
	"M_RESOURCE_LIMIT_EXCEEDED":         bridges.TemporaryRefuse,
	"M_UNABLE_TO_AUTHORISE_JOIN":        bridges.MembersOnly,
	"M_UNABLE_TO_GRANT_JOIN":            bridges.MembersOnly,
	"M_INCOMPATIBLE_ROOM_VERSION":       bridges.Unsupported,
	"M_UNSUPPORTED_ROOM_VERSION":        bridges.Unsupported,
	"M_BAD_STATE":                       bridges.Forbidden,
	"M_CANNOT_LEAVE_SERVER_NOTICE_ROOM": bridges.Forbidden,
}

// statusKinds stand in where a server gives no code we know.
var statusKinds = map[int]bridges.ErrorKind{
	http.StatusUnauthorized:          bridges.BadCredentials,
	http.StatusForbidden:             bridges.Forbidden,
	http.StatusNotFound:              bridges.NotFound,
	http.StatusMethodNotAllowed:      bridges.Unsupported,
	http.StatusRequestEntityTooLarge: bridges.TooLarge,
	http.StatusTooManyRequests:       bridges.RateLimited,
}

// request runs f, which is one request, under the time a request has.
func (d *Driver) request(ctx context.Context, f func(context.Context) error) *bridges.Error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	return failure(ctx, f(ctx))
}

// failure turns what a request came to into words. ctx is the request's. What a
// server says beside an error in Matrix's form is neither shown nor kept: it can be
// long, and anything.
func failure(ctx context.Context, err error) *bridges.Error {
	if err == nil {
		return nil
	}
	var known *bridges.Error
	if errors.As(err, &known) {
		return known
	}
	var he mautrix.HTTPError
	if errors.As(err, &he) && he.Response != nil && (he.RespError != nil || he.WrappedError == nil) {
		return refusal(he)
	}
	return trouble(ctx, err)
}

// refusal is an answer of the homeserver that says no.
func refusal(he mautrix.HTTPError) *bridges.Error {
	status := he.Response.StatusCode
	e := &bridges.Error{Kind: bridges.TemporaryRefuse, Err: errStatus(status)}
	kind, known := statusKinds[status]
	if known {
		e.Kind = kind
	} else if status >= 400 && status < 500 {
		e.Kind = bridges.Invalid
	}
	if re := he.RespError; re != nil {
		e.Text, e.Err = sentence(re.Err), errCode(re.ErrCode)
		if kind, ok := codeKinds[re.ErrCode]; ok {
			e.Kind = kind
		}
		if soft, _ := re.ExtraData["soft_logout"].(bool); soft {
			e.Err = fmt.Errorf("%w: %w", errCode(re.ErrCode), errSoftLogout)
		}
	}
	switch {
	case status >= 500:
		e.Kind, e.Uncertain = bridges.TemporaryRefuse, true
		e.Text = "The homeserver has a problem and does not answer."
	case e.Kind == bridges.RateLimited:
		e.RetryAfter = retryAfter(he)
		e.Text = "The homeserver asks to be slower."
	}
	e.Text = or(e.Text, "The homeserver refuses this.")
	return e
}

// errStatus and errCode are what the log gets of a refusal.
type errStatus int

func (e errStatus) Error() string { return "HTTP " + strconv.Itoa(int(e)) }

type errCode string

func (e errCode) Error() string { return string(e) }

// errSoftLogout is an access token that has ended, and not the session that it was for
// (client-server API, "Soft logout").
var errSoftLogout = errors.New("the session is kept")

// hasCode tells whether an error is a refusal with one of Matrix's codes.
func hasCode(err *bridges.Error, codes ...string) bool {
	var code errCode
	return err != nil && errors.As(err.Err, &code) && slices.Contains(codes, string(code))
}

// maxRetryAfter is the longest a homeserver is believed to want us to wait.
const maxRetryAfter = time.Hour

// retryAfter is how long a server that limits us wants us to wait: a header of
// HTTP's, or a field of Matrix's.
func retryAfter(he mautrix.HTTPError) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(he.Response.Header.Get("Retry-After"), 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if he.RespError != nil {
		if ms, ok := he.RespError.ExtraData["retry_after_ms"].(float64); ok && ms > 0 {
			wait = time.Duration(min(ms, float64(maxRetryAfter/time.Millisecond))) * time.Millisecond
		}
	}
	return min(wait, maxRetryAfter)
}

// trouble is a request that came to no answer, or to none that can be read.
func trouble(ctx context.Context, err error) *bridges.Error {
	var dns *net.DNSError
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return &bridges.Error{Kind: bridges.Timeout, Text: "The homeserver did not answer in time.", Uncertain: true, Err: err}
	case ctx.Err() != nil:
		return &bridges.Error{Kind: bridges.Offline, Text: "The connection was ended.", Uncertain: true, Err: ctx.Err()}
	case errors.Is(err, guard.ErrNotPublic):
		return &bridges.Error{Kind: bridges.Forbidden, Permanent: true, Text: "That homeserver is at a private address, which is not allowed here.", Err: err}
	case errors.As(err, &dns):
		return &bridges.Error{Kind: bridges.Offline, Text: "There is no host named " + printable(dns.Name) + ".", Err: err}
	case errors.As(err, &cert):
		return &bridges.Error{Kind: bridges.Offline, Text: "The homeserver's certificate is not valid.", Err: err}
	case errors.As(err, &syntax), errors.As(err, &wrong), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errNoObject):
		return &bridges.Error{Kind: bridges.TemporaryRefuse, Text: "The homeserver's answer could not be understood.", Uncertain: true, Err: errors.New("not the JSON that was expected")}
	case errors.Is(err, mautrix.ErrResponseTooLong), errors.Is(err, mautrix.ErrBodyReadReachedLimit):
		return &bridges.Error{Kind: bridges.TemporaryRefuse, Text: "The homeserver's answer is too long.", Uncertain: true, Err: mautrix.ErrResponseTooLong}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &bridges.Error{Kind: bridges.Offline, Text: "The homeserver cannot be reached.", Err: err}
	}
	return &bridges.Error{Kind: bridges.Offline, Text: "The connection to the homeserver failed.", Uncertain: true, Err: err}
}

// sentence is what a server says as a sentence for people.
func sentence(s string) string {
	return cutBytes(strings.Join(strings.Fields(cleanText(s)), " "), 300)
}

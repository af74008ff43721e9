package matrixtest

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Grant is a device code that a client has asked for (RFC 8628) and that a person
// is to agree to.
type Grant struct {
	UserCode string // what the person would type
	URL      string // where
	Device   string // id the client wants for itself

	s       *Server
	code    string
	client  string
	scope   string
	user    *User // who agreed
	denied  bool
	expired bool
	slow    int // so many questions are answered with slow_down
	polls   int
}

// grantLife is how long a device code is good, in seconds.
const grantLife = 600

func (s *Server) oauthRoutes() []route {
	return []route{
		{method: "GET", path: v1 + "auth_metadata", handle: s.authMetadata, open: true},
		{method: "GET", path: "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata", handle: s.authMetadata, open: true},
		{method: "POST", path: "/oauth/register", handle: s.oauth(s.oauthRegister), open: true},
		{method: "POST", path: "/oauth/device", handle: s.oauth(s.oauthDevice), open: true},
		{method: "POST", path: "/oauth/token", handle: s.oauth(s.oauthToken), open: true},
		{method: "POST", path: "/oauth/revoke", handle: s.oauth(s.oauthRevoke), open: true},
	}
}

// WaitGrant waits for a client that asks for a device code and returns it, each
// once.
func (s *Server) WaitGrant(tb testing.TB) *Grant {
	tb.Helper()
	var g *Grant
	s.Wait(tb, "nobody asks for a device code", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.fresh) > 0 {
			g, s.fresh = s.fresh[0], s.fresh[1:]
		}
		return g != nil
	})
	return g
}

// Approve lets the client in as u.
func (g *Grant) Approve(u *User) { g.change(func() { g.user = u }) }

// Deny refuses the client.
func (g *Grant) Deny() { g.change(func() { g.denied = true }) }

// Expire ends the code.
func (g *Grant) Expire() { g.change(func() { g.expired = true }) }

// SlowDown answers the next n questions with slow_down.
func (g *Grant) SlowDown(n int) { g.change(func() { g.slow = n }) }

func (g *Grant) change(f func()) {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	f()
}

// WaitPolls waits until the client has asked n times for its token.
func (g *Grant) WaitPolls(tb testing.TB, n int) {
	tb.Helper()
	g.s.Wait(tb, "the client does not ask for its token", func() bool {
		g.s.mu.Lock()
		defer g.s.mu.Unlock()
		return g.polls >= n
	})
}

func (s *Server) authMetadata(*request) (any, error) {
	if !s.cfg.OAuth {
		return nil, refuse(404, "M_UNRECOGNIZED", "No such thing here.")
	}
	at := s.URL + "/oauth/"
	return object{
		"issuer": s.URL + "/", "authorization_endpoint": at + "authorize", "token_endpoint": at + "token",
		"registration_endpoint": at + "register", "revocation_endpoint": at + "revoke", "device_authorization_endpoint": at + "device",
		"account_management_uri":   at + "account",
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query", "fragment"},
		"grant_types_supported":            []string{"authorization_code", "refresh_token", deviceGrant},
		"code_challenge_methods_supported": []string{"S256"},
	}, nil
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// oauth hides an endpoint where there is no OAuth.
func (s *Server) oauth(h handler) handler {
	return func(q *request) (any, error) {
		if !s.cfg.OAuth {
			return nil, refuse(404, "M_UNRECOGNIZED", "No such thing here.")
		}
		return h(q)
	}
}

// oauthError is an error of RFC 6749, section 5.2.
func oauthError(code string) error {
	return &Error{Status: 400, more: object{"error": code, "error_description": code}}
}

func (s *Server) oauthRegister(q *request) (any, error) {
	in := object{}
	if err := q.decode(&in); err != nil {
		return nil, oauthError("invalid_client_metadata")
	}
	if uri, _ := in["client_uri"].(string); !strings.HasPrefix(uri, "https://") {
		return nil, oauthError("invalid_client_metadata")
	}
	id := "client_" + s.hash()[:10]
	s.clients[id] = true
	in["client_id"] = id
	a := raw(encode(in))
	a.status = 201
	return a, nil
}

// form reads a form of a registered client.
func (q *request) form() (url.Values, error) {
	v, err := url.ParseQuery(string(q.body))
	if err != nil {
		return nil, oauthError("invalid_request")
	}
	if !q.s.clients[v.Get("client_id")] {
		return nil, &Error{Status: 401, more: object{"error": "invalid_client"}}
	}
	return v, nil
}

func (s *Server) oauthDevice(q *request) (any, error) {
	v, err := q.form()
	if err != nil {
		return nil, err
	}
	g := &Grant{s: s, code: "dc_" + s.hash(), client: v.Get("client_id"), scope: v.Get("scope"), URL: s.URL + "/oauth/link"}
	api := false
	for _, scope := range strings.Fields(g.scope) {
		if id, ok := strings.CutPrefix(scope, "urn:matrix:client:device:"); ok {
			g.Device = id
		}
		api = api || scope == "urn:matrix:client:api:*"
	}
	if g.Device == "" || !api {
		return nil, oauthError("invalid_scope")
	}
	code := strings.ToUpper(strings.NewReplacer("-", "X", "_", "Y").Replace(s.hash()[:8]))
	g.UserCode = code[:4] + "-" + code[4:]
	s.grants = append(s.grants, g)
	s.fresh = append(s.fresh, g)
	s.notify()
	return object{
		"device_code": g.code, "user_code": g.UserCode, "verification_uri": g.URL,
		"verification_uri_complete": g.URL + "?code=" + g.UserCode,
		"expires_in":                grantLife, "interval": int(s.cfg.Interval / time.Second),
	}, nil
}

func (s *Server) oauthToken(q *request) (any, error) {
	v, err := q.form()
	if err != nil {
		return nil, err
	}
	switch v.Get("grant_type") {
	case deviceGrant:
		return s.deviceToken(v)
	case "refresh_token":
		d := s.refresh[v.Get("refresh_token")]
		if d == nil {
			return nil, oauthError("invalid_grant")
		}
		d.limitToken()
		return d.bearer(), nil
	}
	return nil, oauthError("unsupported_grant_type")
}

// deviceToken answers the question whether the person has agreed.
func (s *Server) deviceToken(v url.Values) (any, error) {
	i := slices.IndexFunc(s.grants, func(g *Grant) bool { return g.code == v.Get("device_code") && g.client == v.Get("client_id") })
	if i < 0 {
		return nil, oauthError("invalid_grant")
	}
	g := s.grants[i]
	g.polls++
	s.notify()
	switch {
	case g.expired:
		return nil, oauthError("expired_token")
	case g.denied:
		return nil, oauthError("access_denied")
	case g.slow > 0:
		g.slow--
		return nil, oauthError("slow_down")
	case g.user == nil:
		return nil, oauthError("authorization_pending")
	}
	s.grants = slices.Delete(s.grants, i, i+1)
	d := g.user.newDevice(g.Device, "")
	d.scope = g.scope
	d.limitToken()
	return d.bearer(), nil
}

func (d *device) bearer() object {
	return object{
		"access_token": d.token, "token_type": "Bearer", "refresh_token": d.renew,
		"expires_in": int(d.user.s.cfg.TokenLife / time.Second), "scope": d.scope,
	}
}

func (s *Server) oauthRevoke(q *request) (any, error) {
	v, err := q.form()
	if err != nil {
		return nil, err
	}
	token := v.Get("token")
	for _, d := range []*device{s.tokens[token], s.refresh[token]} {
		if d != nil {
			d.remove()
			break
		}
	}
	return object{}, nil // of an unknown token too (RFC 7009, section 2.2)
}

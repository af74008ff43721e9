package matrixtest

import (
	"encoding/json"
	"strings"
)

func (s *Server) loginRoutes() []route {
	return []route{
		{method: "GET", path: "/.well-known/matrix/client", handle: s.wellKnown, open: true},
		{method: "GET", path: "/_matrix/client/versions", handle: s.versions, open: true},
		{method: "GET", path: v3 + "login", handle: s.loginFlows, open: true},
		{method: "POST", path: v3 + "login", handle: s.login, open: true},
		{method: "POST", path: v1 + "login/get_token", handle: s.loginToken},
		{method: "POST", path: v3 + "refresh", handle: s.refreshToken, open: true},
		{method: "POST", path: v3 + "logout", handle: s.logout},
		{method: "POST", path: v3 + "logout/all", handle: s.logoutAll},
		{method: "GET", path: v3 + "register/available", handle: s.available, open: true},
		{method: "POST", path: v3 + "register", handle: s.register, open: true},
	}
}

func (s *Server) wellKnown(*request) (any, error) {
	if s.cfg.Unlisted {
		return nil, notFound("No such page.")
	}
	return object{"m.homeserver": object{"base_url": s.URL}}, nil
}

func (s *Server) versions(*request) (any, error) {
	list := []string{"r0.6.1"}
	for _, minor := range strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16") {
		list = append(list, "v1."+minor)
	}
	return object{"versions": list, "unstable_features": object{}}, nil
}

func (s *Server) loginFlows(*request) (any, error) {
	flows := []object{{"type": "m.login.token"}}
	if !s.cfg.NoPassword {
		flows = append(flows, object{"type": "m.login.password"})
	}
	if s.cfg.OAuth {
		flows = append(flows, object{"type": "m.login.sso", "org.matrix.msc3824.delegated_oidc_compatibility": true})
	}
	return object{"flows": flows}, nil
}

type loginRequest struct {
	Type       string `json:"type"`
	Identifier struct {
		Type string `json:"type"`
		User string `json:"user"`
	} `json:"identifier"`
	User       string `json:"user"` // the old form
	Password   string `json:"password"`
	Token      string `json:"token"`
	Device     string `json:"device_id"`
	DeviceName string `json:"initial_device_display_name"`
	Refresh    bool   `json:"refresh_token"`
}

func (s *Server) login(q *request) (any, error) {
	var in loginRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	var u *User
	switch {
	case in.Type == "m.login.password" && !s.cfg.NoPassword:
		orDefault(&in.Identifier.User, in.User)
		orDefault(&in.Identifier.Type, "m.id.user")
		if in.Identifier.Type != "m.id.user" || in.Identifier.User == "" {
			return nil, refuse(400, "M_UNKNOWN", "Unknown login identifier.")
		}
		id := in.Identifier.User
		if !strings.HasPrefix(id, "@") {
			id = "@" + id + ":" + s.Name
		}
		if u = s.users[id]; u == nil || u.Password == "" || u.Password != in.Password {
			return nil, forbidden("Invalid username or password.")
		}
		if u.closed {
			return nil, refuse(403, "M_USER_DEACTIVATED", "This account has been deactivated.")
		}
	case in.Type == "m.login.token":
		if u = s.loginTokens[in.Token]; u == nil {
			return nil, forbidden("Invalid login token.")
		}
		delete(s.loginTokens, in.Token)
	default:
		return nil, refuse(400, "M_UNKNOWN", "Unknown login type "+in.Type)
	}
	return u.loggedIn(in.Device, in.DeviceName, in.Refresh), nil
}

// loggedIn makes the answer to a login.
func (u *User) loggedIn(deviceID, name string, refresh bool) object {
	d := u.newDevice(deviceID, name)
	out := object{
		"user_id": u.ID, "device_id": d.id, "home_server": u.s.Name,
		"well_known": object{"m.homeserver": object{"base_url": u.s.URL}},
	}
	if refresh {
		d.limitToken()
		out["refresh_token"], out["expires_in_ms"] = d.renew, u.s.cfg.TokenLife.Milliseconds()
	}
	out["access_token"] = d.token
	return out
}

// LoginToken is what the user can log in with once, as after a single sign-on.
func (u *User) LoginToken() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.newLoginToken()
}

func (u *User) newLoginToken() string {
	token := "login_" + u.s.hash()
	u.s.loginTokens[token] = u
	return token
}

func (s *Server) loginToken(q *request) (any, error) {
	return object{"login_token": q.user.newLoginToken(), "expires_in_ms": 120000}, nil
}

func (s *Server) refreshToken(q *request) (any, error) {
	var in struct {
		Token string `json:"refresh_token"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	d := s.refresh[in.Token]
	if d == nil {
		return nil, refuse(401, "M_UNKNOWN_TOKEN", "Unknown refresh token.")
	}
	d.limitToken()
	return object{"access_token": d.token, "refresh_token": d.renew, "expires_in_ms": s.cfg.TokenLife.Milliseconds()}, nil
}

func (s *Server) logout(q *request) (any, error) {
	q.dev.remove()
	return object{}, nil
}

func (s *Server) logoutAll(q *request) (any, error) {
	for _, d := range q.user.devices {
		d.remove()
	}
	return object{}, nil
}

func (s *Server) free(name string) error {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._=-/+") != "" || name == "" {
		return refuse(400, "M_INVALID_USERNAME", "Invalid username.")
	}
	if s.users["@"+name+":"+s.Name] != nil {
		return refuse(400, "M_USER_IN_USE", "The name is taken.")
	}
	return nil
}

func (s *Server) available(q *request) (any, error) {
	return object{"available": true}, s.free(q.query("username"))
}

func (s *Server) register(q *request) (any, error) {
	var in struct {
		Username   string          `json:"username"`
		Password   string          `json:"password"`
		Device     string          `json:"device_id"`
		DeviceName string          `json:"initial_device_display_name"`
		Inhibit    bool            `json:"inhibit_login"`
		Auth       json.RawMessage `json:"auth"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if in.Username == "" {
		in.Username = "user" + strings.ToLower(strings.Trim(s.hash()[:8], "-_"))
	}
	if err := s.free(in.Username); err != nil {
		return nil, err
	}
	if err := s.interactive(in.Auth, "m.login.dummy", nil); err != nil {
		return nil, err
	}
	u := s.person("@" + in.Username + ":" + s.Name)
	u.Password = in.Password
	if in.Inhibit {
		return object{"user_id": u.ID, "home_server": s.Name}, nil
	}
	return u.loggedIn(in.Device, in.DeviceName, false), nil
}

// interactive asks for one stage of user-interactive authentication: a dummy, or
// the password of u.
func (s *Server) interactive(auth json.RawMessage, stage string, u *User) error {
	ask := &Error{Status: 401, more: object{"session": "session", "params": object{}, "completed": []string{},
		"flows": []object{{"stages": []string{stage}}}}}
	kind := field(auth, "type")
	if kind == "" {
		return ask
	}
	if kind != stage || u != nil && (u.Password == "" || field(auth, "password") != u.Password) {
		ask.Code, ask.Text = "M_FORBIDDEN", "Invalid authentication."
		return ask
	}
	return nil
}

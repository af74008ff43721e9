package matrix

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// credentials are what logging in has given.
type credentials struct {
	base   *url.URL
	user   id.UserID
	device id.DeviceID
	token  string

	privately bool // what is read is the user's own affair

	// Of OAuth 2.0, where tokens end soon and are renewed.
	refresh  string
	clientID string
	expires  time.Time
}

// readCredentials reads what is stored of an account. The error is for the user.
func (d *Driver) readCredentials(a bridges.Account) (credentials, error) {
	get := func(name string) string { return strings.TrimSpace(a.Settings[name]) }
	c := credentials{
		user: id.UserID(get(setUserID)), device: id.DeviceID(get(setDevice)), token: get(setToken),
		refresh: get(setRefresh), clientID: get(setClientID), privately: get(setReceipts) == receiptsPrivate,
	}
	if c.user == "" || c.token == "" {
		return c, &bridges.Error{Kind: bridges.NeedsAccount, Permanent: true,
			Text: "Log in with your Matrix account first: register with this gateway."}
	}
	var err error
	if c.base, err = d.parseURL(get(setHomeserver)); err != nil {
		return c, err
	}
	if err := d.allowed(string(c.user)); err != nil {
		return c, err
	}
	c.expires, _ = time.Parse(time.RFC3339, get(setExpires))
	return c, nil
}

// step is a login that is done.
func (c credentials) step() bridges.LoginStep {
	s := bridges.LoginStep{
		Done: true,
		Settings: map[string]string{
			setUser: string(c.user), setUserID: string(c.user), setHomeserver: c.base.String(), setDevice: string(c.device),
		},
		Secrets: map[string]string{setToken: c.token},
	}
	if c.refresh != "" {
		s.Secrets[setRefresh] = c.refresh
		s.Settings[setClientID] = c.clientID
		s.Settings[setExpires] = c.expires.UTC().Format(time.RFC3339)
	}
	return s
}

// allowed tells whether the accounts of a user's homeserver may be used here.
func (d *Driver) allowed(user string) error {
	_, _, server := splitID(user)
	if !d.cfg.allows(server) {
		return &bridges.Error{Kind: bridges.Forbidden, Permanent: true, Text: "Accounts of " + printable(server) + " are not allowed here."}
	}
	return nil
}

// login is one attempt to log an account in.
type login struct {
	d       *Driver
	account bridges.Account
	code    *deviceCode // being waited for
}

// NewLogin begins to log an account in.
func (d *Driver) NewLogin(a bridges.Account) bridges.Login { return &login{d: d, account: a} }

// Answer takes the answers to Fields.
func (l *login) Answer(ctx context.Context, answers map[string]string) (bridges.LoginStep, error) {
	l.Cancel()
	get := func(name string) string { return strings.TrimSpace(answers[name]) }
	token, password := get(setToken), answers[setPassword]
	known := strings.TrimSpace(l.account.Settings[setToken])
	if token == known { // what is stored comes with what was answered
		token = ""
	}
	if token == "" && password == "" && known != "" {
		step, err := l.again(ctx, get(setUser), known)
		if e := bridges.AsError(err); e == nil || e.Kind != bridges.BadCredentials || l.account.Settings[setRefresh] == "" {
			return step, err
		}
		// The browser can say so again.
	}
	user, err := readUser(get(setUser), token != "" && get(setHomeserver) != "")
	if err != nil {
		return bridges.LoginStep{}, err
	}
	base, err := l.d.find(ctx, user, get(setHomeserver))
	if err != nil {
		return bridges.LoginStep{}, err
	}
	c := credentials{base: base, user: user}
	if l.account.Settings[setUserID] == string(user) && l.keepsDevice(ctx) {
		c.device = id.DeviceID(l.account.Settings[setDevice])
	}
	switch {
	case token != "":
		c.token, c.device = token, ""
		return l.d.finish(ctx, c)
	case password != "":
		return l.d.withPassword(ctx, c, password)
	}
	if l.code, err = l.d.askCode(ctx, c); err != nil {
		return bridges.LoginStep{}, err
	}
	return l.code.step(), nil
}

// keepsDevice tells whether the session there was is still one of the account's, so that
// a login goes on with it and its keys. One that was removed must not come back with other
// keys: it is made anew.
func (l *login) keepsDevice(ctx context.Context) bool {
	c, err := l.d.readCredentials(l.account)
	if err == nil {
		c, err = newTokens(ctx, l.account, c)
	}
	if err != nil {
		return true
	}
	e := l.d.request(ctx, func(ctx context.Context) error { _, err := l.d.client(c).Whoami(ctx); return err })
	return !hasCode(e, "M_UNKNOWN_TOKEN") || errors.Is(e, errSoftLogout)
}

// again accepts an account that is logged in already, and nothing new to log in with.
func (l *login) again(ctx context.Context, user, token string) (bridges.LoginStep, error) {
	c, err := l.d.readCredentials(l.account)
	if err != nil {
		return bridges.LoginStep{}, err
	}
	if user != "" && foldID(user) != string(c.user) {
		return bridges.LoginStep{}, bridges.NewError(bridges.Invalid, "Write the password too: this is another account than before.")
	}
	c.token = token
	if c, err = newTokens(ctx, l.account, c); err != nil {
		return bridges.LoginStep{}, err
	}
	return l.d.finish(ctx, c)
}

// readUser reads a Matrix ID as people write it.
func readUser(text string, mayMiss bool) (id.UserID, error) {
	text = strings.TrimSpace(text)
	if text == "" && mayMiss {
		return "", nil
	}
	if text != "" && text[0] != '@' {
		text = "@" + text
	}
	if checked, err := checkID(text); err == nil && strings.Contains(checked, ":") {
		return id.UserID(checked), nil
	}
	return "", bridges.NewError(bridges.Invalid, "That is not a Matrix ID. Write it as in “@juliet:example.org”.")
}

// find looks where a user's homeserver is, or checks what the user says of it, and
// that Matrix is spoken there.
func (d *Driver) find(ctx context.Context, user id.UserID, written string) (*url.URL, error) {
	if user != "" {
		if err := d.allowed(string(user)); err != nil {
			return nil, err
		}
	}
	var base *url.URL
	var err error
	_, _, server := splitID(string(user))
	if written != "" {
		if base, err = d.parseURL(written); err != nil {
			return nil, err
		}
		if !d.cfg.allows(base.Host) && !d.cfg.allows(base.Hostname()) {
			// An address may also be one that a server we allow names itself.
			if found, err := d.discover(ctx, server); err != nil || found.Host != base.Host {
				return nil, bridges.NewError(bridges.Forbidden, "The homeserver "+printable(base.Host)+" is not allowed here.")
			}
		}
	} else if base, err = d.discover(ctx, server); err != nil {
		return nil, err
	}
	problem := d.request(ctx, func(ctx context.Context) error {
		resp, err := d.client(credentials{base: base}).Versions(ctx)
		if err == nil && (resp == nil || len(resp.Versions) == 0) {
			return bridges.NewError(bridges.NotFound, noMatrix(base))
		}
		return err
	})
	switch {
	case problem == nil:
		return base, nil
	case problem.Uncertain && ctx.Err() == nil && problem.Kind == bridges.TemporaryRefuse && !isStatus(problem),
		problem.Kind == bridges.NotFound, problem.Kind == bridges.Unsupported, problem.Kind == bridges.Invalid:
		return nil, &bridges.Error{Kind: bridges.NotFound, Text: noMatrix(base), Err: problem.Err}
	}
	return nil, problem
}

func noMatrix(base *url.URL) string {
	return "There is no Matrix homeserver at " + printable(base.Host) + "."
}

func isStatus(err *bridges.Error) bool {
	var status errStatus
	var code errCode
	return errors.As(err.Err, &status) || errors.As(err.Err, &code)
}

// maxWellKnown bounds what is read of a server's description of itself.
const maxWellKnown = 64 << 10

// discover finds a homeserver by the name of its users' server (Matrix specification,
// client-server API, "Well-known URI"). Without a description it is looked for at the
// name itself.
func (d *Driver) discover(ctx context.Context, server string) (*url.URL, error) {
	self := &url.URL{Scheme: "https", Host: server}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, self.String()+"/.well-known/matrix/client", nil)
	if err != nil {
		return nil, bridges.NewError(bridges.Invalid, "“"+printable(server)+"” is not the name of a server.")
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := d.webClient().Do(req)
	if err != nil {
		if e := trouble(ctx, err); e.Kind == bridges.Forbidden || e.Kind == bridges.Timeout || ctx.Err() != nil {
			return nil, e
		}
		return self, nil // Versions tells what is wrong, if anything
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return self, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxWellKnown))
	if err != nil {
		return nil, trouble(ctx, err)
	}
	var known mautrix.ClientWellKnown
	if json.Unmarshal(body, &known) != nil || known.Homeserver.BaseURL == "" {
		return self, nil
	}
	base, err := d.parseURL(known.Homeserver.BaseURL)
	if err != nil {
		return nil, &bridges.Error{Kind: bridges.NotFound, Err: err,
			Text: printable(server) + " names an address for its homeserver that cannot be used here."}
	}
	return base, nil
}

// withPassword logs in with a password. A device that is known keeps its name.
func (d *Driver) withPassword(ctx context.Context, c credentials, password string) (bridges.LoginStep, error) {
	cli := d.client(c)
	var flows *mautrix.RespLoginFlows
	if err := d.request(ctx, func(ctx context.Context) (err error) { flows, err = cli.GetLoginFlows(ctx); return err }); err != nil {
		return bridges.LoginStep{}, err
	}
	if flows == nil || flows.FirstFlowOfType(mautrix.AuthTypePassword) == nil {
		return bridges.LoginStep{}, bridges.NewError(bridges.Unsupported,
			"This homeserver takes no passwords from programs. Leave the password out to log in with a browser.")
	}
	var resp *mautrix.RespLogin
	err := d.request(ctx, func(ctx context.Context) (err error) {
		resp, err = cli.Login(ctx, &mautrix.ReqLogin{
			Type:       mautrix.AuthTypePassword,
			Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: string(c.user)},
			Password:   password, DeviceID: c.device, InitialDeviceDisplayName: d.cfg.DeviceName,
		})
		return err
	})
	switch {
	case err != nil && (err.Kind == bridges.Forbidden || err.Kind == bridges.BadCredentials || err.Kind == bridges.NotFound):
		text := "The homeserver does not accept this Matrix ID with this password."
		if hasCode(err, "M_USER_DEACTIVATED") {
			text = "This Matrix account no longer exists."
		}
		return bridges.LoginStep{}, &bridges.Error{Kind: bridges.BadCredentials, Text: text, Err: err.Err}
	case err != nil:
		return bridges.LoginStep{}, err
	case resp == nil || resp.AccessToken == "" || resp.UserID == "":
		return bridges.LoginStep{}, bridges.NewError(bridges.TemporaryRefuse, "The homeserver's answer could not be understood.")
	}
	c.token, c.device = resp.AccessToken, resp.DeviceID
	return d.finish(ctx, c)
}

// finish asks the homeserver whose token it is that a login has come to.
func (d *Driver) finish(ctx context.Context, c credentials) (bridges.LoginStep, error) {
	var who *mautrix.RespWhoami
	err := d.request(ctx, func(ctx context.Context) (err error) { who, err = d.client(c).Whoami(ctx); return err })
	switch {
	case err != nil && err.Kind == bridges.BadCredentials:
		return bridges.LoginStep{}, &bridges.Error{Kind: bridges.BadCredentials, Text: "The homeserver does not accept this access token.", Err: err.Err}
	case err != nil:
		return bridges.LoginStep{}, err
	case who == nil || who.UserID == "":
		return bridges.LoginStep{}, bridges.NewError(bridges.TemporaryRefuse, "The homeserver's answer could not be understood.")
	case c.user != "" && foldID(string(who.UserID)) != foldID(string(c.user)):
		return bridges.LoginStep{}, bridges.NewError(bridges.BadCredentials,
			"That logs in as "+printable(string(who.UserID))+", which is another account.")
	}
	if err := d.allowed(string(who.UserID)); err != nil {
		return bridges.LoginStep{}, err
	}
	c.user, c.device = who.UserID, or(who.DeviceID, c.device)
	return c.step(), nil
}

// Logout ends the session that logging in has made at the homeserver.
func (d *Driver) Logout(ctx context.Context, a bridges.Account) error {
	c, err := d.readCredentials(a)
	if err == nil {
		c, err = newTokens(ctx, a, c)
	}
	if err != nil {
		return nil // there is nothing to end, or nothing that could be asked
	}
	return asError(d.revoke(ctx, c))
}

// revoke makes credentials worthless.
func (d *Driver) revoke(ctx context.Context, c credentials) *bridges.Error {
	cli := d.client(c)
	err := d.request(ctx, func(ctx context.Context) error {
		if c.refresh != "" {
			return cli.OAuthRevokeToken(ctx)
		}
		_, err := cli.Logout(ctx)
		return err
	})
	if err != nil && err.Kind == bridges.BadCredentials {
		return nil // it has ended already
	}
	return err
}

// newDeviceID makes a name for a device of ours, where the homeserver does not.
func newDeviceID() id.DeviceID {
	var b [10]byte
	_, _ = rand.Read(b[:])
	return id.DeviceID(base32.StdEncoding.EncodeToString(b[:]))
}

// asError is err without the trap of a typed nil.
func asError(err *bridges.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// storedTokens is what refreshing has made of the tokens a login gave. It stands in
// State, since settings are not the driver's to change, and counts only with the
// login it began with.
type storedTokens struct {
	Login   string    `json:"login"` // the token of the login
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Expires time.Time `json:"expires"`
}

const stateTokens = bridges.SealedState + "tokens"

// newTokens puts the tokens of the last refresh in place.
func newTokens(ctx context.Context, a bridges.Account, c credentials) (credentials, error) {
	if a.State == nil || c.refresh == "" {
		return c, nil
	}
	values, err := a.State.Load(ctx, stateTokens)
	if err != nil {
		return c, fmt.Errorf("load tokens: %w", err)
	}
	var t storedTokens
	if raw := values[stateTokens]; raw != nil && json.Unmarshal(raw, &t) == nil && t.Login == c.token {
		c.token, c.refresh, c.expires = t.Access, t.Refresh, t.Expires
	}
	return c, nil
}

package matrix

import (
	"context"
	"net/url"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/oauth"

	"transportd/bridges"
)

// deviceCode is a login that the user confirms in a browser (OAuth 2.0 Device
// Authorization Grant, RFC 8628).
type deviceCode struct {
	c     credentials
	cli   *mautrix.Client
	code  *oauth.DeviceCodeResponse
	every time.Duration
	until time.Time
}

// Bounds on what a server may ask of who polls.
const (
	minPoll = time.Second
	maxPoll = time.Minute
	maxCode = time.Hour // that a code is good for
)

// askCode begins a login with a browser.
func (d *Driver) askCode(ctx context.Context, c credentials) (*deviceCode, error) {
	c.device = or(c.device, newDeviceID())
	cli := d.client(c)
	var meta *oauth.ServerMetadata
	err := d.request(ctx, func(ctx context.Context) (err error) { meta, err = cli.OAuthGetServerMetadata(ctx); return err })
	switch {
	case err != nil && (err.Kind == bridges.NotFound || err.Kind == bridges.Unsupported):
		return nil, bridges.NewError(bridges.Invalid, "Write the password: this homeserver does not log in with a browser.")
	case err != nil:
		return nil, err
	case meta == nil || meta.DeviceAuthorizationEndpoint == "" || !slices.Contains(meta.GrantTypesSupported, oauth.GrantTypeDeviceCode):
		return nil, bridges.NewError(bridges.Unsupported,
			"This homeserver logs in with a browser only in ways a gateway cannot offer. Use an access token of a session of yours.")
	}
	for _, endpoint := range []string{meta.DeviceAuthorizationEndpoint, meta.RegistrationEndpoint, meta.TokenEndpoint, meta.RevocationEndpoint} {
		if u, err := url.Parse(endpoint); err != nil || d.checkURL(u) != nil {
			return nil, bridges.NewError(bridges.Unsupported, "This homeserver names addresses for logging in that cannot be used here.")
		}
	}
	var client *oauth.ClientMetadata
	err = d.request(ctx, func(ctx context.Context) (err error) {
		client, err = cli.OAuthRegisterClient(ctx, &oauth.ClientMetadata{
			ApplicationType: oauth.ApplicationTypeNative, ClientName: d.cfg.DeviceName, ClientURI: d.cfg.ClientURI,
			GrantTypes:              []oauth.GrantType{oauth.GrantTypeDeviceCode, oauth.GrantTypeRefreshToken},
			TokenEndpointAuthMethod: oauth.AuthMethodNone,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	w := &deviceCode{c: c, cli: cli}
	w.c.clientID = client.ClientID
	err = d.request(ctx, func(ctx context.Context) (err error) {
		w.code, err = cli.OAuthGenerateDeviceCode(ctx, oauth.GenerateDeviceCodeParams{
			Scopes:     oauth.ScopeList{oauth.ScopeClientAPI, oauth.ScopeDevice(c.device)},
			UserIDHint: c.user,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.code == nil || w.code.DeviceCode == "" || w.code.VerificationURI == "" {
		return nil, bridges.NewError(bridges.TemporaryRefuse, "The homeserver's answer could not be understood.")
	}
	w.every = min(max(or(w.code.Interval.Duration, 5*time.Second), minPoll), maxPoll)
	w.until = time.Now().Add(min(or(w.code.ExpiresIn.Duration, maxCode), maxCode))
	return w, nil
}

// step says what the user is to do.
func (w *deviceCode) step() bridges.LoginStep {
	return bridges.LoginStep{
		Waits: true, URL: or(w.code.VerificationURIComplete, w.code.VerificationURI), Code: w.code.UserCode,
		Text: "Open the address in a browser, log in to your Matrix account there, and confirm the code.",
	}
}

// Wait polls until the user has confirmed a login in a browser.
func (l *login) Wait(ctx context.Context) (bridges.LoginStep, error) {
	w := l.code
	if w == nil {
		return bridges.LoginStep{}, bridges.NewError(bridges.Unsupported, "There is nothing to wait for.")
	}
	ctx, cancel := context.WithDeadline(ctx, w.until)
	defer cancel()
	for {
		if !sleep(ctx, w.every) {
			l.code = nil
			return bridges.LoginStep{}, bridges.NewError(bridges.Timeout, "The code was not confirmed in time.")
		}
		start := time.Now()
		var tokens *oauth.TokenResponse
		err := l.d.request(ctx, func(ctx context.Context) (err error) {
			tokens, err = w.cli.OAuthPollDeviceCode(ctx, oauth.PollDeviceCodeParams{DeviceCode: w.code.DeviceCode})
			return err
		})
		switch {
		case err == nil && tokens != nil && tokens.AccessToken != "":
			l.code = nil
			return l.confirmed(ctx, w, tokens, start)
		case err == nil, hasCode(err, "authorization_pending"):
		case hasCode(err, "slow_down"):
			w.every = min(w.every+5*time.Second, maxPoll) // RFC 8628, section 3.5
		case hasCode(err, "access_denied"):
			l.code = nil
			return bridges.LoginStep{}, bridges.NewError(bridges.Forbidden, "The login was refused in the browser.")
		case hasCode(err, "expired_token"):
			l.code = nil
			return bridges.LoginStep{}, bridges.NewError(bridges.Timeout, "The code was not confirmed in time.")
		case err.Kind == bridges.Offline, err.Kind == bridges.Timeout, err.Kind == bridges.TemporaryRefuse:
			w.every = min(w.every*2, maxPoll) // RFC 8628, section 3.5
		case err.Kind == bridges.RateLimited:
			w.every = min(max(w.every, err.RetryAfter), maxPoll)
		default:
			l.code = nil
			return bridges.LoginStep{}, err
		}
	}
}

// confirmed takes the tokens of a login. What turns out not to be wanted is ended.
func (l *login) confirmed(ctx context.Context, w *deviceCode, tokens *oauth.TokenResponse, start time.Time) (bridges.LoginStep, error) {
	c := w.c
	c.token, c.refresh, c.expires = tokens.AccessToken, tokens.RefreshToken, start.Add(tokens.ExpiresIn.Duration)
	step, err := l.d.finish(ctx, c)
	if err != nil {
		_ = l.d.revoke(context.WithoutCancel(ctx), c)
	}
	return step, err
}

// Cancel gives a login up: a code nobody polls for ends by itself.
func (l *login) Cancel() { l.code = nil }

// sleep waits, and tells whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package matrixtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/oauth"
)

// askCode registers a client and asks for a device code.
func askCode(t *testing.T, s *Server) (*mautrix.Client, *Grant, *oauth.DeviceCodeResponse) {
	t.Helper()
	c := dial(t, s)
	must(c.OAuthRegisterClient(t.Context(), &oauth.ClientMetadata{
		ClientName: "Test", ClientURI: "https://client.test/", GrantTypes: []oauth.GrantType{oauth.GrantTypeDeviceCode, oauth.GrantTypeRefreshToken},
		TokenEndpointAuthMethod: oauth.AuthMethodNone,
	}))(t)
	code := must(c.OAuthGenerateDeviceCode(t.Context(), oauth.GenerateDeviceCodeParams{
		Scopes: oauth.ScopeList{oauth.ScopeClientAPI, oauth.ScopeDevice("MYDEVICE")},
	}))(t)
	g := s.WaitGrant(t)
	if g.UserCode != code.UserCode || g.Device != "MYDEVICE" || !strings.HasPrefix(code.VerificationURIComplete, code.VerificationURI) {
		t.Fatalf("%+v, %+v", g, code)
	}
	return c, g, code
}

func wantOAuth(t *testing.T, err error, code string) {
	t.Helper()
	var e mautrix.HTTPError
	if !errors.As(err, &e) || !strings.Contains(e.ResponseBody, `"`+code+`"`) && !strings.Contains(err.Error(), code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestDeviceCode(t *testing.T) {
	s := Start(t, Config{OAuth: true, Interval: 2 * time.Second})
	c, g, code := askCode(t, s)
	if code.Interval.Duration != 2*time.Second || code.ExpiresIn.Duration < time.Minute {
		t.Fatalf("%+v", code)
	}
	poll := oauth.PollDeviceCodeParams{DeviceCode: code.DeviceCode, StoreCredentials: true}
	_, err := c.OAuthPollDeviceCode(t.Context(), poll)
	wantOAuth(t, err, "authorization_pending")
	g.SlowDown(1)
	_, err = c.OAuthPollDeviceCode(t.Context(), poll)
	wantOAuth(t, err, "slow_down")
	g.WaitPolls(t, 2)
	g.Approve(s.User("alice"))
	tok := must(c.OAuthPollDeviceCode(t.Context(), poll))(t)
	if tok.TokenType != "Bearer" || tok.RefreshToken == "" || tok.ExpiresIn.Duration != 5*time.Minute {
		t.Fatalf("%+v", tok)
	}
	if me := must(c.Whoami(t.Context()))(t); me.UserID != "@alice:hs.test" || me.DeviceID != id.DeviceID("MYDEVICE") {
		t.Fatalf("%+v", me)
	}
	_, err = c.OAuthPollDeviceCode(t.Context(), poll)
	wantOAuth(t, err, "invalid_grant")
	c.SaveNewToken = func(context.Context, string, string, time.Time) error { return nil }
	if err := c.OAuthRefreshToken(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if c.AccessToken == tok.AccessToken {
		t.Fatal("the token is the old one")
	}
	must(c.Whoami(t.Context()))(t)
	if err := c.OAuthRevokeToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids := s.User("alice").Devices(); len(ids) != 0 {
		t.Fatalf("%v", ids)
	}
}

func TestDeviceCodeRefused(t *testing.T) {
	s := Start(t, Config{OAuth: true})
	for want, f := range map[string]func(*Grant){"access_denied": (*Grant).Deny, "expired_token": (*Grant).Expire} {
		c, g, code := askCode(t, s)
		f(g)
		_, err := c.OAuthPollDeviceCode(t.Context(), oauth.PollDeviceCodeParams{DeviceCode: code.DeviceCode})
		wantOAuth(t, err, want)
	}
	c, _, _ := askCode(t, s)
	_, err := c.OAuthGenerateDeviceCode(t.Context(), oauth.GenerateDeviceCodeParams{Scopes: oauth.ScopeList{oauth.ScopeClientAPI}})
	wantOAuth(t, err, "invalid_scope")
	_, err = c.OAuthGenerateDeviceCode(t.Context(), oauth.GenerateDeviceCodeParams{ClientID: "nobody"})
	wantOAuth(t, err, "invalid_client")
}

func TestNoOAuth(t *testing.T) {
	_, err := dial(t, New(t)).OAuthGetServerMetadata(t.Context())
	wantErr(t, err, mautrix.MUnrecognized)
}

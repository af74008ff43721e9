package matrix

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// refused is the *Error of a login.
func refused(t *testing.T, d *Driver, answers map[string]string) *bridges.Error {
	t.Helper()
	step, err := d.NewLogin(bridges.Account{Network: theNetwork}).Answer(t.Context(), answers)
	var e *bridges.Error
	if !errors.As(err, &e) || e.Text == "" {
		t.Fatalf("Answer: %+v, %v", step, err)
	}
	return e
}

func TestLoginWithPassword(t *testing.T) {
	srv := matrixtest.New(t)
	d := newDriver(t, Config{})
	alice := srv.User("alice")
	answers := map[string]string{setUser: alice.ID, setPassword: alice.Password, setHomeserver: srv.URL}
	step, err := d.NewLogin(bridges.Account{Network: theNetwork}).Answer(t.Context(), answers)
	if err != nil || !step.Done {
		t.Fatalf("Answer: %+v, %v", step, err)
	}
	if step.Settings[setUserID] != alice.ID || step.Settings[setHomeserver] != srv.URL || step.Settings[setDevice] == "" || step.Secrets[setToken] == "" {
		t.Errorf("settings %v, %d secrets", step.Settings, len(step.Secrets))
	}
	for _, values := range []map[string]string{step.Settings, step.Secrets} {
		for name, value := range values {
			if strings.Contains(value, alice.Password) {
				t.Errorf("the password is stored as %s", name)
			}
		}
	}
	stored := bridges.Account{Network: theNetwork, Settings: step.Settings}
	again, err := d.NewLogin(stored).Answer(t.Context(), answers)
	if err != nil || again.Settings[setDevice] != step.Settings[setDevice] {
		t.Errorf("logged in again as the device %q, was %q: %v", again.Settings[setDevice], step.Settings[setDevice], err)
	}
	if n := len(alice.Devices()); n != 1 {
		t.Errorf("%d devices", n)
	}
	stored.Settings[setToken] = again.Secrets[setToken]
	if err := d.Logout(t.Context(), stored); err != nil {
		t.Errorf("Logout: %v", err)
	}
	if n := len(alice.Devices()); n != 0 {
		t.Errorf("%d devices after the logout", n)
	}
	if err := d.Logout(t.Context(), stored); err != nil {
		t.Errorf("a second Logout: %v", err)
	}
}

func TestLoginRefused(t *testing.T) {
	srv := matrixtest.New(t)
	alice := srv.User("alice")
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	token, _ := srv.User("mallory").Login("HERS")
	for name, c := range map[string]struct {
		answers map[string]string
		config  Config
		kind    bridges.ErrorKind
	}{
		"wrong password": {map[string]string{setUser: alice.ID, setPassword: "wrong", setHomeserver: srv.URL}, Config{}, bridges.BadCredentials},
		"nobody":         {map[string]string{setUser: "@nobody:hs.test", setPassword: "wrong", setHomeserver: srv.URL}, Config{}, bridges.BadCredentials},
		"wrong token":    {map[string]string{setUser: alice.ID, setToken: "wrong", setHomeserver: srv.URL}, Config{}, bridges.BadCredentials},
		"another's":      {map[string]string{setUser: alice.ID, setToken: token, setHomeserver: srv.URL}, Config{}, bridges.BadCredentials},
		"no Matrix":      {map[string]string{setUser: alice.ID, setPassword: "x", setHomeserver: web.URL}, Config{}, bridges.NotFound},
		"gone":           {map[string]string{setUser: alice.ID, setPassword: "x", setHomeserver: gone.URL}, Config{}, bridges.Offline},
		"no id":          {map[string]string{setUser: "two words", setPassword: "x"}, Config{}, bridges.Invalid},
		"no password":    {map[string]string{setUser: alice.ID, setHomeserver: srv.URL}, Config{}, bridges.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			if e := refused(t, newDriver(t, c.config), c.answers); e.Kind != c.kind {
				t.Errorf("kind %d, want %d: %+v", e.Kind, c.kind, e)
			}
		})
	}
}

// TestAllowed: accounts of servers the operator does not name, and servers at private
// addresses, are refused before anything is sent there.
func TestAllowed(t *testing.T) {
	asked := 0
	web := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer web.Close()
	for name, c := range map[string]struct {
		config  Config
		answers map[string]string
	}{
		"another server": {Config{Homeservers: []string{"*.example.org"}, AllowPrivate: true}, map[string]string{setUser: "@a:hs.test", setPassword: "x", setHomeserver: web.URL}},
		"another address": {Config{Homeservers: []string{"hs.example.org"}, AllowPrivate: true},
			map[string]string{setUser: "@a:hs.example.org", setPassword: "x", setHomeserver: web.URL}},
		"a private address": {Config{Homeservers: []string{"*"}}, map[string]string{setUser: "@a:hs.test", setPassword: "x", setHomeserver: web.URL}},
		"a private server":  {Config{Homeservers: []string{"*"}}, map[string]string{setUser: "@a:" + strings.TrimPrefix(web.URL, "https://"), setPassword: "x"}},
		"without TLS":       {Config{Homeservers: []string{"*"}}, map[string]string{setUser: "@a:hs.test", setPassword: "x", setHomeserver: "http://hs.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := New(c.config)
			if err != nil {
				t.Fatal(err)
			}
			if e := refused(t, d, c.answers); e.Kind != bridges.Forbidden {
				t.Errorf("%+v", e)
			}
		})
	}
	if asked != 0 {
		t.Errorf("the server was asked %d times", asked)
	}
}

// TestDiscovery: a server that names another place is followed there, and its name is
// enough.
func TestDiscovery(t *testing.T) {
	srv := matrixtest.Start(t, matrixtest.Config{Found: true, TLS: true})
	d := newDriver(t, Config{})
	d.transport.TLSClientConfig = &tls.Config{RootCAs: srv.RootCAs(), MinVersion: tls.VersionTLS12}
	alice := srv.User("alice")
	step, err := d.NewLogin(bridges.Account{Network: theNetwork}).Answer(t.Context(), map[string]string{setUser: alice.ID, setPassword: alice.Password})
	if err != nil || step.Settings[setHomeserver] != srv.URL {
		t.Errorf("Answer: %+v, %v", step.Settings, err)
	}
}

// TestLoginWithBrowser: without a password the user confirms a code elsewhere, and the
// tokens that come of it are renewed when they end.
func TestLoginWithBrowser(t *testing.T) {
	srv := matrixtest.Start(t, matrixtest.Config{OAuth: true, NoPassword: true})
	d := newDriver(t, Config{})
	alice := srv.User("alice")
	l := d.NewLogin(bridges.Account{Network: theNetwork})
	step, err := l.Answer(t.Context(), map[string]string{setUser: alice.ID, setHomeserver: srv.URL})
	if err != nil || step.Done || !step.Waits || step.URL == "" || step.Code == "" || step.Text == "" {
		t.Fatalf("Answer: %+v, %v", step, err)
	}
	g := srv.WaitGrant(t)
	g.Approve(alice)
	step, err = l.Wait(t.Context())
	if err != nil || !step.Done || step.Secrets[setRefresh] == "" || step.Settings[setUserID] != alice.ID {
		t.Fatalf("Wait: %+v, %v", step.Settings, err)
	}
	if got := step.Settings[setDevice]; !slices.Contains(alice.Devices(), got) {
		t.Errorf("the device %q is none of %q", got, alice.Devices())
	}

	l = d.NewLogin(bridges.Account{Network: theNetwork})
	if _, err = l.Answer(t.Context(), map[string]string{setUser: alice.ID, setHomeserver: srv.URL}); err != nil {
		t.Fatal(err)
	}
	srv.WaitGrant(t).Deny()
	var e *bridges.Error
	if _, err := l.Wait(t.Context()); !errors.As(err, &e) || e.Kind != bridges.Forbidden {
		t.Errorf("Wait after a refusal: %v", err)
	}
	if _, err := l.Wait(t.Context()); !errors.As(err, &e) || e.Kind != bridges.Unsupported {
		t.Errorf("Wait with nothing to wait for: %v", err)
	}
}

// TestLoginTaken: whose code is confirmed by somebody else is not let in, and nothing
// is left of it.
func TestLoginTaken(t *testing.T) {
	srv := matrixtest.Start(t, matrixtest.Config{OAuth: true, NoPassword: true})
	d := newDriver(t, Config{})
	alice, mallory := srv.User("alice"), srv.User("mallory")
	l := d.NewLogin(bridges.Account{Network: theNetwork})
	if _, err := l.Answer(t.Context(), map[string]string{setUser: alice.ID, setHomeserver: srv.URL}); err != nil {
		t.Fatal(err)
	}
	srv.WaitGrant(t).Approve(mallory)
	var e *bridges.Error
	if _, err := l.Wait(t.Context()); !errors.As(err, &e) || e.Kind != bridges.BadCredentials {
		t.Errorf("Wait: %v", err)
	}
	if n := len(mallory.Devices()); n != 0 {
		t.Errorf("%d devices are left", n)
	}
}

// TestWithoutAccount: nobody gets in without having logged in.
func TestWithoutAccount(t *testing.T) {
	d := newDriver(t, Config{})
	var e *bridges.Error
	if _, err := d.Open(bridges.Account{Network: theNetwork}, nil); !errors.As(err, &e) || e.Kind != bridges.NeedsAccount || e.Text == "" {
		t.Errorf("Open: %v", err)
	}
	if err := d.Logout(context.Background(), bridges.Account{Network: theNetwork}); err != nil {
		t.Errorf("Logout: %v", err)
	}
}

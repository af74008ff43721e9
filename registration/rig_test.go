package registration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
)

const (
	gatewayJID = "net.example.org"
	juliet     = "juliet@example.org/balcony"
)

// rig is a gateway's registration without a stream.
type rig struct {
	t        *testing.T
	driver   *fakeDriver
	accounts *memory
	sessions *calls
	services component.Services
	service  *Service
	barred   bool        // nobody may use the gateway
	down     atomic.Bool // there is no stream to send on

	mu  sync.Mutex
	out []*component.Stanza
}

func newRig(t *testing.T, cfg Config) *rig {
	r := &rig{t: t, driver: &fakeDriver{}, accounts: newMemory(), sessions: &calls{}}
	if d, ok := cfg.Driver.(*fakeDriver); ok {
		r.driver = d
	}
	domain := component.JID{Domain: gatewayJID}
	r.services = component.Services{Disco: component.NewDisco(), Reply: r.keep}
	r.services.Router = component.NewRouter(domain, func(to component.JID) (component.AddressKind, error) {
		if to.Local == "" {
			return component.AddressHost, nil
		}
		return component.AddressNetwork, nil
	}, r.keep)
	send := func(_ context.Context, o *component.Out) error {
		if r.down.Load() {
			return component.ErrDown
		}
		r.keep(o)
		return nil
	}
	workers := component.NewWorkers(4, 64, nil)
	commands := component.NewCommands(component.CommandsConfig{Reply: r.keep, Send: send, Workers: workers})

	cfg.Domain, cfg.Name, cfg.Driver, cfg.Accounts, cfg.Sessions, cfg.Admin = domain, "Fake gateway", r.driver, r.accounts, r.sessions, r.sessions
	cfg.Workers, cfg.Send, cfg.Reply, cfg.StanzaError = workers, send, r.keep, stanzaError
	cfg.Allowed = func(user component.JID) bool { return !r.barred && user.IsBare() && user.Domain == "example.org" }
	cfg.IsAdmin = func(user component.JID) bool { return user.String() == "admin@example.org" }
	s := New(cfg, commands)
	s.Handle(r.services)
	component.HandleCommands(r.services, commands, component.AddressHost, component.AddressNetwork)
	component.HandleChat(r.services, commands, component.AddressHost)
	component.HandleDisco(r.services, component.AddressHost)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = workers.Run(ctx); close(ended) }()
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		<-ended
	})
	r.service = s
	return r
}

// stanzaError turns errors of drivers into stanza errors, as far as it matters.
func stanzaError(err error) *component.StanzaError {
	var se *component.StanzaError
	if errors.As(err, &se) {
		return se
	}
	switch e := bridges.AsError(err); e.Kind {
	case bridges.NotFound:
		return component.NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", e.Text)
	case bridges.Offline:
		return component.NewStanzaError(stanza.ErrorTypeWait, "recipient-unavailable", e.Text)
	case bridges.Timeout:
		return component.NewStanzaError(stanza.ErrorTypeWait, "remote-server-timeout", e.Text)
	case bridges.Internal:
		return component.NewStanzaError(stanza.ErrorTypeWait, "internal-server-error", "Something went wrong.")
	default:
		return component.NewStanzaError(stanza.ErrorTypeAuth, "not-authorized", e.Text)
	}
}

func (r *rig) keep(o *component.Out) bool {
	xml, err := component.Encode(o, gatewayJID)
	if err != nil {
		r.t.Error(err)
		return false
	}
	s, err := component.ParseStanza(xml)
	if err != nil {
		r.t.Errorf("%v in %s", err, xml)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, s)
	return true
}

// route gives XML to the gateway, waits until it has done all it does about it
// (but for what takes time) and returns what it sent.
func (r *rig) route(xml string) []*component.Stanza {
	r.t.Helper()
	s, err := component.ParseStanza(xml)
	if err != nil {
		r.t.Fatalf("%v in %s", err, xml)
	}
	r.services.Router.Route(s)
	return r.sent()
}

func (r *rig) sent() []*component.Stanza {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.out
	r.out = nil
	return all
}

// short describes stanzas: presences by type and address, answers by their
// error or the name of their payload, messages by their body.
func short(all []*component.Stanza) string {
	var parts []string
	for _, s := range all {
		var text string
		body, _ := s.Body()
		switch {
		case s.IsError():
			e := s.StanzaError()
			text = fmt.Sprintf("error %s %s: %s", e.Type, e.Condition, e.Text)
		case s.Kind == component.KindPresence:
			text = s.Type + " from " + s.From.String()
		case s.Kind == component.KindMessage:
			text = "message: " + body
		case s.Payload() == nil:
			text = "result"
		default:
			text = "result " + s.Payload().Name
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// iq sends a registration query.
func (r *rig) iq(typ, to, children string) []*component.Stanza {
	r.t.Helper()
	return r.route(`<iq type='` + typ + `' id='r1' from='` + juliet + `' to='` + to + `'><query xmlns='jabber:iq:register'>` + children + `</query></iq>`)
}

// say writes to the gateway in the chat and returns what it says.
func (r *rig) say(text string) string { return r.saying(juliet, text) }

func (r *rig) saying(from, text string) string {
	r.t.Helper()
	var said []string
	for _, s := range r.route(`<message type='chat' id='m1' from='` + from + `' to='` + gatewayJID + `'><body>` + text + `</body></message>`) {
		if body, ok := s.Body(); ok {
			said = append(said, body)
		}
	}
	return strings.Join(said, "\n---\n")
}

func (r *rig) presence(typ, to string) []*component.Stanza {
	r.t.Helper()
	return r.route(`<presence type='` + typ + `' from='juliet@example.org' to='` + to + `'/>`)
}

// stored shows what is stored of a user, passwords too.
func (r *rig) stored() string {
	r.accounts.mu.Lock()
	defer r.accounts.mu.Unlock()
	user := component.JID{Local: "juliet", Domain: "example.org"}
	var parts []string
	for _, a := range r.accounts.accounts[user] {
		all := maps.Clone(a.Settings)
		for name, secret := range a.Secrets {
			all[name] = "secret " + secret
		}
		parts = append(parts, fmt.Sprintf("%s %v", a.Network, all))
	}
	return strings.Join(parts, "; ")
}

// register puts an account in place.
func (r *rig) register(networks ...bridges.NetworkID) {
	user := component.JID{Local: "juliet", Domain: "example.org"}
	for _, n := range networks {
		_ = r.accounts.Put(context.Background(), user, Account{
			Network:  n,
			Settings: map[string]string{"nick": "julie", "tls": "true"},
			Secrets:  map[string]string{"password": "right"},
		})
	}
	r.accounts.in[user] = true
}

func (r *rig) loggedIn() bool {
	r.accounts.mu.Lock()
	defer r.accounts.mu.Unlock()
	return r.accounts.in[component.JID{Local: "juliet", Domain: "example.org"}]
}

// form is a form that answers fields, given as var, value pairs.
func form(pairs ...string) string {
	xml := `<x xmlns='jabber:x:data' type='submit'>`
	for i := 0; i < len(pairs); i += 2 {
		xml += `<field var='` + pairs[i] + `'><value>` + pairs[i+1] + `</value></field>`
	}
	return xml + `</x>`
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// scenario runs f with time that only passes when nothing else is to be done.
func scenario(t *testing.T, cfg Config, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, cfg)) })
}

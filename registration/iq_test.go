package registration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

func TestInBandFromNothingToNothing(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		const one = "one@" + gatewayJID
		form1 := r.iq("get", one, "")
		query, err := xep.ParseRegister(form1[0].Payload())
		if err != nil || query.Registered {
			t.Fatalf("the form of a stranger: %+v, %v", query, err)
		}
		expect(t, "plain fields", names(query), "nick password")
		expect(t, "form fields", vars(query.Form), "FORM_TYPE nick password tls rooms key save-unchecked")

		expect(t, "without a nick", short(r.iq("set", one, `<password>right</password>`)), "error modify not-acceptable: “Nick” is needed.")
		expect(t, "wrong password", short(r.iq("set", one, `<nick>julie</nick><password>wrong</password>`)), "error modify not-acceptable: SASL authentication failed.")
		expect(t, "nothing is saved yet", r.stored(), "")
		expect(t, "registered", short(r.iq("set", one, `<nick>julie</nick><password>right</password>`)), "result; subscribe from "+gatewayJID)
		expect(t, "what is stored", r.stored(), "one map[nick:julie password:secret right tls:true]")
		expect(t, "what the session is told", r.sessions.since(), `login juliet@example.org "one"`)

		expect(t, "the user accepts", short(r.presence("subscribed", gatewayJID)), "")
		expect(t, "and subscribes", short(r.presence("subscribe", gatewayJID)), "subscribed from "+gatewayJID)
		expect(t, "the session is told", r.sessions.since(), "subscribed juliet@example.org "+gatewayJID+" true")

		shown := r.iq("get", one, "")
		query, _ = xep.ParseRegister(shown[0].Payload())
		if nick, _ := query.Value("nick"); !query.Registered || nick != "julie" || query.Form.Value("nick") != "julie" {
			t.Errorf("the form of who is registered: %+v", query)
		}
		if strings.Contains(shown[0].String(), "right") {
			t.Errorf("the password is shown: %s", shown[0])
		}

		expect(t, "a blank password keeps it", short(r.iq("set", one, `<nick>julia</nick><password/>`)), "result")
		expect(t, "a data form", short(r.iq("set", one, form("nick", "jule", "tls", "0", "rooms", "#a&#10;#b"))), "result")
		expect(t, "what is stored then", r.stored(), "one map[nick:jule password:secret right rooms:#a\n#b tls:false]")
		r.sessions.since()

		expect(t, "removed", short(r.iq("set", one, `<remove/>`)), "result; unsubscribe from "+gatewayJID+"; unsubscribed from "+gatewayJID+"; unavailable from "+gatewayJID+
			"; unsubscribe from "+one+"; unsubscribed from "+one+"; unavailable from "+one)
		expect(t, "nothing is left", r.stored(), "")
		expect(t, "no subscription is left", subscriptions(r), "0")
		expect(t, "the session is told", r.sessions.since(), `remove juliet@example.org ""; subscribed juliet@example.org `+gatewayJID+" false")
		expect(t, "removed twice", short(r.iq("set", one, `<remove/>`)), "error auth registration-required: You are not registered.")
	})
}

func subscriptions(r *rig) string {
	r.accounts.mu.Lock()
	defer r.accounts.mu.Unlock()
	n := 0
	for _, all := range r.accounts.subs {
		n += len(all)
	}
	return string(rune('0' + n))
}

func names(q xep.Register) string {
	var all []string
	for _, f := range q.Fields {
		all = append(all, f.Name)
	}
	return strings.Join(all, " ")
}

func vars(f *component.Form) string {
	var all []string
	for _, field := range f.Fields {
		all = append(all, field.Var)
	}
	return strings.Join(all, " ")
}

// The domain takes a field for the network, and removes everything.
func TestInBandAtTheDomain(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		query, _ := xep.ParseRegister(r.iq("get", gatewayJID, "")[0].Payload())
		expect(t, "form fields", vars(query.Form), "FORM_TYPE network nick password tls rooms key save-unchecked")
		if !strings.Contains(query.Instructions, "one@"+gatewayJID) {
			t.Errorf("the instructions do not tell where plain fields work: %s", query.Instructions)
		}
		plain := r.iq("set", gatewayJID, `<nick>julie</nick><password>right</password>`)
		expect(t, "plain fields cannot name the network", short(plain),
			"error modify not-acceptable: The network is missing. Name it, or register at the address of the network itself, such as one@"+gatewayJID+".")
		expect(t, "an unknown network", short(r.iq("set", gatewayJID, form("network", "three", "nick", "julie"))),
			"error modify not-acceptable: There is no network of that name.")
		expect(t, "a person is no network", short(r.iq("set", gatewayJID, form("network", "a%one", "nick", "julie"))),
			"error modify not-acceptable: This is not the name of a network.")
		for i, network := range []string{"two", "one"} {
			if i == 1 {
				only, _ := xep.ParseRegister(r.iq("get", gatewayJID, "")[0].Payload())
				expect(t, "the only account is shown", only.Form.Value("network")+" "+only.Form.Value("nick"), "two julie")
				expect(t, "without its name", short(r.iq("set", gatewayJID, form("network", "", "nick", "j")))[:6], "result")
				expect(t, "it is changed", r.stored(), "two map[nick:j password:secret right tls:true]")
				expect(t, "with its name too", short(r.iq("set", gatewayJID, form("network", "two", "nick", "julie", "password", "")))[:6], "result")
			}
			got := r.iq("set", gatewayJID, form("network", network, "nick", "julie", "password", "right"))
			if got[0].IsError() {
				t.Errorf("registering with %s: %s", network, short(got))
			}
		}
		expect(t, "what is stored", r.stored(), "one map[nick:julie password:secret right tls:true]; two map[nick:julie password:secret right tls:true]")
		expect(t, "which one is meant is not guessed", short(r.iq("set", gatewayJID, form("nick", "jule")))[:55], "error modify not-acceptable: The network is missing. Na")
		expect(t, "what the form did not show is not changed", short(r.iq("set", gatewayJID, form("network", "one", "nick", "jule", "password", ""))),
			"error modify not-acceptable: You are registered with First Net already. To change that account, use one@"+gatewayJID+", or write “register one” to "+gatewayJID+".")
		expect(t, "it is changed where it is", short(r.iq("set", "one@"+gatewayJID, form("nick", "jule", "password", "")))[:6], "result")

		r.presence("subscribe", "one@"+gatewayJID)
		r.presence("subscribe", "two@"+gatewayJID)
		expect(t, "one is removed, with its address", short(r.iq("set", "two@"+gatewayJID, `<remove/>`)),
			"result; unsubscribe from two@"+gatewayJID+"; unsubscribed from two@"+gatewayJID+"; unavailable from two@"+gatewayJID)
		expect(t, "the other stays", r.stored(), "one map[nick:jule password:secret right tls:true]")
		expect(t, "all is removed", short(r.iq("set", gatewayJID, `<remove/>`))[:6], "result")
		expect(t, "nothing is left", r.stored()+subscriptions(r), "0")
	})
}

func TestInBandWithOneFixedNetwork(t *testing.T) {
	scenario(t, Config{Driver: &fakeDriver{fixed: "one"}}, func(t *testing.T, r *rig) {
		query, _ := xep.ParseRegister(r.iq("get", gatewayJID, "")[0].Payload())
		expect(t, "form fields", vars(query.Form), "FORM_TYPE nick password tls rooms key save-unchecked")
		expect(t, "registered", short(r.iq("set", gatewayJID, `<nick>julie</nick><password>right</password>`)), "result; subscribe from "+gatewayJID)
		expect(t, "what is stored", r.stored(), "one map[nick:julie password:secret right tls:true]")
		expect(t, "in the chat", r.say("show"), "First Net: connected to one\nNick: julie\nPassword: stored, not shown\nTLS: yes")
		expect(t, "removed", short(r.iq("set", gatewayJID, `<remove/>`)),
			"result; unsubscribe from "+gatewayJID+"; unsubscribed from "+gatewayJID+"; unavailable from "+gatewayJID)
	})
}

// A network that is down cannot say anything against an account.
func TestInBandWhileTheNetworkIsDown(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		const one = "one@" + gatewayJID
		r.driver.down = true
		got := short(r.iq("set", one, `<nick>julie</nick><password>x</password>`))
		if !strings.HasPrefix(got, "error wait recipient-unavailable: The server refuses connections. Nothing was saved. To save it all the same") {
			t.Errorf("got %s", got)
		}
		expect(t, "nothing is saved", r.stored(), "")
		expect(t, "saved unchecked", short(r.iq("set", one, form("nick", "julie", "password", "x", "save-unchecked", "true"))), "result; subscribe from "+gatewayJID)
		expect(t, "what is stored", r.stored(), "one map[nick:julie password:secret x tls:true]")
		r.driver.down = false
		expect(t, "a refusal is never overridden", short(r.iq("set", one, form("nick", "root", "save-unchecked", "true"))), "error modify not-acceptable: The nick root is held.")
	})
}

// Clients give up an IQ after about half a minute: the answer comes before.
func TestInBandAnswersInTime(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.driver.delay = time.Hour
		begun := time.Now()
		if got := r.iq("set", "one@"+gatewayJID, `<nick>julie</nick><password>x</password>`); len(got) != 0 {
			t.Fatalf("answered already: %s", short(got))
		}
		time.Sleep(21 * time.Second)
		got := short(r.sent())
		if !strings.HasPrefix(got, "error wait remote-server-timeout: The network did not answer in time. Nothing was saved.") {
			t.Errorf("after %v: %s", time.Since(begun), got)
		}
	})
}

func TestInBandRefusals(t *testing.T) {
	scenario(t, Config{Limits: Limits{UserBurst: 3, UserEvery: time.Minute}}, func(t *testing.T, r *rig) {
		const one = "one@" + gatewayJID
		for name, c := range map[string]struct{ typ, to, children, want string }{
			"no such network":  {"get", "three@" + gatewayJID, "", "error cancel item-not-found: There is no network of that name."},
			"a form of no use": {"set", one, `<x xmlns='jabber:x:data' type='form'/>`, "error modify not-acceptable: The form is not an answer."},
			"a form of none":   {"set", one, `<x xmlns='jabber:x:data' type='x'/>`, "error modify bad-request: The form has no type that is known."},
			"two lines":        {"set", one, `<nick>a&#10;QUIT</nick>`, "error modify not-acceptable: “Nick” takes one line."},
			"too long":         {"set", one, `<nick>` + strings.Repeat("x", 2000) + `</nick>`, "error modify not-acceptable: “Nick” is too long."},
			"cancelled":        {"set", one, `<x xmlns='jabber:x:data' type='cancel'/>`, "result"},
			"remove and more":  {"set", one, `<remove/><nick>julie</nick>`, "error modify bad-request: To remove an account, send nothing but that."},
			"nothing":          {"set", one, ``, "error modify not-acceptable: “Nick” is needed."},
		} {
			expect(t, name, short(r.iq(c.typ, c.to, c.children)), c.want)
		}
		if len(r.driver.checked) != 0 {
			t.Errorf("the network was asked about %v", r.driver.checked)
		}
		for range 3 {
			r.iq("set", one, `<nick>julie</nick><password>guess</password>`)
		}
		expect(t, "too many attempts", short(r.iq("set", one, `<nick>julie</nick><password>right</password>`)),
			"error wait resource-constraint: There were too many attempts. Please wait a while and try again.")
		time.Sleep(time.Minute)
		expect(t, "later", short(r.iq("set", one, `<nick>julie</nick><password>right</password>`))[:6], "result")

		r.driver.broken = errors.New("dial tcp 192.0.2.7: token hunter2")
		time.Sleep(time.Minute)
		expect(t, "a fault of ours", short(r.iq("set", one, `<nick>julie</nick>`)), "error wait internal-server-error: Something went wrong.")
		r.accounts.fail = errors.New("disk hunter2")
		expect(t, "a fault of the store", short(r.iq("get", one, "")), "error wait internal-server-error: Something went wrong.")
		r.accounts.fail = nil

		r.barred = true
		expect(t, "who may not use it", short(r.iq("get", one, "")), "error auth forbidden: You may not use this gateway.")
		expect(t, "nor register", short(r.iq("set", one, `<nick>julie</nick>`)), "error auth forbidden: You may not use this gateway.")
		expect(t, "may still remove", short(r.iq("set", one, `<remove/>`))[:6], "result")
	})
}

func TestANegativeLimitIsNone(t *testing.T) {
	l := newLimiter(Limits{UserEvery: -1, DomainEvery: -1})
	for i := range 1000 {
		if err := l.attempt(component.JID{Local: "juliet", Domain: "example.org"}); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
}

func TestLimitsAreReplaced(t *testing.T) {
	scenario(t, Config{Limits: Limits{UserBurst: 1, UserEvery: time.Hour}}, func(t *testing.T, r *rig) {
		user := component.JID{Local: "juliet", Domain: "example.org"}
		attempts := func() (n int) {
			for n < 10 && r.service.limit.attempt(user) == nil {
				n++
			}
			return n
		}
		expect(t, "at first", attempts(), 1)
		r.service.SetLimits(Limits{UserBurst: 1, UserEvery: time.Hour})
		expect(t, "what has not changed does not begin anew", attempts(), 0)
		r.service.SetLimits(Limits{UserBurst: 3, UserEvery: time.Hour})
		expect(t, "more", attempts(), 3)
		r.service.SetLimits(Limits{UserEvery: -1})
		expect(t, "without a limit", attempts(), 10)
	})
}

func TestLimitsAreByDomainToo(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, _ *rig) {
		l := newLimiter(Limits{UserBurst: 10, DomainBurst: 3})
		user := func(name string) component.JID { return component.JID{Local: name, Domain: "example.org"} }
		for _, name := range []string{"a", "b", "c"} {
			if err := l.attempt(user(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if l.attempt(user("d")) == nil {
			t.Error("a domain has no limit")
		}
		if err := l.attempt(component.JID{Local: "a", Domain: "example.net"}); err != nil {
			t.Errorf("another domain: %v", err)
		}
	})
}

func TestLimiterIsBounded(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, _ *rig) {
		l := newLimiter(Limits{DomainBurst: 1 << 20})
		for i := range maxBuckets + 10 {
			_ = l.attempt(component.JID{Local: "u" + time.Duration(i).String(), Domain: "example.org"})
		}
		if len(l.buckets) > maxBuckets {
			t.Errorf("%d buckets are kept", len(l.buckets))
		}
		if l.attempt(component.JID{Local: "late", Domain: "example.org"}) == nil {
			t.Error("a user is let in whose attempts cannot be counted")
		}
		time.Sleep(24 * time.Hour)
		if err := l.attempt(component.JID{Local: "late", Domain: "example.org"}); err != nil {
			t.Errorf("a day later: %v", err)
		}
	})
}

func TestMergeForgetsSecrets(t *testing.T) {
	fields := (&fakeDriver{}).Fields("one")
	stored := &Account{Network: "one", Settings: map[string]string{"nick": "julie"}, Secrets: map[string]string{"password": "x", "key": "y"}}
	a := merge(fields, stored, component.Values{"password": {""}, fieldForget: {"key"}, "nick": {"j"}})
	if len(a.Secrets) != 1 || a.Secrets["password"] != "x" || stored.Secrets["key"] != "y" {
		t.Errorf("got %v, and of what was stored %v is left", a.Secrets, stored.Secrets)
	}
	if a.Network != bridges.NetworkID("one") {
		t.Errorf("the network became %q", a.Network)
	}
}

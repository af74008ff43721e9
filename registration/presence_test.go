package registration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"transportd/component"
)

func TestSubscriptions(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		const one = "one@" + gatewayJID
		expect(t, "who is not registered may subscribe", short(r.presence("subscribe", gatewayJID)),
			"subscribed from "+gatewayJID+"; subscribe from "+gatewayJID)
		expect(t, "to a network too", short(r.presence("subscribe", one)), "subscribed from "+one+"; subscribe from "+one)
		expect(t, "the sessions are told", r.sessions.since(),
			"subscribed juliet@example.org "+gatewayJID+" true; subscribed juliet@example.org "+one+" true")
		expect(t, "it is answered again", short(r.presence("subscribe", gatewayJID)),
			"subscribed from "+gatewayJID+"; subscribe from "+gatewayJID)
		expect(t, "once both ways", short(r.presence("subscribed", gatewayJID)), "")
		expect(t, "nothing more is asked for", short(r.presence("subscribe", gatewayJID)), "subscribed from "+gatewayJID)
		expect(t, "two are stored", subscriptions(r), "2")
		r.sessions.since()

		expect(t, "a probe", short(r.presence("probe", gatewayJID)), "")
		expect(t, "is the sessions'", r.sessions.since(), "probed juliet@example.org "+gatewayJID)

		expect(t, "taken back by the user", short(r.presence("unsubscribed", gatewayJID)), "")
		expect(t, "unsubscribed", short(r.presence("unsubscribe", gatewayJID)), "unsubscribed from "+gatewayJID+"; unavailable from "+gatewayJID)
		expect(t, "one is stored", subscriptions(r), "1")
		expect(t, "nobody was logged out", r.sessions.since(), "subscribed juliet@example.org "+gatewayJID+" false")
	})
}

// What is removed sends no presence any more, also when the user registers again.
func TestRemovalEndsSubscriptions(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one", "two")
		for _, local := range []string{"", "one@", "two@"} {
			r.presence("subscribe", local+gatewayJID)
		}
		r.sessions.since()
		r.iq("set", "one@"+gatewayJID, "<remove/>")
		expect(t, "the session is told of the network", r.sessions.since(),
			`remove juliet@example.org "one"; subscribed juliet@example.org one@`+gatewayJID+" false")
		expect(t, "the others are stored", subscriptions(r), "2")
		r.iq("set", gatewayJID, "<remove/>")
		expect(t, "the session is told of the rest", r.sessions.since(),
			`remove juliet@example.org ""; subscribed juliet@example.org `+gatewayJID+" false; subscribed juliet@example.org two@"+gatewayJID+" false")
		expect(t, "nothing is stored", subscriptions(r), "0")
	})
}

// Who registers is logged in, also with a network they had logged out of; who
// changes an account stays as they are.
func TestRegisteringLogsIn(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.iq("set", "one@"+gatewayJID, "<nick>julie</nick><password>right</password>")
		expect(t, "the first time", r.sessions.since(), `login juliet@example.org "one"`)
		r.iq("set", "one@"+gatewayJID, "<nick>jule</nick>")
		expect(t, "a change", r.sessions.since(), `reload juliet@example.org "one"`)
	})
}

// What could not be removed goes on as it was.
func TestFailedRemoval(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one", "two")
		r.accounts.failDelete = errors.New("disk full")
		got := short(r.iq("set", gatewayJID, "<remove/>"))
		expect(t, "the user is told", got, "error wait internal-server-error: Something went wrong.")
		expect(t, "the links are made again", r.sessions.since(),
			`remove juliet@example.org ""; reload juliet@example.org "one"; reload juliet@example.org "two"`)
	})
}

// A tidied contact list destroys no credentials.
func TestUnsubscribeLogsOut(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one", "two")
		r.presence("subscribe", gatewayJID)
		r.presence("subscribe", "one@"+gatewayJID)
		r.sessions.since()
		said := short(r.presence("unsubscribe", "one@"+gatewayJID))
		expect(t, "a network is removed", said, "unsubscribed from one@"+gatewayJID+"; unavailable from one@"+gatewayJID+
			"; message: You removed one@"+gatewayJID+" from your contacts, so you were logged out. "+
			"Your registration is kept: send “login” to me to log in again, or “unregister” to remove it.")
		expect(t, "its link ends", r.sessions.since(), "subscribed juliet@example.org one@"+gatewayJID+` false; logout juliet@example.org "one": Logged out.`)
		r.presence("unsubscribe", gatewayJID)
		expect(t, "all links end", r.sessions.since(), "subscribed juliet@example.org "+gatewayJID+` false; logout juliet@example.org "": Logged out.`)
		expect(t, "the accounts are kept", fmt.Sprint(len(r.accounts.accounts[component.JID{Local: "juliet", Domain: "example.org"}]), r.loggedIn()), "2 false")
		expect(t, "again", short(r.presence("unsubscribe", gatewayJID)), "unsubscribed from "+gatewayJID+"; unavailable from "+gatewayJID)
		expect(t, "is no second logout", r.sessions.since(), "subscribed juliet@example.org "+gatewayJID+" false")
	})
}

func TestStrangersMayNotSubscribe(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.barred = true
		expect(t, "subscribe", short(r.presence("subscribe", gatewayJID)), "unsubscribed from "+gatewayJID)
		expect(t, "subscribed", short(r.presence("subscribed", gatewayJID)), "")
		expect(t, "probe", short(r.presence("probe", gatewayJID)), "")
		expect(t, "nothing is stored, nobody is told", subscriptions(r)+r.sessions.since(), "0")
	})
}

// A user who asks for too much at once is told so; nothing is dropped in silence.
func TestRegistrationWhenBusy(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		gate := make(chan struct{})
		r.accounts.gate = gate
		for range 8 {
			r.iq("get", "one@"+gatewayJID, "")
		}
		busy := "error wait resource-constraint: The gateway is busy. Please try again in a while."
		expect(t, "a query", short(r.iq("get", "one@"+gatewayJID, "")), busy)
		expect(t, "a presence", short(r.presence("subscribe", gatewayJID)), busy)
		close(gate)
		expect(t, "what was taken is answered", short(r.sent()), strings.TrimSuffix(strings.Repeat("result query; ", 8), "; "))
	})
}

// The store's faults are told without its words.
func TestSubscriptionFaults(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one")
		r.presence("subscribe", gatewayJID)
		r.accounts.fail = errors.New("disk hunter2")
		got := short(r.presence("unsubscribe", gatewayJID))
		if !strings.HasSuffix(got, "; error wait internal-server-error: Something went wrong.") {
			t.Errorf("got %s", got)
		}
	})
}

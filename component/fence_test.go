package component

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const ownPing = `iq[@type='get'][@from='irc.example.org'][@to='irc.example.org']/{urn:xmpp:ping}ping`

// What the server has read is known some seconds after it was sent, as long as
// the server lives, and by one ping at a time.
func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pipeRig(t)
		c := r.up(t)
		send := func(id string) time.Time {
			t.Helper()
			if err := r.Send(context.Background(), NewMessage(r.Domain(), JID{Domain: "b.example"}, "", id)); err != nil {
				t.Fatal(err)
			}
			c.Expect("message[@id='" + id + "']")
			return time.Now()
		}
		if !r.Confirmed().IsZero() {
			t.Error("something is confirmed before anything was sent")
		}
		sent := send("1")
		ping := c.Expect(ownPing)
		if !r.Confirmed().IsZero() {
			t.Error("confirmed before the ping came around")
		}
		c.Send("<iq type='result' from='mallory.example' to='irc.example.org' id='%s'/>", ping.Attr("id"))
		synctest.Wait()
		if !r.Confirmed().IsZero() {
			t.Error("a stranger confirmed it")
		}
		c.Send("%s", ping.String())
		synctest.Wait()
		first := r.Confirmed()
		if first.Before(sent) || first.Sub(sent) > fenceEvery {
			t.Errorf("sent at %v, confirmed is %v", sent, first)
		}
		if n, ok := c.TryNext(4 * fenceEvery); ok {
			t.Errorf("nothing was sent, and yet: %s", n)
		}
		// An error is a sign that the server has read it, too.
		sent = send("2")
		ping = c.Expect(ownPing)
		c.Send("<iq type='error' from='irc.example.org' to='irc.example.org' id='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", ping.Attr("id"))
		synctest.Wait()
		if r.Confirmed().Before(sent) {
			t.Error("an error did not confirm it")
		}
		// A server that is gone confirms nothing, and is not asked again and again.
		send("3")
		last := r.Confirmed()
		c.Expect(ownPing)
		send("4")
		if n, ok := c.TryNext(4 * fenceEvery); ok {
			t.Errorf("a second ping on its way: %s", n)
		}
		c.Break()
		<-r.states
		if r.Confirmed() != last {
			t.Errorf("after the break confirmed is %v, not %v", r.Confirmed(), last)
		}
		// The next stream asks anew.
		c = r.up(t)
		sent = send("5")
		c.Send("%s", c.Expect(ownPing).String())
		synctest.Wait()
		if r.Confirmed().Before(sent) {
			t.Error("the second stream confirms nothing")
		}
		r.stop()
	})
}

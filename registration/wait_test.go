package registration

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"
	"strings"
	"testing"
	"time"

	qr "github.com/piglig/go-qr"

	"transportd/bridges"
	"transportd/component"
)

// waiting begins a login in the chat that waits, and returns what lets it go on.
func waiting(t *testing.T, r *rig, s *script, then turn) (release func()) {
	t.Helper()
	until := make(chan struct{})
	then.until = until
	s.add(waitsTurn, then)
	expect(t, "where to go", r.begin(), shownWait)
	s.since()
	r.sessions.since()
	return func() { close(until) }
}

func TestLoginWaitsByChat(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		release := waiting(t, r, s, doneTurn)
		talk(t, r, "show", "You are not registered with any network.") // the chat is free meanwhile
		release()
		expect(t, "told when it is done", short(r.sent()), "message: You are registered with First Net.; subscribe from "+gatewayJID)
		expect(t, "what is stored", r.stored(), storedStep)
		expect(t, "what the session is told", r.sessions.since(), `login juliet@example.org "one"`)
		talk(t, r, "cancel", "There is nothing to cancel.")
		expect(t, "the login was not given up", s.since(), "")
	})
}

func TestLoginWaitsInBand(t *testing.T) {
	for name, children := range map[string]string{"plain": register1, "form": form("nick", "julie", "password", "pass")} {
		t.Run(name, func(t *testing.T) {
			steps(t, func(t *testing.T, r *rig, s *script) {
				until := make(chan struct{})
				s.add(waitsTurn, turn{step: doneTurn.step, until: until})
				expect(t, "begun", short(r.iq("set", one, children)), "result; subscribe from "+gatewayJID+
					"; message: Your registration with First Net has begun, but is not finished yet. "+shownWait)
				close(until)
				expect(t, "told when it is done", short(r.sent()), "message: You are registered with First Net.; subscribe from "+gatewayJID)
				expect(t, "what is stored", r.stored(), storedStep)
			})
		})
	}
}

// In a form the address is also a picture another device can read.
func TestLoginWaitsByCommand(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		until := make(chan struct{})
		s.add(waitsTurn, turn{step: doneTurn.step, until: until})
		const node = "node='jabber:iq:register'"
		id := " sessionid='" + r.do(one, node, "").Payload().Attr("sessionid") + "'"
		shown := r.do(one, node+id, form("nick", "julie", "password", "pass"))
		expect(t, "the form", seen(shown), "completed info: Open the address and enter the code. You are told by a message when it is done; this form need not stay open. "+
			"To give it up, use the command “Give up the login that waits”. url=https://login.example.net/device code=WDJB-MJHT")

		media := shown.Payload().Child(component.NSForms, "x").Child(component.NSForms, "field").Child(component.NSMedia, "media")
		uri := media.Child(component.NSMedia, "uri")
		cid, isCID := strings.CutPrefix(uri.Text(), "cid:")
		expect(t, "a picture", fmt.Sprint(uri.Attr("type"), isCID), "image/pngtrue")
		beside := shown.Payload().Child(component.NSBits, "data")
		expect(t, "beside the form", beside.Attr("cid"), cid)
		asked := r.route(`<iq type='get' id='b1' from='` + juliet + `' to='` + one + `'><data xmlns='urn:xmpp:bob' cid='` + cid + `'/></iq>`)
		expect(t, "on request", asked[0].Payload().Text(), beside.Text())
		stranger := r.route(`<iq type='get' id='b1' from='romeo@example.org/x' to='` + one + `'><data xmlns='urn:xmpp:bob' cid='` + cid + `'/></iq>`)
		expect(t, "to a stranger", short(stranger), "error cancel item-not-found: There is no such data.")

		data, err := base64.StdEncoding.DecodeString(beside.Text())
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		text, err := qr.Decode(picture)
		expect(t, "what is read", fmt.Sprint(text, err), "https://login.example.net/device<nil>")
		size := picture.Bounds().Size()
		expect(t, "its size", media.Attr("width")+" "+media.Attr("height"), fmt.Sprint(size.X, " ", size.Y))

		close(until)
		expect(t, "told when it is done", short(r.sent()), "message: You are registered with First Net.; subscribe from "+gatewayJID)
		gone := r.route(`<iq type='get' id='b1' from='` + juliet + `' to='` + one + `'><data xmlns='urn:xmpp:bob' cid='` + cid + `'/></iq>`)
		expect(t, "the picture is gone", short(gone), "error cancel item-not-found: There is no such data.")
	})
}

func TestLongAddressesHaveNoPicture(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, _ *script) {
		if r.service.qr("https://login.example.net/"+strings.Repeat("x", qrText)) != nil {
			t.Error("a picture nobody can read")
		}
		m := r.service.qr("https://login.example.net/" + strings.Repeat("é", (qrText-30)/2))
		if m == nil || len(m.Data) > maxBits {
			t.Error("no picture, or one too large, of the longest address")
		}
	})
}

// A wait may lead to a question, or to another wait.
func TestWaitGoesOn(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		other := waitsTurn
		other.step.Code = "SECOND"
		release := waiting(t, r, s, other)
		s.add(asksCode, refusedTurn, doneTurn)
		r.say("register two") // a question that has to give way
		release()
		got := r.sent()
		expect(t, "what is said", short(got), "message: "+strings.Replace(shownWait, "WDJB-MJHT", "SECOND", 1)+
			"; message: What you were asked before (“register”) is given up for this.\n\nA code was sent to your telephone.\n\n"+askedCode)
		talk(t, r,
			"1", "That is wrong.\n\nA code was sent to your telephone.\n\n"+askedCode,
			"2", "You are registered with First Net.",
		)
		expect(t, "what is stored", r.stored(), storedStep)
	})
}

func TestWaitEnds(t *testing.T) {
	failed := "message: The login to First Net has failed: "
	for name, c := range map[string]struct {
		then turn
		end  func(r *rig)
		want string
	}{
		"refused":   {then: turn{err: bridges.NewError(bridges.BadCredentials, "You said no.")}, want: failed + "You said no."},
		"down":      {then: downTurn, want: failed + "The server refuses connections."},
		"ours":      {then: turn{err: fmt.Errorf("token hunter2")}, want: failed + "Something went wrong."},
		"panic":     {then: turn{panic: true}, want: failed + "Something went wrong."},
		"nothing":   {then: turn{}, want: failed + "Something went wrong."},
		"timed out": {end: func(*rig) { time.Sleep(31 * time.Minute) }, want: failed + "The login took too long and was given up. Please begin again."},
		"shutdown": {
			end:  func(r *rig) { _ = r.service.Stop(context.Background()) },
			want: failed + "The gateway is being stopped, so the login was given up. Please begin again when it is back.",
		},
		"cancelled":             {end: func(r *rig) { r.say("cancel") }},
		"cancelled by command":  {end: func(r *rig) { r.do(gatewayJID, "node='cancel-login'", "") }},
		"unregistered":          {end: func(r *rig) { r.iq("set", one, "<remove/>") }},
		"unregistered wholly":   {end: func(r *rig) { r.iq("set", gatewayJID, "<remove/>") }},
		"a new login":           {end: func(r *rig) { r.driver.script.turns = nil; r.iq("set", one, register1) }},
		"not allowed meanwhile": {then: doneTurn, want: failed + "You may not use this gateway."},
	} {
		t.Run(name, func(t *testing.T) {
			steps(t, func(t *testing.T, r *rig, s *script) {
				r.register("one")
				r.iq("get", one, "")
				until := make(chan struct{})
				c.then.until = until
				s.add(waitsTurn, c.then)
				r.say("register one")
				r.say("-")
				r.say("-")
				before := r.stored()
				s.since()
				switch {
				case name == "not allowed meanwhile":
					r.barred = true
					fallthrough
				case c.end == nil:
					close(until)
				default:
					c.end(r)
				}
				expect(t, "what is said", short(r.sent()), c.want)
				if !strings.HasPrefix(name, "unregistered") {
					expect(t, "what is stored", r.stored(), before)
				}
				notes := s.since()
				if name != "not allowed meanwhile" && !strings.Contains(notes, "cancel") {
					t.Errorf("the driver is not told: %s", notes)
				}
				r.barred = false
				expect(t, "nothing waits", r.say("cancel"), "There is nothing to cancel.")
			})
		})
	}
}

// What a login has come to is told when there is a stream again.
func TestToldWhenTheStreamIsBack(t *testing.T) {
	for name, c := range map[string]struct {
		then turn
		down time.Duration
		want string
	}{
		"done":       {doneTurn, 3 * time.Minute, "message: You are registered with First Net.; subscribe from " + gatewayJID},
		"a question": {asksCode, 3 * time.Minute, "message: A code was sent to your telephone.\n\n" + askedCode},
		"too late":   {asksCode, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			steps(t, func(t *testing.T, r *rig, s *script) {
				release := waiting(t, r, s, c.then)
				r.down.Store(true)
				release()
				time.Sleep(c.down)
				expect(t, "without a stream", short(r.sent()), "")
				r.down.Store(false)
				time.Sleep(time.Minute)
				expect(t, "with one", short(r.sent()), c.want)
				switch name {
				case "done":
					expect(t, "what is stored", r.stored(), storedStep)
				case "a question":
					s.add(doneTurn)
					talk(t, r, "1", "You are registered with First Net.")
				default:
					expect(t, "the login is over", s.since(), "cancel")
				}
			})
		})
	}
}

func TestStopWithoutAStream(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		release := waiting(t, r, s, asksCode)
		r.down.Store(true)
		release()
		r.sent()
		begun := time.Now()
		if err := r.service.Stop(t.Context()); err != nil || time.Since(begun) > time.Second {
			t.Errorf("stopped after %v: %v", time.Since(begun), err)
		}
		expect(t, "the driver is told", s.since(), "cancel")
	})
}

// Who is not registered yet can unregister while a login waits.
func TestUnregisterBeforeRegistered(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		waiting(t, r, s, doneTurn)
		expect(t, "in-band", short(r.iq("set", one, "<remove/>")), "result")
		expect(t, "the driver is told", s.since(), "cancel")
		expect(t, "twice", short(r.iq("set", one, "<remove/>")), "error auth registration-required: You are not registered.")
		waiting(t, r, s, doneTurn)
		talk(t, r,
			"unregister", "The login to First Net is given up.",
			"unregister", "You are not registered with any network.",
		)
	})
}

func TestCancelSaysWhatItGaveUp(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		waiting(t, r, s, doneTurn)
		s.add(waitsTurn, turn{until: make(chan struct{})})
		r.say("register two")
		r.say("julie")
		r.say("pass")
		talk(t, r, "cancel", "The login to First Net and two is given up.")
		expect(t, "by command", seen(r.do(gatewayJID, "node='cancel-login'", "")), "error auth forbidden: You may not use this command.")
	})
}

// What is done while the account is being removed is removed too.
func TestDoneWhileRemoved(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		r.register("one")
		release := make(chan struct{})
		s.add(turn{step: doneTurn.step, until: release})
		r.accounts.gatePut = make(chan struct{})
		r.iq("set", one, register1)
		close(release)
		expect(t, "it is being stored", short(r.sent()), "")
		expect(t, "the removal waits", short(r.iq("set", one, "<remove/>")), "")
		close(r.accounts.gatePut)
		r.sent()
		expect(t, "nothing is left", r.stored(), "")
	})
}

// A login that does not end keeps nobody waiting for ever.
func TestRemovalWaitsForALoginWithABound(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		gate := make(chan struct{})
		r.accounts.gatePut = gate
		s.add(doneTurn)
		r.iq("set", one, register1)
		r.iq("set", one, "<remove/>")
		time.Sleep(21 * time.Second)
		const still = "error wait resource-constraint: Your last login is still being worked on. Please try again in a while."
		got := short(r.sent())
		expect(t, "nobody is registered yet, and it is not known whether", got, still)
		close(gate)
		expect(t, "saved in the end", short(r.sent()), "result; subscribe from "+gatewayJID)
	})
}

func TestNothingBeginsAfterStop(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, _ *script) {
		if err := r.service.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, "a login", short(r.iq("set", one, register1)),
			"error wait service-unavailable: The gateway is being stopped, so the login was given up. Please begin again when it is back.")
	})
}

func TestStopIsBounded(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		gate := make(chan struct{})
		r.accounts.gatePut = gate
		s.add(doneTurn)
		r.iq("set", one, register1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.service.Stop(ctx); err == nil {
			t.Error("ended with a login that is being stored")
		}
		close(gate)
	})
}

func TestRelogin(t *testing.T) {
	const kept = "answer map[device:D1 nick:julie token:T1] over map[" + again1 + "]"
	steps(t, func(t *testing.T, r *rig, s *script) {
		talk(t, r, "relogin", "You are not registered with any network.")
		s.add(doneTurn)
		r.iq("set", one, register1)
		r.say("logout")
		r.sessions.since()
		s.since()

		s.add(doneTurn)
		talk(t, r, "relogin", "You are logged in to First Net again.")
		expect(t, "with what is stored", s.since(), kept)
		expect(t, "the link is made again", r.sessions.since()+fmt.Sprint(r.loggedIn()), `reload juliet@example.org "one"true`)

		s.add(downTurn)
		talk(t, r, "relogin", "The server refuses connections. Nothing was changed. Please try again later.")
		expect(t, "given up", s.since(), kept+"; cancel")

		s.add(refusedTurn, doneTurn)
		talk(t, r,
			"relogin", "That is wrong.\n\n"+askedPassword,
			"new", "You are logged in to First Net again.",
		)
		expect(t, "only the password is asked for", s.since(), kept+"; answer map[device:D1 nick:julie password:new token:T1] over map["+again1+"]")

		time.Sleep(time.Hour) // for the limit
		s.add(waitsTurn, doneTurn)
		expect(t, "elsewhere", r.say("relogin one"), shownWait+"\n---\nYou are logged in to First Net again.")
		expect(t, "what is stored", r.stored(), storedStep)

		r.register("two")
		talk(t, r, "relogin", "Network:\n1. First Net\n2. two\nSend the number.")
	})
}

// What a driver keeps of an account is there for its logins and its end.
func TestLoginsSeeTheState(t *testing.T) {
	s := newScript(doneTurn, doneTurn)
	var asked []string
	state := func(user component.JID, network bridges.NetworkID) bridges.StateStore {
		asked = append(asked, user.String()+" "+string(network))
		return store{}
	}
	scenario(t, Config{Driver: &fakeDriver{script: s}, State: state}, func(t *testing.T, r *rig) {
		r.iq("set", one, register1)
		expect(t, "there is none of a new account", strings.Join(asked, "; "), "")
		r.iq("set", one, register1)
		ended := false
		r.driver.logout = func(_ context.Context, a bridges.Account) error {
			ended = a.State == store{}
			return nil
		}
		r.iq("set", one, "<remove/>")
		if len(asked) == 0 || asked[0] != "juliet@example.org one" || !ended {
			t.Errorf("asked for %q, at the end there is one: %v", asked, ended)
		}
	})
}

// store is a StateStore that is only looked at.
type store struct{ bridges.StateStore }

func TestReloginByCommand(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one")
		expect(t, "done", seen(r.do(one, "node='relogin'", "")), "completed info: You are logged in to First Net again.")
		r.driver.broken = bridges.NewError(bridges.BadCredentials, "SASL authentication failed.")
		asked := r.do(one, "node='relogin'", "")
		expect(t, "refused", seen(asked), "executing error: SASL authentication failed. nick=julie password= tls=true rooms= key= forget-secrets=")
		r.driver.broken = nil
		id := " sessionid='" + asked.Payload().Attr("sessionid") + "'"
		expect(t, "once it is right", seen(r.do(one, "node='relogin'"+id, form("password", "right"))), "completed info: You are logged in to First Net again.")
	})
}

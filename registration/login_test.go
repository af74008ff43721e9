package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// steps is a scenario with logins of several steps.
func steps(t *testing.T, f func(t *testing.T, r *rig, s *script)) {
	t.Helper()
	s := newScript()
	scenario(t, Config{Driver: &fakeDriver{script: s}}, func(t *testing.T, r *rig) { f(t, r, s) })
}

const (
	one       = "one@" + gatewayJID
	register1 = `<nick>julie</nick><password>pass</password>`
	first1    = "answer map[nick:julie password:pass tls:true] over map[]"
	again1    = "device:D1 nick:julie token:T1"
	askedCode = "Code?\nYour client or server may keep a copy of this chat; the command forms of your client leave none."
)

// begin answers the first questions in the chat and returns what is said then.
func (r *rig) begin() string {
	r.t.Helper()
	r.say("register one")
	r.say("julie")
	return r.say("pass")
}

func TestLoginInStepsByChat(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(refusedTurn, asksCode, refusedTurn, downTurn, doneTurn)
		expect(t, "the first answers are refused", r.begin(), "That is wrong.\n\n"+keepNick)
		r.say("-")
		talk(t, r,
			"pass", "A code was sent to your telephone.\n\n"+askedCode,
			"1", "That is wrong.\n\nA code was sent to your telephone.\n\n"+askedCode,
			"2", "The server refuses connections.\n\nA code was sent to your telephone.\n\n"+askedCode,
		)
		expect(t, "nothing is stored yet", r.stored(), "")
		talk(t, r, "3", "You are registered with First Net.")
		expect(t, "what is stored", r.stored(), storedStep)
		expect(t, "what the session is told", r.sessions.since(), `login juliet@example.org "one"`)
		expect(t, "it was one login", s.since(), first1+"; "+first1+"; answer map[code:1] over map[]; answer map[code:2] over map[]; answer map[code:3] over map[]")
		talk(t, r, "show", "First Net: connected to one\nNick: julie")
	})
}

func TestLoginInStepsByCommand(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(asksCode, refusedTurn, doneTurn)
		const node = "node='jabber:iq:register'"
		begun := r.do(one, node, "")
		id := " sessionid='" + begun.Payload().Attr("sessionid") + "'"
		expect(t, "the code is asked for", seen(r.do(one, node+id, form("nick", "julie", "password", "pass"))), "executing code=")
		expect(t, "and again", seen(r.do(one, node+id, form("code", "1"))), "executing error: That is wrong. code=")
		expect(t, "done", seen(r.do(one, node+id, form("code", "2"))), "completed info: You are registered with First Net.")
		expect(t, "what is stored", r.stored(), storedStep)
		s.since()

		s.add(asksCode)
		begun = r.do(one, node, "")
		id = " sessionid='" + begun.Payload().Attr("sessionid") + "'"
		r.do(one, node+id, form("nick", "jule"))
		r.do(one, node+id+" action='cancel'", "")
		expect(t, "cancelled in the second form", s.since(), "answer map[device:D1 nick:jule token:T1] over map["+again1+"]; cancel")
		expect(t, "nothing has changed", r.stored(), storedStep)
	})
}

// In-band there is one form: the rest is asked in the chat.
func TestLoginInStepsInBand(t *testing.T) {
	for name, children := range map[string]string{"plain": register1, "form": form("nick", "julie", "password", "pass")} {
		t.Run(name, func(t *testing.T) {
			steps(t, func(t *testing.T, r *rig, s *script) {
				s.add(asksCode, refusedTurn, doneTurn)
				expect(t, "begun", short(r.iq("set", one, children)), "result; subscribe from "+gatewayJID+
					"; message: Your registration with First Net has begun, but is not finished yet.\n\nA code was sent to your telephone.\n\n"+askedCode)
				query, _ := xep.ParseRegister(r.iq("get", one, "")[0].Payload())
				expect(t, "nobody is registered", fmt.Sprint(query.Registered, r.stored()), "false")
				talk(t, r,
					"1", "That is wrong.\n\nA code was sent to your telephone.\n\n"+askedCode,
					"2", "You are registered with First Net.",
				)
				expect(t, "what is stored", r.stored(), storedStep)
				s.since()

				s.add(asksCode, doneTurn)
				got := short(r.iq("set", one, "<nick>jule</nick>"))
				if !strings.Contains(got, "; message: What you changed of your account with First Net is not stored yet: the network wants more for that.\n\nA code was sent") {
					t.Errorf("got %s", got)
				}
				talk(t, r, "3", "The account with First Net was changed.")
				expect(t, "over what was stored", s.since(), "answer map[device:D1 nick:jule token:T1] over map["+again1+"]; answer map[code:3] over map["+again1+"]")

				s.add(refusedTurn)
				expect(t, "refused", short(r.iq("set", one, "<nick>jule</nick>")), "error modify not-acceptable: That is wrong.")
				s.add(downTurn)
				expect(t, "down, and nothing can be saved unchecked", short(r.iq("set", one, "<nick>jule</nick>")),
					"error wait recipient-unavailable: The server refuses connections. Nothing was saved. Please try again later.")
				expect(t, "no login is left", s.since(), "answer map[device:D1 nick:jule token:T1] over map["+again1+"]; cancel; "+
					"answer map[device:D1 nick:jule token:T1] over map["+again1+"]; cancel")
			})
		})
	}
}

// A form does not offer what the driver cannot do, nor show what it has not asked for.
func TestFormOfALoginInSteps(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(doneTurn)
		r.iq("set", one, register1)
		query, _ := xep.ParseRegister(r.iq("get", one, "")[0].Payload())
		expect(t, "fields", vars(query.Form), "FORM_TYPE nick password tls rooms key")
		expect(t, "values", query.Form.Value("nick")+query.Form.Value("password"), "julie")
		for _, answer := range r.iq("get", one, "") {
			if text := answer.String(); strings.Contains(text, "D1") || strings.Contains(text, "T1") {
				t.Errorf("what the driver keeps for itself is shown: %s", text)
			}
		}
	})
}

func TestASecretIsNotNeededToChangeAnAccount(t *testing.T) {
	fields := []bridges.Field{{Name: "password", Label: "Password", Kind: bridges.FieldSecret, Required: true}}
	if q := formFields(fields, nil, false); !q[0].Required {
		t.Error("a new account needs none")
	}
	q := formFields(fields, &Account{Settings: map[string]string{"device": "D1"}}, true)
	if q[0].Required || q[0].Desc != "You are logged in; leave this blank to stay so." {
		t.Errorf("got %+v", q[0])
	}
}

// A form that was open while the account changed does not bring back what was.
func TestAnOldFormIsOverWhatIsStoredNow(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(doneTurn, turn{step: bridges.LoginStep{
			Done: true, Settings: map[string]string{"nick": "julie", "device": "D1"}, Secrets: map[string]string{"token": "T2"},
		}}, doneTurn)
		r.iq("set", one, register1)
		const node = "node='jabber:iq:register'"
		id := " sessionid='" + r.do(one, node, "").Payload().Attr("sessionid") + "'"
		r.say("relogin")
		s.since()
		r.do(one, node+id, form("nick", "jule"))
		expect(t, "the token is the new one", s.since(), "answer map[device:D1 nick:jule token:T2] over map[device:D1 nick:julie token:T2]")
	})
}

// What is secret is sealed, also where a driver forgets to say so.
func TestSecretsStaySecret(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		careless := func(settings map[string]string) turn {
			return turn{step: bridges.LoginStep{Done: true, Settings: settings}}
		}
		s.add(asksCode, careless(map[string]string{"nick": "julie", "password": "pass", "code": "7"}))
		r.begin()
		r.say("7")
		expect(t, "what is stored", r.stored(), "one map[code:secret 7 nick:julie password:secret pass]")
		s.add(careless(map[string]string{"nick": "julie", "code": "7"}))
		r.iq("set", one, "<nick>julie</nick>")
		expect(t, "what is stored then", r.stored(), "one map[code:secret 7 nick:julie]")
	})
}

func TestNewerLoginWins(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(turn{until: make(chan struct{})}, doneTurn)
		expect(t, "the first is at work", short(r.iq("set", one, register1)), "")
		got := short(r.iq("set", one, "<nick>jule</nick><password>pass</password>"))
		answers := strings.Split(got, "; ") // of two requests, in no order
		slices.Sort(answers)
		expect(t, "the second is done", strings.Join(answers, "; "),
			"error cancel conflict: You began another login, which took the place of this one.; result; subscribe from "+gatewayJID)
		expect(t, "one after the other", s.since(), first1+"; cancel; answer map[nick:jule password:pass tls:true] over map[]")
		expect(t, "what is stored", r.stored(), storedStep)

		s.add(asksCode, asksCode, doneTurn)
		r.begin()
		r.iq("set", one, register1)
		talk(t, r, "1", "The account with First Net was changed.")
		s.since()
	})
}

// A login that another took the place of cannot be answered any more.
func TestOlderLoginIsOver(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(asksCode, doneTurn)
		const node = "node='jabber:iq:register'"
		begun := r.do(one, node, "")
		id := " sessionid='" + begun.Payload().Attr("sessionid") + "'"
		r.do(one, node+id, form("nick", "julie", "password", "pass"))
		r.iq("set", one, register1)
		expect(t, "the older", seen(r.do(one, node+id, form("code", "1"))), "error cancel conflict: You began another login, which took the place of this one.")
		expect(t, "what is stored", r.stored(), storedStep)
	})
}

// One user has a few logins under way; the oldest gives way.
func TestLoginsOfAUserAreBounded(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		user := component.JID{Local: "juliet", Domain: "example.org"}
		var all []*login
		for i := range maxUserLogins + 1 {
			l, err := r.service.begin(t.Context(), user, bridges.NetworkID(fmt.Sprint(i)), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
			time.Sleep(time.Minute)
		}
		if cause := context.Cause(all[0].ctx); !errors.Is(cause, errCrowded) {
			t.Errorf("the oldest: %v", cause)
		}
		if all[1].over() {
			t.Error("another has ended too")
		}
		expect(t, "the driver is told", s.since(), "cancel")
	})
}

func TestLoginsAreBounded(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, _ *script) {
		r.service.SetLimits(Limits{DomainEvery: -1})
		for i := range maxLogins {
			user := component.JID{Local: fmt.Sprint("u", i), Domain: "example.org"}
			if _, err := r.service.begin(t.Context(), user, "one", nil, false); err != nil {
				t.Fatalf("login %d: %v", i, err)
			}
		}
		expect(t, "one more", short(r.iq("set", one, register1)),
			"error wait resource-constraint: Too many logins are under way at present. Please try again in a while.")
	})
}

// Attempts are counted, and steps are not; what was refused is one more attempt.
func TestLimitsCountAttempts(t *testing.T) {
	s := newScript()
	limits := Limits{UserBurst: 3, UserEvery: time.Hour}
	scenario(t, Config{Driver: &fakeDriver{script: s}, Limits: limits}, func(t *testing.T, r *rig) {
		s.add(asksCode, asksCode, asksCode, asksCode, refusedTurn, refusedTurn, refusedTurn, doneTurn)
		r.begin()
		for range 3 {
			talk(t, r, "1", "A code was sent to your telephone.\n\n"+askedCode)
		}
		talk(t, r,
			"1", "That is wrong.\n\nA code was sent to your telephone.\n\n"+askedCode,
			"2", "That is wrong.\n\nA code was sent to your telephone.\n\n"+askedCode,
			"3", "That is wrong.\n\nA code was sent to your telephone.\n\n"+askedCode,
			"4", "There were too many attempts. Please wait a while and try again.",
		)
		expect(t, "the login is over", strings.HasSuffix(s.since(), "; cancel"), true)
	})
}

// What is left alone ends, and then cannot be answered.
func TestLoginLeftAlone(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(asksCode)
		r.begin()
		s.since()
		time.Sleep(31 * time.Minute)
		r.sent()
		expect(t, "the driver is told", s.since(), "cancel")
		talk(t, r, "1", "The login took too long and was given up. Please begin again.")
	})
}

// A network is told of an account that cannot be stored, but never loses the one that
// is.
func TestWhatCannotBeStoredIsUndone(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		var gone []string
		r.driver.logout = func(_ context.Context, a bridges.Account) error {
			gone = append(gone, fmt.Sprint(a.Network, " ", a.Settings))
			return nil
		}
		r.accounts.failPut = errors.New("disk hunter2")
		s.add(doneTurn)
		expect(t, "not stored", short(r.iq("set", one, register1)), "error wait internal-server-error: Something went wrong.")
		expect(t, "undone", strings.Join(gone, "; "), "one map["+again1+"]")
		r.accounts.failPut = nil
		s.add(doneTurn)
		r.iq("set", one, register1)
		r.accounts.failPut = errors.New("disk hunter2")
		gone = nil
		s.add(doneTurn)
		expect(t, "not changed", short(r.iq("set", one, register1)), "error wait internal-server-error: Something went wrong.")
		expect(t, "the account is kept", strings.Join(gone, "; "), "")
	})
}

func TestUnregisterLogsOutAtTheNetwork(t *testing.T) {
	for name, outcome := range map[string]func(ctx context.Context) error{
		"well":     func(context.Context) error { return nil },
		"an error": func(context.Context) error { return errors.New("no route to hunter2") },
		"never":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"a panic":  func(context.Context) error { panic("a bug") },
	} {
		t.Run(name, func(t *testing.T) {
			steps(t, func(t *testing.T, r *rig, s *script) {
				s.add(doneTurn)
				r.iq("set", one, register1)
				r.sessions.since()
				r.driver.logout = func(ctx context.Context, a bridges.Account) error {
					r.sessions.note("logout at %s with %v while stored: %s", a.Network, a.Settings, r.stored())
					return outcome(ctx)
				}
				got := r.iq("set", one, "<remove/>")
				if name == "never" {
					time.Sleep(6 * time.Second)
					got = r.sent()
				}
				expect(t, "the user is told", short(got)[:6], "result")
				expect(t, "in this order", r.sessions.since(), `remove juliet@example.org ""; logout at one with map[`+again1+`] while stored: `+storedStep+
					"; subscribed juliet@example.org "+gatewayJID+" false")
				expect(t, "nothing is left", r.stored(), "")
			})
		})
	}
}

func TestPanicInAStep(t *testing.T) {
	steps(t, func(t *testing.T, r *rig, s *script) {
		s.add(asksCode, turn{panic: true})
		r.begin()
		talk(t, r, "1", "Something went wrong in the gateway.")
		s.add(doneTurn)
		expect(t, "the next one", short(r.iq("set", one, register1))[:6], "result")
		expect(t, "the login was let go", strings.Contains(s.since(), "cancel"), true)
	})
}

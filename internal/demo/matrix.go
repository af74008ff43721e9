package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"transportd/internal/testenv"
)

const (
	matrixDomain = "matrix.localhost" // the gateway's
	alias        = "#garden:" + testenv.MatrixDomain
	// matrixRoom is the room's address on XMPP, and chatJID carol's.
	matrixRoom = "#garden%" + testenv.MatrixDomain + "@" + matrixDomain
	chatJID    = "carol%" + testenv.MatrixDomain + "@" + matrixDomain
)

// matrixNetwork is Dendrite, with ben and carol; alice has an account there too.
type matrixNetwork struct {
	*stage
	server     *testenv.Homeserver
	people     *testenv.MatrixClients
	ben, carol *testenv.MatrixClient
	room, chat string // ids
}

func (n *matrixNetwork) name() string   { return "Matrix" }
func (n *matrixNetwork) domain() string { return matrixDomain }

func (n *matrixNetwork) servers(ctx context.Context, s *stage) []server {
	n.stage = s
	s.out.line("  Dendrite is built from its source: two minutes the first time, and then no more.\n")
	return []server{
		{"Dendrite, the Matrix homeserver", func() (err error) {
			if err = s.env.BuildDendrite(ctx); err == nil {
				n.server, err = s.env.StartDendrite(ctx, testenv.HomeserverOptions{Users: []string{"alice", "ben", "carol", "you"}})
			}
			return err
		}},
		{"matrix-nio, for the people on Matrix", func() (err error) {
			n.people, err = s.env.StartMatrixClients()
			return err
		}},
	}
}

func (n *matrixNetwork) gateway() testenv.GatewayOptions {
	return testenv.GatewayOptions{Matrix: true}
}

// enter logs ben and carol in; ben makes the room, and carol goes there.
func (n *matrixNetwork) enter(ctx context.Context, _ *stage) error {
	err := testenv.Together(
		func() (err error) { n.ben, err = n.people.Login(ctx, n.server, "ben", "phone"); return },
		func() (err error) { n.carol, err = n.people.Login(ctx, n.server, "carol", "phone"); return },
	)
	if err != nil {
		return err
	}
	n.room, err = n.ben.CreateRoom(ctx, testenv.MatrixRoom{Name: "The garden", Alias: "garden", Topic: "What grows", Public: true})
	if err == nil {
		_, err = n.carol.Join(ctx, n.room)
	}
	return err
}

// leave: the people on Matrix are one process, which the environment ends.
func (n *matrixNetwork) leave() {}

func (n *matrixNetwork) title() string {
	return fmt.Sprintf("A conversation in %s on Matrix, which is %s on XMPP", alias, matrixRoom)
}

// seen waits for an event at somebody's client, and notes its id.
func seen(who *testenv.MatrixClient, id *string, ms ...testenv.EventMatch) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		ev, err := who.Expect(ctx, ms...)
		*id = ev.ID
		return ev.At, err
	}
}

// sent has somebody send an event, and notes its id.
func sent(id *string, send func(ctx context.Context) (string, error)) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		*id, err = send(ctx)
		return err
	}
}

// registers has alice log in with her account on Matrix, through the gateway.
func (n *matrixNetwork) registers(ctx context.Context) error {
	form := `<field var='FORM_TYPE'><value>jabber:iq:register</value></field>`
	for name, value := range map[string]string{
		"user": testenv.MatrixID("alice"), "password": testenv.MatrixPassword("alice"), "homeserver": n.server.URL,
	} {
		form += `<field var='` + name + `'><value>` + testenv.Escape(value) + `</value></field>`
	}
	answer, err := n.alice.Request(ctx, "set", matrixDomain,
		`<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>`+form+`</x></query>`)
	if err == nil && answer.Attr("type") != "result" {
		err = fmt.Errorf("the registration is answered by %s", answer)
	}
	return errors.Join(err, n.alice.Send(`<presence to='%s' type='subscribe'/>`, matrixDomain))
}

func (n *matrixNetwork) script() []step {
	// Lines that are spoken of later: by their ids on Matrix, and alice's by hers.
	var hello, bens, other, word string
	id, pm := n.alice.NewID(), n.alice.NewID()
	alices := testenv.Sender(testenv.MatrixID("alice"))
	fromBen, fromCarol := testenv.From(matrixRoom+"/ben"), testenv.FromBare(chatJID)
	return []step{
		{onXMPP, "alice", "logs in with her account", "she is connected",
			n.registers, n.hears(testenv.Presence(testenv.From(matrixDomain), testenv.StatusText("Connected as alice")))},
		{toNetwork, "alice", "joins the room", "alice joins",
			n.joins(matrixRoom, "alice"), seen(n.ben, &other, testenv.InRoom(n.room), testenv.Membership(testenv.MatrixID("alice"), "join"))},
		{toXMPP, "ben", "was there before", "ben is in the room, its owner", nil,
			n.hears(testenv.Presence(fromBen, testenv.Affiliation("owner")))},
		{onXMPP, "alice", "asked to come in", "alice is in the room, and knows it", nil,
			n.hears(testenv.Presence(testenv.From(matrixRoom+"/alice"), testenv.Status("110")))},
		{toNetwork, "alice", "says “Hello from XMPP ☕”", "alice: Hello from XMPP ☕",
			n.says(matrixRoom, id, "Hello from XMPP ☕", ""), seen(n.ben, &hello, alices, testenv.Text("Hello from XMPP ☕"))},
		{onXMPP, "alice", "said it", "her own line comes back, once Matrix has it", nil,
			n.hears(testenv.Message(testenv.ID(id), testenv.From(matrixRoom+"/alice")))},
		{toXMPP, "ben", "answers it: “Hello, alice”", "ben: Hello, alice, below what he answers",
			sent(&bens, func(ctx context.Context) (string, error) { return n.ben.Reply(ctx, n.room, hello, "Hello, alice") }),
			n.hears(testenv.Message(fromBen, testenv.BodyLike("(?s)^> .*Hello, alice$"), testenv.Has("urn:xmpp:reply:0", "reply")))},
		{toXMPP, "ben", "edits it: “Hello, Alice!”", "ben's line is now: Hello, Alice!",
			sent(&other, func(ctx context.Context) (string, error) { return n.ben.Edit(ctx, n.room, bens, "Hello, Alice!") }),
			n.hears(testenv.Message(fromBen, testenv.BodyLike("Hello, Alice!$"), testenv.Has("urn:xmpp:message-correct:0", "replace")))},
		{toXMPP, "ben", "puts 👍 to her line", "ben's 👍 at her line",
			sent(&other, func(ctx context.Context) (string, error) { return n.ben.React(ctx, n.room, hello, "👍") }),
			n.hears(testenv.Message(fromBen, testenv.Has("urn:xmpp:reactions:0", "reactions")))},
		{toNetwork, "alice", "puts 🎉 to ben's", "alice's 🎉 at his line", n.reacts(&bens, "🎉"),
			func(ctx context.Context) (time.Time, error) {
				return seen(n.ben, &other, testenv.Reacts(bens, "🎉"))(ctx)
			}},
		{toNetwork, "alice", "corrects hers: “Hello!”", "alice's line is now: Hello!",
			n.says(matrixRoom, n.alice.NewID(), "Hello!", `<replace xmlns='urn:xmpp:message-correct:0' id='`+id+`'/>`),
			func(ctx context.Context) (time.Time, error) {
				return seen(n.ben, &other, testenv.Replaces(hello, "Hello!"))(ctx)
			}},
		{toXMPP, "ben", "sets the topic “Roses”", "the room's subject is Roses",
			sent(&other, func(ctx context.Context) (string, error) {
				return n.ben.SetState(ctx, n.room, "m.room.topic", "", map[string]any{"topic": "Roses"})
			}), n.hears(testenv.Message(testenv.FromBare(matrixRoom), testenv.Subject("Roses")))},
		{toNetwork, "alice", "to carol alone: “A word?”", "carol is asked into a chat with alice",
			n.sends(fmt.Sprintf(`<message to='%s' type='chat' id='%s'><body>A word?</body><request xmlns='urn:xmpp:receipts'/></message>`, chatJID, pm)),
			n.asked},
		{onNetwork, "carol", "accepts", "alice: A word?", func(ctx context.Context) (err error) {
			_, err = n.carol.Join(ctx, n.chat)
			return err
		}, seen(n.carol, &word, alices, testenv.Text("A word?"))},
		{onXMPP, "alice", "said it", "a receipt: Matrix has it", nil,
			n.hears(testenv.Message(fromCarol, testenv.Has("urn:xmpp:receipts", "received")))},
		{toXMPP, "carol", "reads it", "it was displayed",
			func(ctx context.Context) error { return n.carol.Read(ctx, n.chat, word) },
			n.hears(testenv.Message(fromCarol, testenv.Has("urn:xmpp:chat-markers:0", "displayed")))},
		{toXMPP, "carol", "begins to write", "carol writes …",
			func(ctx context.Context) error { return n.carol.Typing(ctx, n.chat, true) },
			n.hears(testenv.Message(fromCarol, testenv.Has("http://jabber.org/protocol/chatstates", "composing")))},
		{toXMPP, "carol", "to alice alone: “Sure.”", "carol, in private: Sure.",
			sent(&other, func(ctx context.Context) (string, error) { return n.carol.Say(ctx, n.chat, "Sure.") }),
			n.hears(testenv.Message(fromCarol, testenv.Type("chat"), testenv.Body("Sure.")))},
		{toXMPP, "ben", "makes alice a moderator", "alice is a moderator",
			func(ctx context.Context) error { return n.ben.SetPower(ctx, n.room, testenv.MatrixID("alice"), 50) },
			n.hears(testenv.Presence(testenv.From(matrixRoom+"/alice"), testenv.Role("moderator")))},
		{toXMPP, "carol", "leaves the room", "carol has left",
			func(ctx context.Context) error { return n.carol.Leave(ctx, n.room) },
			n.hears(testenv.Presence(testenv.From(matrixRoom+"/carol"), testenv.Type("unavailable")))},
		{toNetwork, "alice", "leaves for good: “quit”", "alice has left the room",
			n.sends(`<message to='` + matrixDomain + `' type='chat' id='quit'><body>quit ` + matrixRoom + `</body></message>`),
			seen(n.ben, &other, testenv.InRoom(n.room), testenv.Membership(testenv.MatrixID("alice"), "leave"))},
	}
}

// reacts has alice put something to a line, whose id rooms have in common with Matrix.
func (n *matrixNetwork) reacts(line *string, emoji string) func(context.Context) error {
	return func(context.Context) error {
		return n.alice.Send(`<message to='%s' type='groupchat' id='%s'><reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>%s</reaction></reactions></message>`,
			matrixRoom, n.alice.NewID(), *line, emoji)
	}
}

// asked waits until carol is asked into the chat with alice.
func (n *matrixNetwork) asked(ctx context.Context) (time.Time, error) {
	ev, err := n.carol.Expect(ctx, testenv.Kind("invite"), testenv.Membership(testenv.MatrixID("carol"), "invite"))
	n.chat = ev.Room
	return ev.At, err
}

func (n *matrixNetwork) invite() ([][2]string, string) {
	return [][2]string{
		{"log in on Matrix", "write “register” to " + matrixDomain + "; what it asks for:"},
		{"  Matrix ID", testenv.MatrixID("you")},
		{"  password", testenv.MatrixPassword("you")},
		{"  homeserver", n.server.URL},
		{"join the room", matrixRoom},
		{"talk to carol", chatJID},
		{"from Matrix", fmt.Sprintf("%s as ben, carol or you; %s is the password", n.server.URL, testenv.MatrixPassword("NAME"))},
	}, "ben waits in the room, and carol for a chat."
}

// keepCompany has ben answer in the room, and carol accept chats and answer there.
func (n *matrixNetwork) keepCompany(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	n.ben.Forget()
	n.carol.Forget()
	all.Go(func() { n.answers(ctx, n.ben, "“%s”, you say?") })
	all.Go(func() { n.answers(ctx, n.carol, "Between you and me: %s") })
	all.Go(func() {
		for ctx.Err() == nil {
			if ev, err := n.carol.Expect(ctx, testenv.Kind("invite"), testenv.Membership(n.carol.UserID, "invite")); err == nil {
				_, _ = n.carol.Join(ctx, ev.Room) // who took the invitation back is not spoken with
			}
		}
	})
}

// answers has somebody answer what others say to them, until ctx is done.
func (n *matrixNetwork) answers(ctx context.Context, who *testenv.MatrixClient, words string) {
	human := testenv.Any(testenv.Sender(testenv.MatrixID("you")), testenv.Sender(testenv.MatrixID("alice")))
	for {
		ev, err := who.Expect(ctx, human, testenv.Kind("timeline"), testenv.TextLike("."))
		if err != nil {
			<-ctx.Done()
			return
		}
		_, _ = who.Say(ctx, ev.Room, fmt.Sprintf(words, ev.Body())) // where they may
	}
}

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/config"
	"transportd/test/talk"
)

// A third driver is one line in the program, and what docs/drivers.md promises comes
// with it.
func init() {
	if os.Getenv(asProgram) == "" {
		return // only the program under test has it
	}
	hub := talk.NewHub()
	drivers["talk"] = driverType{settings: new(struct{}), open: func(config.Section) (bridges.Driver, error) {
		return &talk.Driver{Hub: hub}, nil
	}}
}

func TestScenarioThirdDriver(t *testing.T) {
	w := &world{t: t}
	w.xmpp, w.file = withServer(t)
	data, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(data), "[gateways.irc")
	if err := os.WriteFile(w.file, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	edit(t, w.file, `driver = "irc"`, `driver = "talk"`)
	w.begin()
	const verona, montague = "#verona@irc.example.org", "romeo@example.org/street"
	for client, nick := range map[string]string{balcony: "juliet", montague: "romeo"} {
		w.stream.Send(`<presence from='%s' to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, client, verona, nick)
		w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@to='%s']/subject", client))
	}
	w.stream.Send(`<message type='groupchat' id='m1' from='%s' to='%s'><body>but soft</body></message>`, balcony, verona)
	w.stream.Until(fmt.Sprintf("message[@from='%s/juliet'][@to='%s']/body[text()='but soft']", verona, montague))
	w.stream.Send(`<message type='chat' id='m2' from='%s' to='Juliet@irc.example.org'><body>is it you?</body></message>`, montague)
	w.stream.Until("message[@from='romeo@irc.example.org'][@to='juliet@example.org']/body[text()='is it you?']")
	w.stream.Send(`<iq type='set' id='q' from='%s' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>`, montague, verona)
	w.stream.Until("message/result/forwarded/message/body[text()='but soft']")
	w.stream.Until("iq[@type='result'][@id='q']/fin[@complete='true']")
	w.stream.Send(`<iq type='set' id='reg' from='%s' to='irc.example.org'><query xmlns='jabber:iq:register'><nick>nurse</nick></query></iq>`, "nurse@example.org/kitchen")
	w.stream.Until("iq[@type='result'][@id='reg']")
	w.stream.Until("presence[@from='irc.example.org'][@to='nurse@example.org']")
	w.end()
}

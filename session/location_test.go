package session

import (
	"testing"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

func TestLocations(t *testing.T) {
	richly(t, func(w *world) {
		ev := roomLine("$here", "at home")
		ev.Location = &bridges.Location{Lat: 51.5, Lon: -0.12, Accuracy: 35}
		w.say(ev)
		w.expect(`id="\$here" & <body>at home\ngeo:51.5,-0.12;u=35</body> & <geoloc xmlns="http://jabber.org/protocol/geoloc"><accuracy>35</accuracy><lat>51.5</lat><lon>-0.12</lon><text>at home</text>`)
		w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), ID: "$p", Location: &bridges.Location{Lat: 1, Lon: 2}})
		w.expect(`<body>geo:1,2</body> & <lat>1</lat>`)

		const loc = "<geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>1</lat><lon>2</lon><accuracy>3</accuracy></geoloc>"
		w.room("<body>geo:1,2</body>") // the network knows no places
		w.called("say #room geo:1,2")
		w.driver.Caps.Location = true
		for stanza, want := range map[string]string{
			"<body>geo:5,6</body>":                         "say #room  [at geo:5,6]",
			"<body>see geo:5,6</body>":                     "say #room see geo:5,6",
			"<body>we meet at geo:7,8</body>" + loc:        "say #room we meet at [at geo:1,2;u=3]",
			"<body>I am well</body>" + loc:                 "say #room I am well",
			loc:                                            "say #room  [at geo:1,2;u=3]",
			"<body>geo:91,0</body>":                        "say #room geo:91,0",
			"<body>geo:5,7?q=somewhere,else</body>":        "say #room  [at geo:5,7]",
			"<body>https://a.example/geo:1,2</body>" + loc: "say #room https://a.example/geo:1,2",
		} {
			w.room(stanza)
			w.called(want)
		}
	})
}

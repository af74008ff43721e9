package irc

import (
	"strings"
	"testing"

	"transportd/bridges"
)

func testDriver(t testing.TB, cfg Config) *Driver {
	t.Helper()
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func twoNetworks() []NetworkConfig {
	return []NetworkConfig{
		{Name: "libera", Title: "Libera", Hosts: []string{"irc.libera.example", "IRC6.libera.example."}},
		{Name: "irc.oftc.example"},
	}
}

var (
	closed = Config{Networks: twoNetworks()}
	anyone = Config{Networks: twoNetworks(), Open: true, Link: LinkConfig{UserPorts: []string{"6660-6669", "7000"}}}
	fixed  = Config{Networks: twoNetworks(), FixedNetwork: "Libera"}
)

func netAddr(id bridges.NetworkID) bridges.Address {
	return bridges.Address{Kind: bridges.AddressNetwork, Network: id}
}

func roomAddr(id bridges.NetworkID, name string) bridges.Address {
	return bridges.Address{Kind: bridges.AddressRoom, Network: id, Name: name}
}

func personAddr(id bridges.NetworkID, name string) bridges.Address {
	return bridges.Address{Kind: bridges.AddressPerson, Network: id, Name: name}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		cfg   Config
		local string
		want  bridges.Address
		kind  bridges.ErrorKind // of the refusal, where want is zero
	}{
		{closed, "libera", netAddr("libera"), 0},
		{closed, "LIBERA", netAddr("libera"), 0},
		{closed, "irc.libera.example", netAddr("libera"), 0},
		{closed, "irc6.libera.example:6697", netAddr("libera"), 0},
		{closed, "irc.libera.example:6667", bridges.Address{}, bridges.Forbidden},
		{closed, "#linux%libera", roomAddr("libera", "#linux"), 0},
		{closed, "#linux%irc.libera.example", roomAddr("libera", "#linux"), 0},
		{closed, "&local%libera", roomAddr("libera", "&local"), 0},
		{closed, "+modeless%libera", roomAddr("libera", "+modeless"), 0},
		{closed, "!AbCdEsafe%libera", roomAddr("libera", "!AbCdEsafe"), 0},
		{closed, "#100%%libera", roomAddr("libera", "#100%"), 0},
		{closed, "nick%irc.oftc.example", personAddr("irc.oftc.example", "nick"), 0},
		{closed, "we@ird%libera", personAddr("libera", "we@ird"), 0},
		{closed, "#x%elsewhere.example", bridges.Address{}, bridges.Forbidden},
		{closed, "%libera", bridges.Address{}, bridges.NotFound},
		{closed, "", bridges.Address{}, bridges.NotFound},
		{closed, "#a b%libera", bridges.Address{}, bridges.NotFound},
		{closed, "#a\nQUIT%libera", bridges.Address{}, bridges.NotFound},
		{closed, "a*%libera", bridges.Address{}, bridges.NotFound},
		{closed, "$#mask%libera", bridges.Address{}, bridges.NotFound},
		{anyone, "irc.example.net", netAddr("irc.example.net"), 0},
		{anyone, "#x%IRC.Example.NET.", roomAddr("irc.example.net", "#x"), 0},
		{anyone, "#x%irc.example.net:7000", roomAddr("irc.example.net:7000", "#x"), 0},
		{anyone, "#x%irc.example.net:6661", roomAddr("irc.example.net:6661", "#x"), 0},
		{anyone, "#x%irc.example.net:25", bridges.Address{}, bridges.Forbidden},
		{anyone, "#x%irc.example.net:06667", bridges.Address{}, bridges.NotFound},
		{anyone, "#x%irc.example.net:", bridges.Address{}, bridges.NotFound},
		{anyone, "#x%[2001:DB8::1]", roomAddr("[2001:db8::1]", "#x"), 0},
		{anyone, "#x%[2001:db8::1]:7000", roomAddr("[2001:db8::1]:7000", "#x"), 0},
		{anyone, "#x%2001:db8::1", roomAddr("[2001:db8::1]", "#x"), 0},
		{anyone, "#x%[::1", bridges.Address{}, bridges.NotFound},
		{anyone, "#x%[fe80::1%eth0]", bridges.Address{}, bridges.NotFound},
		{anyone, "#x%-bad.example", bridges.Address{}, bridges.NotFound},
		{anyone, "#x%ex ample", bridges.Address{}, bridges.NotFound},
		{anyone, "#x%exämple", bridges.Address{}, bridges.NotFound},
		{fixed, "#linux", roomAddr("libera", "#linux"), 0},
		{fixed, "nick", personAddr("libera", "nick"), 0},
		{fixed, "#odd%name", roomAddr("libera", "#odd%name"), 0},
		{fixed, "", netAddr("libera"), 0},
	} {
		d := testDriver(t, c.cfg)
		got, err := d.Parse(c.local)
		if c.want == (bridges.Address{}) {
			if e := bridges.AsError(err); e == nil || e.Kind != c.kind || e.Text == "" || strings.ContainsAny(e.Text, "\n\r") {
				t.Errorf("Parse(%q) = %+v, %v", c.local, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v", c.local, got, err)
			continue
		}
		if again, err := d.Parse(d.Format(got)); err != nil || again != got {
			t.Errorf("Parse(Format(%+v)) = %+v, %v", got, again, err)
		}
	}
}

func TestParsePrompt(t *testing.T) {
	one := Config{Networks: twoNetworks()[:1]}
	for _, c := range []struct {
		cfg  Config
		text string
		want string // as Format writes it; "" where it is refused
	}{
		{closed, "#linux on libera", "#linux%libera"},
		{closed, "  #linux   On  Libera ", "#linux%libera"},
		{closed, "#linux@libera", "#linux%libera"},
		{closed, "#linux at irc.libera.example", "#linux%libera"},
		{closed, "#linux%libera", "#linux%libera"},
		{closed, "bob on irc.oftc.example", "bob%irc.oftc.example"},
		{closed, "libera", "libera"},
		{closed, "#linux", ""},
		{closed, "#linux on nowhere", ""},
		{closed, "", ""},
		{one, "#linux", "#linux%libera"},
		{one, "bob", "bob%libera"},
		{anyone, "irc.example.net", "irc.example.net"},
		{anyone, "irc://irc.example.net/linux", "#linux%irc.example.net"},
		{anyone, "ircs://irc.example.net:6697/#linux", "#linux%irc.example.net:6697"},
		{anyone, "irc://irc.example.net:1234/linux", "#linux%irc.example.net"},
		{anyone, "irc://irc.libera.example/bob,isnick", "bob%libera"},
		{anyone, "irc:///x", ""},
		{fixed, "#linux", "#linux"},
		{fixed, "#linux on libera", "#linux"},
		{fixed, "#linux%libera", "#linux"},
		{fixed, "irc://irc.libera.example/linux", "#linux"},
		{fixed, "irc://irc.oftc.example/linux", ""},
	} {
		d := testDriver(t, c.cfg)
		a, err := d.ParsePrompt(c.text)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("ParsePrompt(%q) = %+v", c.text, a)
		case c.want != "" && (err != nil || d.Format(a) != c.want):
			t.Errorf("ParsePrompt(%q) = %+v, %v", c.text, a, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"#chan%libera", "nick%irc.example.net:7000", "%", "#%%x", "[::1]", "a%[::1]:7000", "\x00%libera", "#x%LIBERA."} {
		f.Add(seed)
	}
	drivers := []*Driver{testDriver(f, closed), testDriver(f, anyone), testDriver(f, fixed)}
	f.Fuzz(func(t *testing.T, local string) {
		for _, d := range drivers {
			a, err := d.Parse(local)
			if err != nil {
				if e := bridges.AsError(err); e.Kind != bridges.NotFound && e.Kind != bridges.Forbidden {
					t.Errorf("Parse(%q): %+v", local, e)
				}
				continue
			}
			if again, err := d.Parse(d.Format(a)); err != nil || again != a {
				t.Errorf("%q: %+v is written %q, which is %+v, %v", local, a, d.Format(a), again, err)
			}
			if strings.ContainsAny(a.Name, " \r\n\x00,") {
				t.Errorf("%q names %q", local, a.Name)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		cfg  Config
		says []string
	}{
		"nothing":     {Config{}, []string{"networks"}},
		"no such":     {Config{Open: true, FixedNetwork: "x"}, []string{"fixed_network"}},
		"name twice":  {Config{Networks: []NetworkConfig{{Name: "a"}, {Name: "A"}}}, []string{"networks[1]", "name"}},
		"host twice":  {Config{Networks: []NetworkConfig{{Name: "a", Hosts: []string{"x"}}, {Name: "b", Hosts: []string{"X"}}}}, []string{"hosts", "belongs to a"}},
		"host:port":   {Config{Networks: []NetworkConfig{{Name: "a", Hosts: []string{"x:6697"}}}}, []string{"ports go into ports"}},
		"all at once": {Config{Open: true, Link: LinkConfig{Ports: []string{"6667", "x"}, Pins: []string{"ab"}, Encoding: "klingon", Regain: "please", MaxLines: -1, CAFile: "/nonexistent"}}, []string{"ports", "pins", "encoding", "regain", "max_lines", "ca_file", "plain = true"}},
		"encoding":    {Config{Open: true, Link: LinkConfig{Encoding: "utf-16le"}}, []string{"encoding"}},
		"range":       {Config{Open: true, Link: LinkConfig{UserPorts: []string{"7000-6000"}}}, []string{"user_ports"}},
	} {
		err := c.cfg.Validate()
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, word := range c.says {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v does not say %q", name, err, word)
			}
		}
	}
	v6 := Config{Networks: []NetworkConfig{{Name: "six", Hosts: []string{"2001:db8::1", "[2001:db8::2]"}}}}
	if r, err := testDriver(t, v6).route("six"); err != nil || r.endpoints(nil)[0].Host != "2001:db8::1" || r.endpoints(nil)[1].Host != "2001:db8::2" {
		t.Errorf("hosts that are IPv6 addresses: %+v, %v", r.endpoints(nil), err)
	}
	d := testDriver(t, Config{
		Link: LinkConfig{Plain: &yes, Burst: 5},
		Networks: []NetworkConfig{
			{Name: "a", Hosts: []string{"h1", "h2"}, Link: LinkConfig{Ports: []string{"+7000", "6667"}}},
			{Name: "b", Link: LinkConfig{Burst: 7}},
		},
	})
	r, err := d.route("a")
	if err != nil {
		t.Fatal(err)
	}
	var tried []string
	for _, e := range r.endpoints(nil) {
		tried = append(tried, e.String())
	}
	if got := strings.Join(tried, ", "); got != "h1:7000 with TLS, h1:6667 without encryption, h2:7000 with TLS, h2:6667 without encryption" {
		t.Errorf("tries %s", got)
	}
	if a, b := d.byHost["a"].link.Burst, d.byHost["b"].link.Burst; a != 5 || b != 7 {
		t.Errorf("bursts %d and %d", a, b)
	}
	if len(d.defaults.ports) != 2 || !d.defaults.ports[0].tls || d.defaults.ports[1].tls {
		t.Errorf("default ports %v", d.defaults.ports)
	}
}

func TestUserSettings(t *testing.T) {
	d := testDriver(t, anyone)
	for name, settings := range map[string]map[string]string{
		"nick":        {setNick: "two words"},
		"alternative": {setAlternatives: "good b!d"},
		"username":    {setUsername: "a@b"},
		"line break":  {setPassword: "a\nb"},
		"channel":     {setChannels: "#good\nbad"},
		"key":         {setChannels: "#good a,b"},
		"command":     {setCommands: ":x y"},
		"encoding":    {setEncoding: "klingon"},
		"port":        {setPorts: "+25"},
		"plain port":  {setPorts: "6667"},
		"certificate": {setCertificate: "-----BEGIN NONSENSE-----"},
	} {
		_, err := d.Open(bridges.Account{Network: "irc.example.net", Settings: settings}, nil)
		if e := bridges.AsError(err); e == nil || e.Kind != bridges.Invalid && e.Kind != bridges.Forbidden || e.Text == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	net, err := d.Open(bridges.Account{Network: "irc.example.net", Settings: map[string]string{
		setPorts: "+7000 +6697", setEncoding: "latin1", setChannels: "#a\n\n#b key\n", setCommands: "/umode +x",
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if eps := net.(*network).route.endpoints(net.(*network).set.ports); len(eps) != 2 || eps[0].Port != 7000 || !eps[0].TLS {
		t.Errorf("endpoints %v", eps)
	}
	if _, err := testDriver(t, closed).Open(bridges.Account{Network: "elsewhere.example"}, nil); bridges.AsError(err).Kind != bridges.Forbidden {
		t.Errorf("a network that is not listed: %v", err)
	}
}

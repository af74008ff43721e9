package irc

import (
	"crypto/tls"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// Names of the fields a user may set, the keys of Account.Settings.
const (
	setNetwork      = "network"
	setNick         = "nick"
	setAlternatives = "alternatives"
	setUsername     = "username"
	setRealname     = "realname"
	setAccount      = "account"
	setPassword     = "password"
	setCertificate  = "certificate"
	setServerPass   = "server_password"
	setChannels     = "channels"
	setCommands     = "commands"
	setPorts        = "ports"
	setEncoding     = "encoding"
	setQuit         = "quit_message"
)

// Fields is what a user may set for a network.
func (d *Driver) Fields(id bridges.NetworkID) []bridges.Field {
	var fields []bridges.Field
	l := &d.defaults
	if id == "" {
		fields = append(fields, d.networkField())
	} else if r, err := d.route(id); err == nil {
		l = r.link
	}
	fields = append(fields, userFields...)
	if len(l.userPorts) > 0 {
		fields = append(fields, bridges.Field{
			Name: setPorts, Label: "Ports", Kind: bridges.FieldLines, Advanced: true,
			Help: "Ports to try, in order, one a line: +6697 is TLS, 6667 is not.",
		})
	}
	return fields
}

func (d *Driver) networkField() bridges.Field {
	f := bridges.Field{Name: setNetwork, Label: "Network", Required: true, Help: "The IRC network this account is for."}
	if d.cfg.Open {
		f.Help = "The IRC network this account is for: a name or a host, as in “" + d.exampleNetwork() + "”."
		return f
	}
	f.Kind = bridges.FieldChoice
	for _, n := range d.networks {
		f.Options = append(f.Options, string(n.id))
	}
	if len(f.Options) == 1 {
		f.Default = f.Options[0]
	}
	return f
}

var userFields = []bridges.Field{
	{Name: setNick, Label: "Nickname", Required: true, Legacy: "nick", Help: "The name others see."},
	{Name: setAccount, Label: "Account", Legacy: "username", Help: "Your account with the network's services, if it is not the nickname."},
	{Name: setPassword, Label: "Password", Kind: bridges.FieldSecret, Legacy: "password", Help: "Of your account with the network's services (SASL or NickServ)."},
	{Name: setRealname, Label: "Real name", Legacy: "name", Help: "Shown to who asks about you."},
	{Name: setChannels, Label: "Channels", Kind: bridges.FieldLines, Help: "Entered whenever you are connected, one a line, with the key behind it if there is one."},
	{Name: setAlternatives, Label: "Other nicknames", Advanced: true, Help: "Used while yours is taken and nobody is there to choose, divided by spaces."},
	{Name: setUsername, Label: "User name", Advanced: true, Help: "The part before the @ in your address on IRC."},
	{Name: setCertificate, Label: "Certificate", Kind: bridges.FieldSecret, Advanced: true, Help: "Client certificate with its private key, in PEM, for SASL EXTERNAL or CertFP."},
	{Name: setServerPass, Label: "Server password", Kind: bridges.FieldSecret, Advanced: true, Help: "For private servers and bouncers."},
	{Name: setCommands, Label: "Commands", Kind: bridges.FieldLines, Advanced: true, Help: "IRC lines sent after connecting, one a line."},
	{Name: setQuit, Label: "Quit message", Advanced: true, Help: "What others see when you leave the network."},
	{Name: setEncoding, Label: "Encoding", Advanced: true, Help: "How text that is not UTF-8 is read, as in windows-1251."},
}

// settings are a user's, read and checked.
type settings struct {
	nick         string
	alternatives []string
	username     string
	realname     string
	account      string
	password     string
	certificate  *tls.Certificate
	serverPass   string
	commands     []ircconn.Line
	ports        []port
	fallback     encoding.Encoding
	quit         string
}

// Bounds on what one user may have the gateway do after connecting.
const (
	maxAutoJoin     = 100
	maxCommands     = 20
	maxAlternatives = 5
	maxUserPorts    = 8
)

// The channels of setChannels are only checked here: whoever runs the link
// enters them, with Join.

// readSettings checks what the user has set. Its errors are of kind Invalid or
// Forbidden, in words for the user.
func readSettings(a bridges.Account, l *link) (settings, error) {
	get := func(name string) string { return strings.TrimSpace(a.Settings[name]) }
	s := settings{
		nick: get(setNick), username: get(setUsername), realname: oneLine(get(setRealname)),
		account: get(setAccount), password: get(setPassword), serverPass: get(setServerPass),
		quit: oneLine(get(setQuit)), fallback: l.fallback,
		alternatives: strings.FieldsFunc(get(setAlternatives), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }),
	}
	s.alternatives = s.alternatives[:min(len(s.alternatives), maxAlternatives)]
	if s.serverPass == "" {
		s.serverPass = l.password
	}
	if s.quit == "" {
		s.quit = l.QuitMessage
	}
	for _, value := range []string{s.nick, s.username, s.account, s.password, s.serverPass} {
		if badLine(value) {
			return s, bridges.NewError(bridges.Invalid, "Names and passwords cannot have a line break.")
		}
	}
	for _, nick := range append([]string{s.nick}, s.alternatives...) {
		if text := badName(nick, bridges.AddressPerson); nick != "" && text != "" {
			return s, bridges.NewError(bridges.Invalid, text)
		}
	}
	if strings.ContainsAny(s.username, " @") {
		return s, bridges.NewError(bridges.Invalid, "A user name on IRC has no spaces and no @.")
	}
	if err := s.readCertificate(get(setCertificate)); err != nil {
		return s, err
	}
	if err := s.readLists(get(setChannels), get(setCommands)); err != nil {
		return s, err
	}
	if name := get(setEncoding); name != "" {
		fallback, ok := fallbackNamed(name)
		if !ok {
			return s, bridges.NewError(bridges.Invalid, "“"+printable(name)+"” is not a known encoding.")
		}
		s.fallback = fallback
	}
	return s, s.readPorts(get(setPorts), l)
}

// pemLine is a line that begins or ends a block of PEM (RFC 7468).
var pemLine = regexp.MustCompile(`-----(BEGIN|END) [A-Z ]+-----`)

// readCertificate reads PEM, which has often lost its line breaks: clients ask
// for secrets in fields of one line.
func (s *settings) readCertificate(pem string) error {
	if pem == "" {
		return nil
	}
	pem = pemLine.ReplaceAllString(pem, "\n$0\n")
	cert, err := tls.X509KeyPair([]byte(pem), []byte(pem))
	if err != nil {
		return &bridges.Error{Kind: bridges.Invalid, Text: "The certificate must be PEM, with its private key in the same text.", Err: err}
	}
	s.certificate = &cert
	return nil
}

func (s *settings) readLists(channels, commands string) error {
	joins := 0
	for line := range strings.Lines(channels) {
		name, key, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		if text := badName(name, bridges.AddressRoom); text != "" || !isChannel(name) {
			return bridges.NewError(bridges.Invalid, "“"+printable(name)+"” is not a channel.")
		}
		if key = strings.TrimSpace(key); strings.ContainsAny(key, " ,") {
			return bridges.NewError(bridges.Invalid, "The key of "+printable(name)+" has a space or a comma, which no key can have.")
		}
		joins++
	}
	for text := range strings.Lines(commands) {
		text = strings.TrimPrefix(strings.TrimSpace(text), "/")
		if text == "" {
			continue
		}
		line, err := ircconn.ParseLine(text)
		if err != nil {
			return bridges.NewError(bridges.Invalid, "“"+printable(text)+"” is not an IRC command.")
		}
		s.commands = append(s.commands, line)
	}
	if joins > maxAutoJoin || len(s.commands) > maxCommands {
		return bridges.NewError(bridges.Invalid, "That is too many: 100 channels and 20 commands are the most.")
	}
	return nil
}

func (s *settings) readPorts(text string, l *link) error {
	for _, field := range strings.Fields(text) {
		p, err := parsePort(field)
		switch {
		case err != nil || len(s.ports) == maxUserPorts:
			return bridges.NewError(bridges.Invalid, "Write the ports as +6697 with TLS or 6667 without, at most 8.")
		case !l.allowsPort(p.number):
			return bridges.NewError(bridges.Forbidden, "Port "+field+" is not allowed here.")
		case !p.tls && !l.plain:
			return bridges.NewError(bridges.Forbidden, "Connections without TLS are not allowed here.")
		}
		s.ports = append(s.ports, p)
	}
	return nil
}

package testenv

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// IRCServer is a running IRC server.
type IRCServer struct {
	*Server
	Host  string
	Plain int // port without encryption
	TLS   int // port with TLS; CAFile verifies it
	// CertFile is the certificate shown with TLS, in PEM, then who signed it.
	CertFile string

	Services *Server // Anope beside InspIRCd, else nil
}

// IRCOptions say what is unusual about an IRC server.
type IRCOptions struct {
	// Also are addresses to listen on beside the server's own, on the same ports.
	Also []string
	// Name is the server's name, ngircd.test when empty.
	Name string
	// Link is another ngIRCd to link to, which was started with the name of this
	// one in its Peer.
	Link *IRCServer
	// Peer is the name of a server that may link to this one.
	Peer string
}

// ircConfig is what the configuration templates are filled from.
type ircConfig struct {
	Dir, Host, Cert, Key string
	Plain, TLS, Link     int
	Modules              []string
	Listen, Name, Peer   string
	PeerHost             string
	PeerPort             int // where to link to; 0: the peer links to us
}

// Address is where clients without TLS connect to.
func (s *IRCServer) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Plain)) }

// StartNgIRCd starts ngIRCd: a server of the old kind, without SASL, message
// tags or services.
func (e *Env) StartNgIRCd(ctx context.Context) (*IRCServer, error) {
	return e.StartNgIRCdWith(ctx, IRCOptions{})
}

// StartNgIRCdWith is StartNgIRCd for what is unusual.
func (e *Env) StartNgIRCdWith(ctx context.Context, o IRCOptions) (*IRCServer, error) {
	bin, err := program("ngircd", "ngircd")
	if err != nil {
		return nil, err
	}
	// Its own loopback address: two networks of one gateway may not have the same
	// host.
	s := &IRCServer{Host: "127.0.0.2"}
	s.Server, err = e.launch(ctx, "ngircd", 2, func(dir string, ports []int) (func() *exec.Cmd, error) {
		c, err := e.ircConfig(dir, s.Host, ports)
		if err != nil {
			return nil, err
		}
		s.CertFile = c.Cert
		c.Listen = strings.Join(append([]string{s.Host}, o.Also...), ",")
		c.Name = cmp.Or(o.Name, "ngircd.test")
		c.Peer = o.Peer
		if o.Link != nil {
			c.Peer, c.PeerHost, c.PeerPort = "ngircd.test", o.Link.Host, o.Link.Plain
		}
		conf, err := e.render(ngircdConfig, dir, "ngircd.conf", c)
		return func() *exec.Cmd { return exec.Command(bin, "--nodaemon", "--config", conf) }, err
	})
	if err != nil {
		return nil, err
	}
	s.Plain, s.TLS = s.ports[0], s.ports[1]
	return s, nil
}

func (e *Env) ircConfig(dir, host string, ports []int) (ircConfig, error) {
	cert, key, err := e.certificate(dir, "irc.test")
	if err != nil {
		return ircConfig{}, err
	}
	c := ircConfig{Dir: dir, Host: host, Cert: cert, Key: key, Plain: ports[0], TLS: ports[1]}
	if len(ports) > 2 {
		c.Link = ports[2]
	}
	return c, e.write(filepath.Join(dir, "motd"), "Welcome to the test network.\n", 0o644)
}

const ngircdConfig = `[Global]
Name = {{.Name}}
Info = test server
AdminInfo1 = test
AdminEMail = admin@ngircd.test
Listen = {{.Listen}}
Ports = {{.Plain}}
MotdFile = {{.Dir}}/motd
[Limits]
MaxConnections = 5000
MaxConnectionsIP = 0
MaxJoins = 100
MaxNickLength = 30
PingTimeout = 120
PongTimeout = 20
ConnectRetry = 5
[Options]
AllowedChannelTypes = #&+
ChrootDir =
DNS = no
Ident = no
PAM = no
OperCanUseMode = yes
MorePrivacy = no
[Operator]
Name = oper
Password = oper
[SSL]
CertFile = {{.Cert}}
KeyFile = {{.Key}}
Ports = {{.TLS}}
{{if .Peer}}[Server]
Name = {{.Peer}}
MyPassword = linkpass
PeerPassword = linkpass
{{if .PeerPort}}Host = {{.PeerHost}}
Port = {{.PeerPort}}
{{end}}{{end}}`

// StartInspIRCd starts InspIRCd with Anope beside it: NickServ, ChanServ and
// SASL. It returns when the services are linked.
func (e *Env) StartInspIRCd(ctx context.Context) (*IRCServer, error) {
	bin, err := program("inspircd", "inspircd")
	if err != nil {
		return nil, err
	}
	s := &IRCServer{Host: Host}
	s.Server, err = e.launch(ctx, "inspircd", 3, func(dir string, ports []int) (func() *exec.Cmd, error) {
		c, err := e.ircConfig(dir, s.Host, ports)
		if err != nil {
			return nil, err
		}
		s.CertFile = c.Cert
		c.Modules = inspircdModules()
		conf, err := e.render(inspircdConfig, dir, "inspircd.conf", c)
		return func() *exec.Cmd { return exec.Command(bin, "--nofork", "--config", conf) }, err
	})
	if err != nil {
		return nil, err
	}
	s.Plain, s.TLS = s.ports[0], s.ports[1]
	s.Services, err = e.startAnope(ctx, s)
	return s, err
}

// inspircdModules are the wanted modules that are installed.
func inspircdModules() []string {
	var found []string
	for _, m := range strings.Fields(`alias allowinvite banexception botmode cap chanhistory cloaking customprefix
		chghost deaf hidechans inviteexception ircv3 ircv3_accounttag ircv3_batch ircv3_capnotify ircv3_chghost
		ircv3_ctctags ircv3_echomessage ircv3_invitenotify ircv3_labeledresponse ircv3_msgid
		ircv3_servertime knock monitor muteban namesx nicklock  uhnames sasl servprotect services_account
		setname spanningtree ssl_gnutls sslinfo`) {
		if _, err := os.Stat("/usr/lib/inspircd/modules/m_" + m + ".so"); err == nil {
			found = append(found, m)
		}
	}
	return found
}

const inspircdConfig = `<config format="xml">
<server name="inspircd.test" description="test server" network="InspTest" id="1TB">
<admin name="test" nick="admin" email="admin@inspircd.test">
{{range .Modules}}<module name="{{.}}">
{{end -}}
<cloak mode="half" key="testtesttesttesttesttesttesttesttest" prefix="insp-">
<sslprofile name="clients" provider="gnutls" certfile="{{.Cert}}" keyfile="{{.Key}}" requestclientcert="yes" hash="sha256">
<bind address="{{.Host}}" port="{{.Plain}}" type="clients">
<bind address="{{.Host}}" port="{{.TLS}}" type="clients" sslprofile="clients">
<bind address="{{.Host}}" port="{{.Link}}" type="servers">
<link name="services.test" ipaddr="{{.Host}}" port="{{.Link}}" allowmask="127.0.0.1/8" sendpass="linkpass" recvpass="linkpass">
<uline server="services.test" silent="yes">
<sasl target="services.test" requiressl="no">
<class name="all" commands="*" privs="*" chanmodes="*" usermodes="*">
<type name="oper" classes="all">
<oper name="oper" password="oper" host="*@*" type="oper">
<connect allow="*" timeout="30" pingfreq="120" hardsendq="4M" softsendq="64K" recvq="64K" threshold="1000" commandrate="100000" fakelag="no" localmax="5000" globalmax="5000" useident="no" resolvehostnames="no" modes="+x">
<chanhistory bots="yes" enableumode="yes" prefixmsg="no">
<customprefix name="founder" letter="q" prefix="~" rank="50000" ranktoset="50000">
<customprefix name="admin" letter="a" prefix="&amp;" rank="40000" ranktoset="50000">
<customprefix name="halfop" letter="h" prefix="%" rank="20000" ranktoset="30000">
<performance softlimit="12800" clonesonconnect="no">
<options defaultmodes="not" hostintopic="yes" syntaxhints="no">
<limits maxnick="31" maxchan="64" maxmodes="20" maxident="11" maxhost="64" maxquit="255" maxtopic="307" maxkick="255" maxreal="128" maxaway="200">
<maxlist mode="*" limit="100">
<files motd="{{.Dir}}/motd">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{{.Dir}}/inspircd.log">
<pid file="{{.Dir}}/inspircd.pid">
<path configdir="{{.Dir}}" datadir="{{.Dir}}" logdir="{{.Dir}}" moduledir="/usr/lib/inspircd/modules" runtimedir="{{.Dir}}">
`

func (e *Env) startAnope(ctx context.Context, irc *IRCServer) (*Server, error) {
	bin, err := program("anope", "anope")
	if err != nil {
		return nil, err
	}
	dir, err := e.folder("anope")
	if err != nil {
		return nil, err
	}
	if err := e.mkdir(filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	if _, err := e.render(anopeConfig, dir, "services.conf", ircConfig{Dir: dir, Host: Host, Link: irc.ports[2]}); err != nil {
		return nil, err
	}
	s := &Server{Name: "anope", env: e, dir: dir}
	s.command = func() *exec.Cmd {
		return exec.Command(bin, "--confdir="+dir, "--dbdir="+filepath.Join(dir, "data"), "--logdir="+dir,
			"--modulesdir=/usr/lib/anope", "--nofork", "--nothird")
	}
	s.ready = func(ctx context.Context) error { return irc.awaitServices(ctx) }
	return s, s.Start(ctx)
}

// Restart kills the server and starts it again, and waits until the services,
// which stay up, have linked again.
func (s *IRCServer) Restart(ctx context.Context) error {
	if err := s.Server.Restart(ctx); err != nil || s.Services == nil {
		return err
	}
	return s.awaitServices(ctx)
}

// awaitServices asks the server, as a client would, until SASL and NickServ are
// there.
func (s *IRCServer) awaitServices(ctx context.Context) error {
	c, err := DialIRC(ctx, s.Address(), "")
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(5 * poll)
	defer tick.Stop()
	for {
		c.Send("CAP LS 302")
		line, err := c.Expect(ctx, `(?i) CAP \S+ LS :`)
		if err != nil {
			return err
		}
		if strings.Contains(line, "sasl=") {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the services did not link to %s: %w", s.Name, context.Cause(ctx))
		}
	}
}

// Mail is never sent; the shortest of expiries are off.
const anopeConfig = `uplink { host = "{{.Host}}"; ipv6 = no; ssl = no; port = {{.Link}}; password = "linkpass" }
serverinfo { name = "services.test"; description = "services"; id = "9TB"; pid = "{{.Dir}}/anope.pid"; motd = "/dev/null" }
networkinfo { networkname = "InspTest"; nicklen = 31; userlen = 10; hostlen = 64; chanlen = 64; modelistsize = 100
  vhost_chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"; allow_undotted_vhosts = no; disallow_start_or_end = ".-" }
options { casemap = "rfc1459"; strictpasswords = no; badpasslimit = 0; updatetimeout = 2m; expiretimeout = 30m
  readtimeout = 5s; warningtimeout = 4h; timeoutcheck = 3s; retrywait = 1s; hideprivilegedcommands = yes; regexengine = "" }
log { target = "services.log"; bot = ""; logage = 7; admin = "*"; override = "*"; commands = "*"; servers = "*"; users = "connect disconnect"; other = "*"; rawio = no; debug = no }
module { name = "inspircd3" }
module { name = "db_flatfile"; database = "anope.db"; keepbackups = 1 }
module { name = "enc_sha256" }
service { nick = "NickServ"; user = "services"; host = "services.test"; gecos = "NickServ" }
service { nick = "ChanServ"; user = "services"; host = "services.test"; gecos = "ChanServ" }
module { name = "nickserv"; client = "NickServ"; forceemail = no; confirmemailchanges = no; defaults = "ns_secure ns_private"
  regdelay = 0; expire = 0; secureadmins = yes; modeonid = yes; guestnickprefix = "Guest"; passlen = 32; killquick = 20s; kill = 60s }
module { name = "ns_register"; registration = "none"; nickregdelay = 0 }
command { service = "NickServ"; name = "REGISTER"; command = "nickserv/register" }
command { service = "NickServ"; name = "IDENTIFY"; command = "nickserv/identify" }
command { service = "NickServ"; name = "INFO"; command = "nickserv/info" }
command { service = "NickServ"; name = "GHOST"; command = "nickserv/recover" }
command { service = "NickServ"; name = "RECOVER"; command = "nickserv/recover" }
command { service = "NickServ"; name = "CERT"; command = "nickserv/cert" }
command { service = "NickServ"; name = "GROUP"; command = "nickserv/group" }
command { service = "NickServ"; name = "HELP"; command = "generic/help" }
command { service = "ChanServ"; name = "REGISTER"; command = "chanserv/register" }
command { service = "ChanServ"; name = "OP"; command = "chanserv/modes" }
module { name = "chanserv"; client = "ChanServ"; defaults = "keeptopic peace cs_secure"; maxregistered = 0; expire = 0; accessmax = 100; inhabit = 15s; reasonmax = 200; signkickformat = "%m"; disallow_hostmask_access = no; disallow_channel_access = no; always_lower_ts = no }
privilege { name = "FOUNDER"; rank = 0; level = "FOUNDER"; flag = "F"; xop = "QOP" }
module { name = "ns_identify" }
module { name = "ns_info" }
module { name = "ns_recover" }
module { name = "ns_cert" }
module { name = "ns_group" }
module { name = "ns_maxemail" }
module { name = "help" }
module { name = "cs_register" }
module { name = "cs_mode" }
module { name = "m_sasl" }
`

// Package deps pins modules while their users are being written. It goes away
// before the first release commit.
package deps

import (
	_ "github.com/coreos/go-systemd/v22/daemon"
	_ "github.com/ergochat/irc-go/ircfmt"
	_ "github.com/ergochat/irc-go/ircmsg"
	_ "github.com/ergochat/irc-go/ircreader"
	_ "github.com/ergochat/irc-go/ircutils"
	_ "github.com/go-viper/mapstructure/v2"
	_ "github.com/mattn/go-sqlite3"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/prometheus/client_golang/prometheus/collectors"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/testutil"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/cobra/doc"
	_ "github.com/spf13/viper"
	_ "github.com/xdg-go/scram"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/text/encoding/charmap"
	_ "golang.org/x/text/encoding/htmlindex"
	_ "golang.org/x/text/secure/precis"
	_ "golang.org/x/time/rate"
	_ "gosrc.io/xmpp"
	_ "gosrc.io/xmpp/stanza"
	_ "pgregory.net/rapid"
)

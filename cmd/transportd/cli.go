package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"transportd/config"
)

const longHelp = `transportd lets people with any XMPP client use other chat networks: it is an
external component (XEP-0114) of an ordinary XMPP server such as Prosody or
ejabberd, and speaks IRC or Matrix on the other side. A channel of IRC is a
group chat at #channel%network@gateway, a person a contact at
nick%network@gateway.

To begin, beside a running XMPP server:

  transportd init --domain irc.example.org    writes a config and a secret, and
                                              prints what the XMPP server needs
  transportd check                            reads the config, changes nothing
  transportd run                              the daemon

Settings come from the config file, then from the environment (log.level is
TRANSPORTD_LOG_LEVEL, the server of the gateway called irc is
TRANSPORTD_GATEWAYS_IRC_SERVER), then from flags, each over the one before.

While it runs, SIGHUP reads the config again and logs what took effect and what
waits for a restart; SIGTERM leaves all rooms politely and ends within 10
seconds.

Exit codes: 0 all is well, 1 something failed, 2 the command line is wrong,
78 the configuration is wrong.`

// sharedFlags are the flags of every command that reads the config.
type sharedFlags struct {
	file      string
	set       []string
	logLevel  string
	logFormat string
}

func newRootCommand() *cobra.Command {
	f := &sharedFlags{}
	root := &cobra.Command{
		Use:           "transportd",
		Short:         "A gateway between XMPP and other chat networks",
		Long:          longHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVarP(&f.file, "config", "c", defaultConfigFile(), "the config `file`; TRANSPORTD_CONFIG sets another default")
	root.AddCommand(newRunCommand(f), newCheckCommand(f), newInitCommand(f), newBackupCommand(f), newExportCommand(f), newDBCommand(f), newVersionCommand())
	return root
}

// defaultConfigFile is where the config is unless --config says otherwise.
func defaultConfigFile() string {
	if f := os.Getenv("TRANSPORTD_CONFIG"); f != "" {
		return f
	}
	return config.DefaultFile
}

// settingFlags adds the flags that stand over file and environment.
func (f *sharedFlags) settingFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.set, "set", "s", nil, "set a `key=value` of the config, as gateways.irc.server=127.0.0.1:5347; may be repeated")
	flags.StringVar(&f.logLevel, "log-level", "", "same as --set log.level=`level`: debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "", "same as --set log.format=`form`: text or json")
}

// options turns flags into what config.Load wants.
func (f *sharedFlags) options() (config.Options, error) {
	o := config.Options{File: f.file, Set: map[string]string{}, Drivers: driverNames()}
	for _, pair := range f.set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return o, &usageError{fmt.Errorf("--set %s: write key=value", pair)}
		}
		o.Set[key] = value
	}
	if f.logLevel != "" {
		o.Set["log.level"] = f.logLevel
	}
	if f.logFormat != "" {
		o.Set["log.format"] = f.logFormat
	}
	return o, nil
}

// load reads the config with the drivers' sections, and returns everything that
// is wrong in either as one config.Problems.
func (f *sharedFlags) load() (config.Config, error) {
	o, err := f.options()
	if err != nil {
		return config.Config{}, err
	}
	c, err := config.Load(o)
	return c, checkSections(&c, err)
}

// checkSections adds what is wrong in the drivers' sections to the problems of
// the rest.
func checkSections(c *config.Config, err error) error {
	var problems config.Problems
	if err != nil {
		p, ok := err.(config.Problems)
		if !ok {
			return err
		}
		problems = append(problems, p...)
	}
	for _, g := range c.Gateways {
		d, known := drivers[g.Driver]
		if !known {
			continue // reported by config.Load
		}
		if _, err := d.open(g.Section); err != nil {
			if p, ok := err.(config.Problems); ok {
				problems = append(problems, p...)
				continue
			}
			problems = append(problems, config.Problem{File: c.File(), Key: "gateways[" + g.Name + "]." + g.Driver, Text: err.Error()})
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%q is no command of %s", args[0], cmd.CommandPath())}
	}
	return nil
}

func newRunCommand(f *sharedFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateways of the config",
		Long: `Run connects every gateway of the config to its XMPP server and serves until
SIGTERM or SIGINT, which leave all rooms, tell the users, and end the program
within 10 seconds; a second one ends it at once. SIGHUP reads the config again.

The log goes to standard error. Under systemd it reports when it is ready, and
serves the watchdog if the unit has one.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			log := newLogging(cmd.ErrOrStderr(), c.Log).log
			if err := run(cmd.Context(), c, log); err != nil {
				log.Error("transportd failed", "err", err)
				return errLogged
			}
			return nil
		},
	}
	f.settingFlags(cmd)
	return cmd
}

func newCheckCommand(f *sharedFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong in the config",
		Long: `Check reads the config as run would, with environment and flags, and prints
everything that is wrong at once, a line each: file, key, what is wrong and,
for an unknown key, the one that was probably meant. It reads the files the
config names, opens no connection and no database, and changes nothing.

Exit codes: 0 nothing is wrong, 78 something is.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			for _, w := range c.Warnings() {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %s\n", f.file, w)
			}
			folder := filepath.Dir(c.Store.Path)
			if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && !c.Store.UsesPostgres() {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: store.path: there is no folder %s yet; systemd makes it for the unit, otherwise run needs it\n", f.file, folder)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing is wrong\n", f.file)
			return nil
		},
	}
	f.settingFlags(cmd)
	return cmd
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Version prints the release, the commit it was built from if that is known, and how it was built.",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

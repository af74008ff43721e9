package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"transportd/internal/irctest"
)

// outage is a database that cannot be used for a while.
type outage struct {
	begin, end func(w *world)
	logged     string // what says that it is over, where that takes its time
}

// outages prepares each kind with the setting that leads the program there.
func outages(t *testing.T) map[string]func(t *testing.T) outage {
	all := map[string]func(t *testing.T) outage{
		"the file is moved away": func(t *testing.T) outage {
			path := filepath.Join(t.TempDir(), "t.db")
			t.Setenv("TRANSPORTD_STORE_PATH", path)
			move := func(from, to string) func(*world) {
				return func(*world) {
					if err := os.Rename(from, to); err != nil {
						t.Fatal(err)
					}
				}
			}
			return outage{begin: move(path, path+".away"), end: move(path+".away", path)}
		},
		"the server is gone": func(t *testing.T) outage {
			pg := startPostgres(t)
			address := filepath.Join(t.TempDir(), "address")
			if err := os.WriteFile(address, []byte(pg.DSN()), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TRANSPORTD_STORE_POSTGRES_FILE", address)
			return outage{begin: func(*world) { pg.Kill9() }, end: func(*world) {
				if err := pg.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}, logged: "the database is held again"}
		},
	}
	if os.Getuid() == 0 { // only root may mount a disk that fills up
		all["the disk is full"] = func(t *testing.T) outage {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
			t.Setenv("TRANSPORTD_STORE_PATH", filepath.Join(dir, "t.db"))
			ballast := filepath.Join(dir, "ballast")
			return outage{begin: func(*world) {
				f, err := os.Create(ballast)
				for block := make([]byte, 4096); err == nil; {
					_, err = f.Write(block)
				}
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
				_ = f.Close()
			}, end: func(*world) {
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
			}}
		}
	}
	return all
}

// TestScenarioTheDatabaseCannotBeUsed: who registers meanwhile is told so, chats
// go on, and it passes without a restart.
func TestScenarioTheDatabaseCannotBeUsed(t *testing.T) {
	for name, prepare := range outages(t) {
		t.Run(name, func(t *testing.T) {
			o := prepare(t)
			w := newWorld(t, irctest.Config{Accounts: map[string]string{"juliet": "wherefore"}})
			romeo := w.irc.Puppet("romeo")
			romeo.Do("JOIN #verona")
			w.join(balcony, "juliet")

			o.begin(w)
			w.register("wherefore")
			w.stream.Until("iq[@type='error'][@id='reg']/error[@type='wait']/text[text()='The database of the gateway cannot be used at the moment, " +
				"and nothing was changed. Please try again later; the operator can find the reason in the log.']")
			w.program.logged("what a user asked for cannot be stored or read now")
			w.stream.Send(`<message type='groupchat' id='m1' from='%s' to='%s'><body>but soft</body></message>`, balcony, room)
			romeo.ExpectSeen(t, `:juliet!.* PRIVMSG #verona :but soft`)
			romeo.Do("PRIVMSG #verona :what light")
			w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@from='%s/romeo'][@to='%s']/body[text()='what light']", room, balcony))

			o.end(w)
			if o.logged != "" {
				w.program.logged(o.logged)
			}
			w.register("wherefore")
			w.stream.Until("iq[@type='result'][@id='reg']")
			w.stored()
			w.end()
		})
	}
}

package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
)

// Who has logged out of one network of several is not connected to it by a
// restart, only to the others, until they log in.
func TestRestartLeavesARestingNetworkAlone(t *testing.T) {
	scenario(t, func(w *world) {
		w.store.records["alice@home.example"] = Record{
			Accounts: []StoredAccount{{Network: "net"}, {Network: "other"}}, Resting: []string{"net"},
		}
		if err := w.m.Restore(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		online := func(network bridges.NetworkID, want bool) {
			t.Helper()
			if text, got := w.m.State(w.user(), network); got != want {
				t.Errorf("%s: %s", network, text)
			}
		}
		online("net", false)
		online("other", true)
		if text, _ := w.m.State(w.user(), "net"); text != "Logged out." {
			t.Errorf("the state is %q", text)
		}
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}, {Network: "other"}}}
		if err := w.m.Login(context.Background(), w.user(), "net"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		online("net", true)
	})
}

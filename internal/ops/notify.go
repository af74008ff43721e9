package ops

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify tells the service manager a state (sd_notify): READY=1, STOPPING=1,
// RELOADING=1 or STATUS=…. Without a service manager it does nothing.
func Notify(log *slog.Logger, states ...string) {
	for _, state := range states {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.Warn("the service manager could not be told", "state", state, "err", err)
		}
	}
}

// States for Notify.
const (
	Ready    = daemon.SdNotifyReady
	Stopping = daemon.SdNotifyStopping
)

// Watchdog tells the service manager that the daemon lives, twice in the time
// it allows, as long as alive returns true; it returns at once when no watchdog
// was asked for, else when ctx is done. alive may block for a moment: being
// late is how a daemon that hangs is found.
func Watchdog(ctx context.Context, log *slog.Logger, alive func() bool) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if alive() {
				Notify(log, daemon.SdNotifyWatchdog)
			}
		}
	}
}

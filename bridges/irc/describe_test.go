package irc

import (
	"fmt"

	"transportd/bridges"
)

// describe puts an event into one line, for failures.
func describe(ev bridges.Event) string {
	if f, ok := ev.(*bridges.Failed); ok {
		return fmt.Sprintf("Failed ref=%d kind=%d %q uncertain=%t", f.Ref, f.Err.Kind, f.Err.Text, f.Err.Uncertain)
	}
	return cutBytes(fmt.Sprintf("%T%+v", ev, ev), 400)
}

package bridges

import "context"

// Command is something of a driver's own that a user can have done, beside what
// there is an ability for. The gateway shows it as it shows its own.
type Command struct {
	// Verb is what is typed, one lower-case word that is no command of the gateway's;
	// clients name the command by it, too.
	Verb string
	Name string // a few words: the title in lists
	Help string // one sentence more, that goes on behind the verb: "says whether …"
	// At is whose addresses have it: AddressNetwork or AddressRoom.
	At AddressKind
	// Fields are asked for first. What is typed behind the verb is for them, in their
	// order; the last one takes the rest of the line.
	Fields []Field
	// Run does it on the link of whoever asked, with the answers by Field.Name, defaults
	// where there is none, and returns what there is to tell. place
	// is empty at a network's address, and a room the user is in at a room's. It is
	// called from a worker and blocks until ctx is done at most; the error is an *Error,
	// of kind Offline where there is no connection.
	Run func(ctx context.Context, n Network, place Place, values map[string]string) (string, error)
}

// Commander is a Driver that has commands of its own. They do not change.
type Commander interface {
	Commands() []Command
}

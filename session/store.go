package session

import "context"

// Seat is a client in a room, as stored: who was in which room when the
// process died is asked when it is back.
type Seat struct {
	Client   string // full JID
	Room     string // bare JID of the room
	Nick     string
	Password string // of the room
}

// StoredAccount is a registration of a user with a network.
type StoredAccount struct {
	Network  string
	Settings map[string]string // secrets included
}

// Record is what is stored of a user.
type Record struct {
	Accounts   []StoredAccount
	LoggedOut  bool     // the user's own wish: no link is made for the accounts
	Resting    []string // networks that the user has logged out of alone
	Subscribed []string // addresses of the gateway and of networks whose presence the user gets
	People     []Subscription
	Rooms      []RoomSetting
	Defaults   Defaults
}

// RoomSetting is what a user chose for one room, whether in it or not.
type RoomSetting struct {
	Room       string // bare JID
	Record     *bool  // its lines are recorded; nil: as the user's default says
	Persistent bool   // the user stays in it without a client
	Nick       string // under which the user was last in a persistent room
	Password   string // of a persistent room
}

// Subscription is what is between the user and a person, or whatever other address.
type Subscription struct {
	Address  string // bare JID
	Sends    bool   // the user gets its presence
	Receives bool   // it gets the user's presence
	Asked    bool   // it has asked for that, and need not again
}

// Defaults are what a user gets in rooms without a choice, and in chats; nil: what the
// operator says.
type Defaults struct {
	Record     *bool
	Persistent *bool // rooms become persistent when they are entered
	// NoteOwn: what the user says to people with other clients of the network is told as
	// theirs, where the server does not let it be shown as the user's.
	NoteOwn *bool
}

// Store is what sessions need stored, for one gateway. Reading blocks until ctx
// is done, and so do the changes of settings and of history, which return when they are
// durable; the writes of seats are queued and do not block.
type Store interface {
	Record(ctx context.Context, user string) (Record, error)
	// LoggedIn lists the users who have an account and are logged in.
	LoggedIn(ctx context.Context) ([]string, error)
	// KeepsRooms lists the users who have persistent rooms and are not logged out.
	KeepsRooms(ctx context.Context) ([]string, error)
	Seats(ctx context.Context) ([]Seat, error)
	SaveSeat(Seat)
	RemoveSeat(client, room string)
	// SaveRoom replaces what is stored of a user's room. RemoveRoom removes it; it
	// is no error when there is nothing.
	SaveRoom(ctx context.Context, user string, set RoomSetting) error
	RemoveRoom(ctx context.Context, user, room string) error
	SaveDefaults(ctx context.Context, user string, d Defaults) error
	// SaveSubscriptions replaces what is stored between a user and people: all or
	// nothing. One with nothing set is removed.
	SaveSubscriptions(ctx context.Context, user string, subs []Subscription) error
	// ForgetHistory removes what a user sees of what was said in a room so far.
	ForgetHistory(ctx context.Context, user, room string) error
}

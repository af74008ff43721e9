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
	Subscribed []string // addresses of the gateway whose presence the user gets
}

// Store is what sessions need stored, for one gateway. Reading blocks until ctx
// is done; the two writes are queued and do not.
type Store interface {
	Record(ctx context.Context, user string) (Record, error)
	// LoggedIn lists the users who have an account and are logged in.
	LoggedIn(ctx context.Context) ([]string, error)
	Seats(ctx context.Context) ([]Seat, error)
	SaveSeat(Seat)
	RemoveSeat(client, room string)
}

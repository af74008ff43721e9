// Package keys is the encryption of an account (Olm and Megolm): one device, whose
// keys are kept in what the gateway stores for the account, sealed, backed up and
// removed with it. It is built with the tag goolm; without it the crypto of mautrix
// would need a C library, and Start refuses.
package keys

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Storage is where the keys are kept (bridges.StateStore). What Save has stored
// outlives the process.
type Storage interface {
	Load(ctx context.Context, prefix string) (map[string][]byte, error)
	Save(ctx context.Context, changes map[string][]byte) error
}

// Rooms is what is known of the account's rooms. Its methods but Recipients do not
// block.
type Rooms interface {
	// Encryption is how a room is encrypted; nil: it is not.
	Encryption(room id.RoomID) *event.EncryptionEventContent
	// Visibility is who may read what was said before.
	Visibility(room id.RoomID) *event.HistoryVisibilityEventContent
	// Shared are the encrypted rooms somebody is in with the account.
	Shared(user id.UserID) []id.RoomID
	// Recipients are all who are in a room or invited: who gets its keys. It may ask the
	// homeserver, under ctx.
	Recipients(ctx context.Context, room id.RoomID) ([]id.UserID, error)
}

// Errors of the encryption.
var (
	// ErrNoKey is a message whose key is not there. It may come later: see
	// Machine.OnKey.
	ErrNoKey = errors.New("keys: the key of this message is not there")
	// ErrUnreadable is a message that cannot be read and never will be.
	ErrUnreadable = errors.New("keys: this message cannot be read")
	// ErrRecovery is a recovery key that is not one, or not of this account.
	ErrRecovery = errors.New("keys: not the recovery key of this account")
	// ErrNoRecovery: the account has no recovery set up.
	ErrNoRecovery = errors.New("keys: the account has no recovery key")
	// ErrReplaced: the homeserver has other keys for this device than we do, or none.
	ErrReplaced = errors.New("keys: the homeserver knows this device by other keys")
	// ErrUnsupported is what Start returns where the program was built without.
	ErrUnsupported = errors.New("keys: built without encryption")
)

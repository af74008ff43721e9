//go:build !goolm

package keys

import (
	"context"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Machine is the account's device: there is none in this build.
type Machine struct{}

// Start refuses.
func Start(context.Context, *mautrix.Client, Storage, Rooms) (*Machine, error) {
	return nil, ErrUnsupported
}

// The rest is never reached: there is no Machine without Start.

func (*Machine) OnKey(func(id.RoomID, id.SessionID))             {}
func (*Machine) Sync(context.Context, *mautrix.RespSync, string) {}
func (*Machine) Membership(context.Context, *event.Event)        {}
func (*Machine) Reshare(context.Context, id.RoomID) error        { return ErrUnsupported }
func (*Machine) Request(context.Context, *event.Event) error     { return ErrUnsupported }
func (*Machine) Verified(context.Context) (bool, error)          { return false, ErrUnsupported }
func (*Machine) Recover(context.Context, string) (int, error)    { return 0, ErrUnsupported }
func (*Machine) Decrypt(context.Context, *event.Event) (*event.Event, error) {
	return nil, ErrUnsupported
}

func (*Machine) Encrypt(context.Context, id.RoomID, event.Type, any) (*event.EncryptedEventContent, error) {
	return nil, ErrUnsupported
}

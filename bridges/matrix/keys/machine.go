//go:build goolm

package keys

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/crypto/ssss"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Machine is the account's device. It is safe for concurrent use; its methods block
// on the homeserver and the storage, under their context.
type Machine struct {
	mach  *crypto.OlmMachine
	store *Store
	rooms Rooms

	// The library guards all but the account's own keys of cross-signing, which Recover
	// replaces: it has this for writing, whatever may look at them for reading.
	own sync.RWMutex

	mu    sync.Mutex
	onKey func(id.RoomID, id.SessionID)
}

// Start brings the device up: its keys are made at the first time, and published.
// ErrReplaced: they do not belong together any more, and the account must log in anew.
func Start(ctx context.Context, cli *mautrix.Client, storage Storage, rooms Rooms) (*Machine, error) {
	m := &Machine{store: New(storage), rooms: rooms}
	m.mach = crypto.NewOlmMachine(cli, nil, m.store, known{rooms})
	m.mach.SetBackgroundCtx(ctx)
	// Whoever is in a room may read it: so it is in every other client by default.
	m.mach.SendKeysMinTrust, m.mach.ShareKeysMinTrust = id.TrustStateUnset, id.TrustStateCrossSignedTOFU
	m.mach.SessionReceived = func(_ context.Context, room id.RoomID, session id.SessionID, _ uint32) {
		m.mu.Lock()
		f := m.onKey
		m.mu.Unlock()
		if f != nil {
			f(room, session)
		}
	}
	if err := m.store.belongTo(ctx, cli.DeviceID); err != nil {
		return nil, err
	}
	if err := m.mach.Load(ctx); err != nil {
		return nil, err
	}
	if err := m.store.loadStale(ctx); err != nil {
		return nil, err
	}
	return m, m.publish(ctx)
}

// publish makes sure that the homeserver has the device's keys, and these.
func (m *Machine) publish(ctx context.Context) error {
	cli := m.mach.Client
	resp, err := cli.QueryKeys(ctx, &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{cli.UserID: {cli.DeviceID}}})
	if err != nil {
		return err
	}
	theirs := resp.DeviceKeys[cli.UserID][cli.DeviceID].Keys.GetEd25519(cli.DeviceID)
	shared := m.mach.GetAccount().Shared
	switch {
	case theirs == "" && !shared:
		return m.mach.ShareKeys(ctx, -1)
	case theirs == "" || theirs != m.mach.OwnIdentity().SigningKey:
		return ErrReplaced
	case !shared: // they were published, and the process died before it was noted
		account := m.mach.GetAccount()
		account.Shared = true
		return m.store.PutAccount(ctx, account)
	}
	return nil
}

// known answers what the machine asks of rooms.
type known struct{ rooms Rooms }

func (k known) IsEncrypted(_ context.Context, room id.RoomID) (bool, error) {
	return k.rooms.Encryption(room) != nil, nil
}

func (k known) GetEncryptionEvent(_ context.Context, room id.RoomID) (*event.EncryptionEventContent, error) {
	return k.rooms.Encryption(room), nil
}

func (k known) GetHistoryVisibility(_ context.Context, room id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	return k.rooms.Visibility(room), nil
}

func (k known) FindSharedRooms(_ context.Context, user id.UserID) ([]id.RoomID, error) {
	return k.rooms.Shared(user), nil
}

// OnKey sets what is called when a key has come that was missing, perhaps long
// after. It is called while a key is being stored, and must not block.
func (m *Machine) OnKey(f func(id.RoomID, id.SessionID)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onKey = f
}

// Sync takes what an answer of the homeserver says about devices and keys. It is
// called before the answer's messages are decrypted, and the token of the answer is
// stored after that only.
func (m *Machine) Sync(ctx context.Context, resp *mautrix.RespSync, since string) {
	m.own.RLock()
	defer m.own.RUnlock()
	// Until their devices are known anew: the library asks for them once, now.
	if err := m.store.MarkTrackedUsersOutdated(ctx, resp.DeviceLists.Changed); err != nil {
		m.mach.Log.Warn().Err(err).Msg("Changed devices were not noted")
	}
	m.mach.ProcessSyncResponse(ctx, resp, since)
}

// Reshare has what is said in a room next encrypted with another key: who is in it may
// have changed unseen.
func (m *Machine) Reshare(ctx context.Context, room id.RoomID) error {
	m.own.RLock()
	defer m.own.RUnlock()
	return m.store.RemoveOutboundGroupSession(ctx, room)
}

// refresh asks for devices that may have changed, so that new ones get the keys of what is
// said next, and those that are gone do not. Whose server does not answer is left out for a
// while.
func (m *Machine) refresh(ctx context.Context) error {
	users := m.store.staleUsers()
	if len(users) == 0 {
		return nil
	}
	if _, err := m.mach.FetchKeys(ctx, users, false); err != nil {
		return err
	}
	m.store.unanswered(users)
	return nil
}

// Membership takes a change of who is in a room: who has left gets no further keys.
func (m *Machine) Membership(ctx context.Context, ev *event.Event) {
	m.own.RLock()
	defer m.own.RUnlock()
	m.mach.HandleMemberEvent(ctx, ev)
}

// Decrypt returns the event in an encrypted one, whose content must be parsed. The
// error wraps ErrNoKey or ErrUnreadable.
func (m *Machine) Decrypt(ctx context.Context, ev *event.Event) (*event.Event, error) {
	m.own.RLock()
	defer m.own.RUnlock()
	plain, err := m.mach.DecryptMegolmEvent(ctx, ev)
	switch {
	case err == nil:
		return plain, nil
	case errors.Is(err, crypto.ErrNoSessionFound), errors.Is(err, crypto.ErrGroupSessionWithheld):
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
}

// Encrypt returns content as an encrypted event for a room. Its key is shared with
// everybody in the room first, where that has not been done.
func (m *Machine) Encrypt(ctx context.Context, room id.RoomID, typ event.Type, content any) (*event.EncryptedEventContent, error) {
	m.own.RLock()
	defer m.own.RUnlock()
	if err := m.refresh(ctx); err != nil {
		return nil, err
	}
	encrypted, err := m.mach.EncryptMegolmEvent(ctx, room, typ, content)
	if err == nil || !crypto.IsShareError(err) {
		return encrypted, err
	}
	users, err := m.rooms.Recipients(ctx, room)
	if err != nil {
		return nil, err
	}
	if err := m.mach.ShareGroupSession(ctx, room, users); err != nil {
		return nil, err
	}
	return m.mach.EncryptMegolmEvent(ctx, room, typ, content)
}

// Request asks who sent a message, and the account's other devices, for its key.
func (m *Machine) Request(ctx context.Context, ev *event.Event) error {
	m.own.RLock()
	defer m.own.RUnlock()
	content := ev.Content.AsEncrypted()
	return m.mach.SendRoomKeyRequest(ctx, ev.RoomID, content.SenderKey, content.SessionID, "", map[id.UserID][]id.DeviceID{
		ev.Sender: {"*"}, m.mach.Client.UserID: {"*"},
	})
}

// Verified tells whether the device is signed by its account, so that others trust
// it.
func (m *Machine) Verified(ctx context.Context) (bool, error) {
	m.own.Lock() // the library notes the keys it has found
	defer m.own.Unlock()
	_, verified, err := m.mach.GetOwnVerificationStatus(ctx)
	return verified, err
}

// Recover signs the device with the account's recovery key (or its passphrase), and
// fetches the keys of old messages from the account's backup; it returns how many
// there are now. The error wraps ErrRecovery or ErrNoRecovery where that is so. The
// recovery key is not kept.
func (m *Machine) Recover(ctx context.Context, recovery string) (int, error) {
	keyID, data, err := m.mach.SSSS.GetDefaultKeyData(ctx)
	if err != nil {
		if errors.Is(err, ssss.ErrNoDefaultKeyID) || missing(err) {
			return 0, ErrNoRecovery
		}
		return 0, err
	}
	key, err := data.VerifyRecoveryKey(keyID, recovery)
	if err != nil {
		if key, err = data.VerifyPassphrase(keyID, recovery); err != nil {
			return 0, ErrRecovery
		}
	}
	if err := m.sign(ctx, key); err != nil {
		return 0, err
	}
	return m.fetchBackup(ctx, key)
}

// sign takes the account's keys of cross-signing and signs the device with them.
func (m *Machine) sign(ctx context.Context, key *ssss.Key) error {
	m.own.Lock()
	defer m.own.Unlock()
	if err := m.mach.FetchCrossSigningKeysFromSSSS(ctx, key); err != nil {
		return err
	}
	if err := m.mach.SignOwnDevice(ctx, m.mach.OwnIdentity()); err != nil {
		return err
	}
	return m.mach.SignOwnMasterKey(ctx)
}

// fetchBackup reads the account's backup of keys, where it has one.
func (m *Machine) fetchBackup(ctx context.Context, key *ssss.Key) (int, error) {
	raw, err := m.mach.SSSS.GetDecryptedAccountData(ctx, event.AccountDataMegolmBackupKey, key)
	if err != nil {
		if missing(err) || errors.Is(err, ssss.ErrNotEncryptedForKey) {
			return 0, nil
		}
		return 0, err
	}
	backupKey, err := backup.MegolmBackupKeyFromBytes(raw)
	if err != nil {
		return 0, err
	}
	version, err := m.mach.DownloadAndStoreLatestKeyBackup(ctx, backupKey)
	if err != nil {
		if missing(err) {
			return 0, nil
		}
		return 0, err
	}
	if err := m.mach.SetKeyBackupVersion(ctx, version); err != nil {
		return 0, err
	}
	sessions, err := m.store.GetAllGroupSessions(ctx).AsList()
	return len(sessions), err
}

func missing(err error) bool {
	var e mautrix.HTTPError
	return errors.As(err, &e) && (errors.Is(err, mautrix.MNotFound) || e.IsStatus(http.StatusNotFound))
}

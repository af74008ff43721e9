//go:build goolm

package keys

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Names of what is kept. Secrets are below sealed/, where they are encrypted with
// their place; what follows a slash is escaped.
const (
	nameAccount  = "sealed/e2e/account"
	nameOlm      = "sealed/e2e/olm/"    // sender key, session
	nameIn       = "sealed/e2e/in/"     // room, session
	nameOut      = "sealed/e2e/out/"    // room
	nameSecret   = "sealed/e2e/secret/" // name
	nameDevice   = "e2e/device"         // whose keys these are
	nameShared   = "e2e/shared/"        // session, user, key
	nameIndex    = "e2e/index/"         // session, number of the message
	nameHash     = "e2e/hash/"          // of an Olm message
	nameDevices  = "e2e/devices/"       // user
	nameOutdated = "e2e/outdated/"      // user
	nameCross    = "e2e/cross/"         // user
	nameSigned   = "e2e/signed/"        // user, key
)

// pickleKey is what pickles are encrypted with inside of what is sealed: they must
// have some.
var pickleKey = []byte("transportd")

// maxInbound bounds the inbound sessions kept in memory.
const maxInbound = 500

// Store implements crypto.Store. It is safe for concurrent use; its methods block on
// the storage.
type Store struct {
	storage Storage

	mu      sync.Mutex
	account *crypto.OlmAccount
	olm     map[id.SenderKey]map[id.SessionID]*crypto.OlmSession
	inbound map[id.SessionID]*crypto.InboundGroupSession
	order   []id.SessionID // of inbound, the oldest first
	out     map[id.RoomID]*crypto.OutboundGroupSession
	outs    map[id.RoomID]bool      // rooms that have one, in memory or stored; nil: not known yet
	tracked map[id.UserID]bool      // whether their devices are known
	stale   map[id.UserID]time.Time // whose devices may have changed, and when they were asked for last
}

var _ crypto.Store = (*Store)(nil)

// New opens the keys in a storage. No I/O.
func New(storage Storage) *Store {
	return &Store{
		storage: storage, olm: map[id.SenderKey]map[id.SessionID]*crypto.OlmSession{},
		inbound: map[id.SessionID]*crypto.InboundGroupSession{}, out: map[id.RoomID]*crypto.OutboundGroupSession{},
		tracked: map[id.UserID]bool{}, stale: map[id.UserID]time.Time{},
	}
}

func name(kind string, parts ...string) string {
	for i, p := range parts {
		if i > 0 {
			kind += "/"
		}
		kind += url.PathEscape(p)
	}
	return kind
}

// part is the last part of a name.
func part(name string) string {
	s, err := url.PathUnescape(name[strings.LastIndexByte(name, '/')+1:])
	if err != nil {
		return ""
	}
	return s
}

// get reads one value into v; false: there is none.
func (s *Store) get(ctx context.Context, name string, v any) (bool, error) {
	found, err := s.storage.Load(ctx, name)
	raw, ok := found[name]
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("keys: %s: %w", name, err)
	}
	return true, nil
}

// put stores one value; a nil one removes it.
func (s *Store) put(ctx context.Context, name string, v any) error {
	var raw []byte
	if v != nil {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return err
		}
	}
	return s.storage.Save(ctx, map[string][]byte{name: raw})
}

// Flush implements crypto.Store: everything is stored at once.
func (s *Store) Flush(context.Context) error { return nil }

// belongTo makes sure that the keys are those of a device: those of one that was there
// before go, but for the keys of messages.
func (s *Store) belongTo(ctx context.Context, device id.DeviceID) error {
	var was id.DeviceID
	known, err := s.get(ctx, nameDevice, &was)
	if err != nil || known && was == device {
		return err
	}
	changes := map[string][]byte{}
	if known {
		for _, kind := range []string{nameAccount, nameOlm, nameOut, nameShared} {
			found, err := s.storage.Load(ctx, kind)
			if err != nil {
				return err
			}
			for n := range found {
				changes[n] = nil
			}
		}
	}
	if changes[nameDevice], err = json.Marshal(device); err != nil {
		return err
	}
	return s.storage.Save(ctx, changes)
}

// storedAccount is an account as it is kept.
type storedAccount struct {
	Pickle  []byte              `json:"pickle"`
	Shared  bool                `json:"shared"`
	Version id.KeyBackupVersion `json:"backup,omitempty"`
}

// PutAccount implements crypto.Store.
func (s *Store) PutAccount(ctx context.Context, a *crypto.OlmAccount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pickle, err := a.Internal.Pickle(pickleKey)
	if err != nil {
		return err
	}
	s.account = a
	return s.put(ctx, nameAccount, storedAccount{pickle, a.Shared, a.KeyBackupVersion})
}

// GetAccount implements crypto.Store.
func (s *Store) GetAccount(ctx context.Context) (*crypto.OlmAccount, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.account != nil {
		return s.account, nil
	}
	var stored storedAccount
	if ok, err := s.get(ctx, nameAccount, &stored); !ok {
		return nil, err
	}
	a := &crypto.OlmAccount{Internal: olm.NewBlankAccount(), Shared: stored.Shared, KeyBackupVersion: stored.Version}
	if err := a.Internal.Unpickle(stored.Pickle, pickleKey); err != nil {
		return nil, err
	}
	s.account = a
	return a, nil
}

// storedOlm is an Olm session as it is kept.
type storedOlm struct {
	Pickle                        []byte `json:"pickle"`
	Created, Encrypted, Decrypted time.Time
}

// sessions are the Olm sessions with a device. mu is held.
func (s *Store) sessions(ctx context.Context, key id.SenderKey) (map[id.SessionID]*crypto.OlmSession, error) {
	if known := s.olm[key]; known != nil {
		return known, nil
	}
	found, err := s.storage.Load(ctx, name(nameOlm, string(key))+"/")
	if err != nil {
		return nil, err
	}
	list := make(map[id.SessionID]*crypto.OlmSession, len(found))
	for _, raw := range found {
		var stored storedOlm
		if err := json.Unmarshal(raw, &stored); err != nil {
			return nil, err
		}
		o := &crypto.OlmSession{Internal: olm.NewBlankSession()}
		if err := o.Internal.Unpickle(stored.Pickle, pickleKey); err != nil {
			return nil, err
		}
		o.CreationTime, o.LastEncryptedTime, o.LastDecryptedTime = stored.Created, stored.Encrypted, stored.Decrypted
		list[o.ID()] = o
	}
	s.olm[key] = list
	return list, nil
}

// AddSession implements crypto.Store.
func (s *Store) AddSession(ctx context.Context, key id.SenderKey, o *crypto.OlmSession) error {
	return s.UpdateSession(ctx, key, o)
}

// UpdateSession implements crypto.Store.
func (s *Store) UpdateSession(ctx context.Context, key id.SenderKey, o *crypto.OlmSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.sessions(ctx, key)
	if err != nil {
		return err
	}
	pickle, err := o.Internal.Pickle(pickleKey)
	if err != nil {
		return err
	}
	list[o.ID()] = o
	return s.put(ctx, name(nameOlm, string(key), string(o.ID())), storedOlm{pickle, o.CreationTime, o.LastEncryptedTime, o.LastDecryptedTime})
}

// DeleteSession implements crypto.Store.
func (s *Store) DeleteSession(ctx context.Context, key id.SenderKey, o *crypto.OlmSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.olm[key], o.ID())
	return s.put(ctx, name(nameOlm, string(key), string(o.ID())), nil)
}

// HasSession implements crypto.Store.
func (s *Store) HasSession(ctx context.Context, key id.SenderKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.sessions(ctx, key)
	return err == nil && len(list) > 0
}

// GetSessions implements crypto.Store: the one that decrypted last comes first.
func (s *Store) GetSessions(ctx context.Context, key id.SenderKey) (crypto.OlmSessionList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.sessions(ctx, key)
	if err != nil {
		return nil, err
	}
	out := make(crypto.OlmSessionList, 0, len(list))
	for _, o := range list {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *crypto.OlmSession) int {
		if c := b.LastDecryptedTime.Compare(a.LastDecryptedTime); c != 0 {
			return c
		}
		return strings.Compare(string(b.ID()), string(a.ID()))
	})
	return out, nil
}

// GetLatestSession implements crypto.Store.
func (s *Store) GetLatestSession(ctx context.Context, key id.SenderKey) (*crypto.OlmSession, error) {
	list, err := s.GetSessions(ctx, key)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// GetNewestSessionCreationTS implements crypto.Store: of the sessions that were used.
func (s *Store) GetNewestSessionCreationTS(ctx context.Context, key id.SenderKey) (newest time.Time, err error) {
	list, err := s.GetSessions(ctx, key)
	for _, o := range list {
		used := !o.LastEncryptedTime.Equal(o.CreationTime) || !o.LastDecryptedTime.Equal(o.CreationTime)
		if used && o.CreationTime.After(newest) {
			newest = o.CreationTime
		}
	}
	return newest, err
}

// PutOlmHash implements crypto.Store.
func (s *Store) PutOlmHash(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.put(ctx, nameHash+hex.EncodeToString(hash[:]), at.UnixMilli())
}

// GetOlmHash implements crypto.Store.
func (s *Store) GetOlmHash(ctx context.Context, hash [32]byte) (time.Time, error) {
	var ms int64
	if ok, err := s.get(ctx, nameHash+hex.EncodeToString(hash[:]), &ms); !ok {
		return time.Time{}, err
	}
	return time.UnixMilli(ms), nil
}

// DeleteOldOlmHashes implements crypto.Store.
func (s *Store) DeleteOldOlmHashes(ctx context.Context, before time.Time) error {
	found, err := s.storage.Load(ctx, nameHash)
	if err != nil {
		return err
	}
	old := map[string][]byte{}
	for n, raw := range found {
		if ms, err := strconv.ParseInt(string(raw), 10, 64); err != nil || time.UnixMilli(ms).Before(before) {
			old[n] = nil
		}
	}
	if len(old) == 0 {
		return nil
	}
	return s.storage.Save(ctx, old)
}

// PutSecret implements crypto.Store.
func (s *Store) PutSecret(ctx context.Context, secret id.Secret, value string) error {
	return s.put(ctx, name(nameSecret, string(secret)), value)
}

// GetSecret implements crypto.Store.
func (s *Store) GetSecret(ctx context.Context, secret id.Secret) (value string, err error) {
	_, err = s.get(ctx, name(nameSecret, string(secret)), &value)
	return value, err
}

// DeleteSecret implements crypto.Store.
func (s *Store) DeleteSecret(ctx context.Context, secret id.Secret) error {
	return s.put(ctx, name(nameSecret, string(secret)), nil)
}

// index is which message had a number of a session.
type index struct {
	Event id.EventID
	At    int64
}

// ValidateMessageIndex implements crypto.Store: a second message with the number of
// another is one that is replayed.
func (s *Store) ValidateMessageIndex(ctx context.Context, session id.SessionID, ev id.EventID, number uint, at int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := name(nameIndex, string(session), strconv.FormatUint(uint64(number), 10))
	var known index
	ok, err := s.get(ctx, n, &known)
	switch {
	case err != nil:
		return false, err
	case ev == "" && at == 0:
		return !ok, nil
	case ok:
		return known == index{ev, at}, nil
	}
	return true, s.put(ctx, n, index{ev, at})
}

// withheld is why a session is not there.
func withheld(room id.RoomID, session id.SessionID, sender id.Curve25519, code event.RoomKeyWithheldCode, reason string) *event.RoomKeyWithheldEventContent {
	return &event.RoomKeyWithheldEventContent{
		RoomID: room, Algorithm: id.AlgorithmMegolmV1, SessionID: session, SenderKey: sender, Code: code, Reason: reason,
	}
}

//go:build goolm

package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"
)

// devices are a user's devices, the deleted ones too. mu is held.
func (s *Store) devices(ctx context.Context, user id.UserID) (map[id.DeviceID]*id.Device, error) {
	var list map[id.DeviceID]*id.Device
	_, err := s.get(ctx, name(nameDevices, string(user)), &list)
	return list, err
}

// GetDevices implements crypto.Store.
func (s *Store) GetDevices(ctx context.Context, user id.UserID) (map[id.DeviceID]*id.Device, error) {
	list, err := s.devices(ctx, user)
	for device, d := range list {
		if d.Deleted {
			delete(list, device)
		}
	}
	return list, err
}

// GetDevice implements crypto.Store.
func (s *Store) GetDevice(ctx context.Context, user id.UserID, device id.DeviceID) (*id.Device, error) {
	list, err := s.devices(ctx, user)
	return list[device], err
}

// FindDeviceByKey implements crypto.Store.
func (s *Store) FindDeviceByKey(ctx context.Context, user id.UserID, key id.IdentityKey) (*id.Device, error) {
	list, err := s.devices(ctx, user)
	for _, d := range list {
		if d.IdentityKey == key {
			return d, err
		}
	}
	return nil, err
}

// PutDevice implements crypto.Store.
func (s *Store) PutDevice(ctx context.Context, user id.UserID, d *id.Device) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.devices(ctx, user)
	if err != nil {
		return err
	}
	if list == nil {
		list = map[id.DeviceID]*id.Device{}
	}
	list[d.DeviceID] = d
	s.track(user, true)
	return s.put(ctx, name(nameDevices, string(user)), list)
}

// PutDevices implements crypto.Store. Devices that are no longer there stay known as
// deleted: their keys must not come back as another's.
func (s *Store) PutDevices(ctx context.Context, user id.UserID, now map[id.DeviceID]*id.Device) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.devices(ctx, user)
	if err != nil {
		return err
	}
	if list == nil {
		list = map[id.DeviceID]*id.Device{}
	}
	for _, d := range list {
		d.Deleted = true
	}
	for device, d := range now {
		list[device] = d
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := s.storage.Save(ctx, map[string][]byte{name(nameDevices, string(user)): raw, name(nameOutdated, string(user)): nil}); err != nil {
		return err
	}
	s.track(user, true)
	delete(s.stale, user)
	return nil
}

// maxTracked bounds the users of whom it is remembered whether their devices are known.
const maxTracked = 20_000

// FilterTrackedUsers implements crypto.Store.
func (s *Store) FilterTrackedUsers(ctx context.Context, users []id.UserID) ([]id.UserID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tracked []id.UserID
	for _, user := range users {
		is, known := s.tracked[user]
		if !known {
			var list json.RawMessage
			var err error
			if is, err = s.get(ctx, name(nameDevices, string(user)), &list); err != nil {
				return nil, err
			}
			s.track(user, is)
		}
		if is {
			tracked = append(tracked, user)
		}
	}
	return tracked, nil
}

// track remembers whether a user's devices are known. mu is held.
func (s *Store) track(user id.UserID, is bool) {
	if len(s.tracked) >= maxTracked {
		clear(s.tracked)
	}
	s.tracked[user] = is
}

// MarkTrackedUsersOutdated implements crypto.Store.
func (s *Store) MarkTrackedUsersOutdated(ctx context.Context, users []id.UserID) error {
	tracked, err := s.FilterTrackedUsers(ctx, users)
	if err != nil || len(tracked) == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := make(map[string][]byte, len(tracked))
	for _, user := range tracked {
		changes[name(nameOutdated, string(user))] = []byte("true")
		s.stale[user] = time.Time{}
	}
	return s.storage.Save(ctx, changes)
}

// loadStale reads whose devices were outdated when the last process ended.
func (s *Store) loadStale(ctx context.Context) error {
	users, err := s.GetOutdatedTrackedUsers(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		s.stale[user] = time.Time{}
	}
	return err
}

// staleAgain is how long users are left alone whose servers did not answer.
const staleAgain = 5 * time.Minute

// staleUsers are the users whose devices must be asked for before anything is encrypted.
func (s *Store) staleUsers() (users []id.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, asked := range s.stale {
		if asked.IsZero() || time.Since(asked) > staleAgain {
			users = append(users, user)
		}
	}
	return users
}

// unanswered notes that users were asked for, and their servers did not answer for some.
func (s *Store) unanswered(users []id.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		if _, still := s.stale[user]; still {
			s.stale[user] = time.Now()
		}
	}
}

// GetOutdatedTrackedUsers implements crypto.Store.
func (s *Store) GetOutdatedTrackedUsers(ctx context.Context) ([]id.UserID, error) {
	found, err := s.storage.Load(ctx, nameOutdated)
	users := make([]id.UserID, 0, len(found))
	for n := range found {
		users = append(users, id.UserID(part(n)))
	}
	return users, err
}

// PutCrossSigningKey implements crypto.Store.
func (s *Store) PutCrossSigningKey(ctx context.Context, user id.UserID, usage id.CrossSigningUsage, key id.Ed25519) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.GetCrossSigningKeys(ctx, user)
	if err != nil {
		return err
	}
	first := key
	if k, ok := known[usage]; ok {
		first = k.First
	}
	if known == nil {
		known = map[id.CrossSigningUsage]id.CrossSigningKey{}
	}
	known[usage] = id.CrossSigningKey{Key: key, First: first}
	return s.put(ctx, name(nameCross, string(user)), known)
}

// GetCrossSigningKeys implements crypto.Store.
func (s *Store) GetCrossSigningKeys(ctx context.Context, user id.UserID) (keys map[id.CrossSigningUsage]id.CrossSigningKey, err error) {
	_, err = s.get(ctx, name(nameCross, string(user)), &keys)
	return keys, err
}

// ResetMasterKeyTOFU implements crypto.Store.
func (s *Store) ResetMasterKeyTOFU(ctx context.Context, user id.UserID, key id.Ed25519) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := s.GetCrossSigningKeys(ctx, user)
	if err != nil {
		return err
	}
	if known[id.XSUsageMaster].Key != key {
		return fmt.Errorf("keys: %s has no such master key", user)
	}
	known[id.XSUsageMaster] = id.CrossSigningKey{Key: key, First: key}
	return s.put(ctx, name(nameCross, string(user)), known)
}

// signatures of one key, by signing user and key.
type signatures map[id.UserID]map[id.Ed25519]string

func (s *Store) signed(ctx context.Context, user id.UserID, key id.Ed25519) (signatures, error) {
	var by signatures
	_, err := s.get(ctx, name(nameSigned, string(user), string(key)), &by)
	return by, err
}

// PutSignature implements crypto.Store.
func (s *Store) PutSignature(ctx context.Context, user id.UserID, key id.Ed25519, signer id.UserID, with id.Ed25519, signature string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	by, err := s.signed(ctx, user, key)
	if err != nil {
		return err
	}
	if by == nil {
		by = signatures{}
	}
	if by[signer] == nil {
		by[signer] = map[id.Ed25519]string{}
	}
	by[signer][with] = signature
	return s.put(ctx, name(nameSigned, string(user), string(key)), by)
}

// GetSignaturesForKeyBy implements crypto.Store.
func (s *Store) GetSignaturesForKeyBy(ctx context.Context, user id.UserID, key id.Ed25519, signer id.UserID) (map[id.Ed25519]string, error) {
	by, err := s.signed(ctx, user, key)
	return by[signer], err
}

// IsKeySignedBy implements crypto.Store.
func (s *Store) IsKeySignedBy(ctx context.Context, user id.UserID, key id.Ed25519, signer id.UserID, with id.Ed25519) (bool, error) {
	by, err := s.signed(ctx, user, key)
	_, ok := by[signer][with]
	return ok, err
}

// DropSignaturesByKey implements crypto.Store.
func (s *Store) DropSignaturesByKey(ctx context.Context, signer id.UserID, with id.Ed25519) (dropped int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.storage.Load(ctx, nameSigned)
	if err != nil {
		return 0, err
	}
	changes := map[string][]byte{}
	for n, raw := range found {
		var by signatures
		if err := json.Unmarshal(raw, &by); err != nil {
			return 0, err
		}
		if _, ok := by[signer][with]; !ok {
			continue
		}
		delete(by[signer], with)
		if changes[n], err = json.Marshal(by); err != nil {
			return 0, err
		}
		dropped++
	}
	if dropped == 0 {
		return 0, nil
	}
	return dropped, s.storage.Save(ctx, changes)
}

//go:build goolm

package keys

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// storedInbound is an inbound Megolm session as it is kept, or why there is none.
type storedInbound struct {
	Pickle        []byte               `json:"pickle,omitempty"`
	SigningKey    id.Ed25519           `json:"signing,omitempty"`
	SenderKey     id.Curve25519        `json:"sender,omitempty"`
	Room          id.RoomID            `json:"room"`
	Session       id.SessionID         `json:"session"`
	Chains        []string             `json:"chains,omitempty"`
	Safety        crypto.RatchetSafety `json:"safety"`
	ReceivedAt    time.Time            `json:"received,omitzero"`
	MaxAge        int64                `json:"max_age,omitempty"`
	MaxMessages   int                  `json:"max_messages,omitempty"`
	SharedHistory *bool                `json:"shared_history,omitempty"`
	Scheduled     bool                 `json:"scheduled,omitempty"`
	Backup        id.KeyBackupVersion  `json:"backup,omitempty"`
	Source        id.KeySource         `json:"source,omitempty"`
	SourceUser    id.UserID            `json:"source_user,omitempty"`

	Withheld event.RoomKeyWithheldCode `json:"withheld,omitempty"`
	Reason   string                    `json:"reason,omitempty"`
}

func (st *storedInbound) session() (*crypto.InboundGroupSession, error) {
	internal := olm.NewBlankInboundGroupSession()
	if err := internal.Unpickle(st.Pickle, pickleKey); err != nil {
		return nil, err
	}
	chains := st.Chains
	if chains == nil {
		chains = []string{}
	}
	return &crypto.InboundGroupSession{
		Internal: internal, SigningKey: st.SigningKey, SenderKey: st.SenderKey, RoomID: st.Room, ForwardingChains: chains,
		RatchetSafety: st.Safety, ReceivedAt: st.ReceivedAt, MaxAge: st.MaxAge, MaxMessages: st.MaxMessages,
		SharedHistory: st.SharedHistory, IsScheduled: st.Scheduled, KeyBackupVersion: st.Backup, KeySource: st.Source, SourceUser: st.SourceUser,
	}, nil
}

// PutGroupSession implements crypto.Store.
func (s *Store) PutGroupSession(ctx context.Context, g *crypto.InboundGroupSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pickle, err := g.Internal.Pickle(pickleKey)
	if err != nil {
		return err
	}
	s.remember(g)
	return s.put(ctx, name(nameIn, string(g.RoomID), string(g.ID())), storedInbound{
		Pickle: pickle, SigningKey: g.SigningKey, SenderKey: g.SenderKey, Room: g.RoomID, Session: g.ID(), Chains: g.ForwardingChains,
		Safety: g.RatchetSafety, ReceivedAt: g.ReceivedAt, MaxAge: g.MaxAge, MaxMessages: g.MaxMessages, SharedHistory: g.SharedHistory,
		Scheduled: g.IsScheduled, Backup: g.KeyBackupVersion, Source: g.KeySource, SourceUser: g.SourceUser,
	})
}

// remember keeps a session in memory. mu is held.
func (s *Store) remember(g *crypto.InboundGroupSession) {
	if _, known := s.inbound[g.ID()]; !known {
		if len(s.order) >= maxInbound {
			delete(s.inbound, s.order[0])
			s.order = slices.Delete(s.order, 0, 1)
		}
		s.order = append(s.order, g.ID())
	}
	s.inbound[g.ID()] = g
}

// forget takes a session out of memory. mu is held.
func (s *Store) forget(session id.SessionID) {
	delete(s.inbound, session)
	if i := slices.Index(s.order, session); i >= 0 {
		s.order = slices.Delete(s.order, i, i+1)
	}
}

// GetGroupSession implements crypto.Store.
func (s *Store) GetGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (*crypto.InboundGroupSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.inbound[session]; g != nil && g.RoomID == room {
		return g, nil
	}
	var stored storedInbound
	if ok, err := s.get(ctx, name(nameIn, string(room), string(session)), &stored); !ok {
		return nil, err
	}
	if stored.Withheld != "" {
		return nil, withheld(room, session, stored.SenderKey, stored.Withheld, stored.Reason)
	}
	g, err := stored.session()
	if err != nil {
		return nil, err
	}
	s.remember(g)
	return g, nil
}

// PutWithheldGroupSession implements crypto.Store. It does not replace a session.
func (s *Store) PutWithheldGroupSession(ctx context.Context, w event.RoomKeyWithheldEventContent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := name(nameIn, string(w.RoomID), string(w.SessionID))
	var known storedInbound
	if ok, err := s.get(ctx, n, &known); ok || err != nil {
		return err
	}
	return s.put(ctx, n, storedInbound{
		Room: w.RoomID, Session: w.SessionID, SenderKey: w.SenderKey, Withheld: w.Code, Reason: w.Reason, ReceivedAt: time.Now().UTC(),
	})
}

// GetWithheldGroupSession implements crypto.Store.
func (s *Store) GetWithheldGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (*event.RoomKeyWithheldEventContent, error) {
	var stored storedInbound
	ok, err := s.get(ctx, name(nameIn, string(room), string(session)), &stored)
	if !ok || stored.Withheld == "" {
		return nil, err
	}
	return withheld(room, session, stored.SenderKey, stored.Withheld, stored.Reason), nil
}

// redact removes what those sessions hold that pick takes.
func (s *Store) redact(ctx context.Context, prefix, reason string, pick func(*storedInbound) bool) ([]id.SessionID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.storage.Load(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var gone []id.SessionID
	changes := map[string][]byte{}
	for n, raw := range found {
		var st storedInbound
		if err := json.Unmarshal(raw, &st); err != nil {
			return nil, err
		}
		if len(st.Pickle) == 0 || !pick(&st) {
			continue
		}
		st.Pickle, st.Chains, st.Withheld, st.Reason = nil, nil, event.RoomKeyWithheldBeeperRedacted, "Session redacted: "+reason
		if changes[n], err = json.Marshal(st); err != nil {
			return nil, err
		}
		s.forget(st.Session)
		gone = append(gone, st.Session)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return gone, s.storage.Save(ctx, changes)
}

// RedactGroupSession implements crypto.Store.
func (s *Store) RedactGroupSession(ctx context.Context, room id.RoomID, session id.SessionID, reason string) error {
	_, err := s.redact(ctx, name(nameIn, string(room), string(session)), reason, func(st *storedInbound) bool { return st.Session == session })
	return err
}

var errRedact = errors.New("keys: a room or a sender key must be given")

// RedactGroupSessions implements crypto.Store.
func (s *Store) RedactGroupSessions(ctx context.Context, room id.RoomID, sender id.SenderKey, reason string) ([]id.SessionID, error) {
	if room == "" && sender == "" {
		return nil, errRedact
	}
	return s.redact(ctx, nameIn, reason, func(st *storedInbound) bool {
		return (room == "" || st.Room == room) && (sender == "" || st.SenderKey == sender) && !st.Scheduled && !st.ReceivedAt.IsZero()
	})
}

// RedactExpiredGroupSessions implements crypto.Store.
func (s *Store) RedactExpiredGroupSessions(ctx context.Context) ([]id.SessionID, error) {
	return s.redact(ctx, nameIn, "expired", func(st *storedInbound) bool {
		return !st.Scheduled && !st.ReceivedAt.IsZero() && st.MaxAge > 0 &&
			time.Since(st.ReceivedAt) > 2*time.Duration(st.MaxAge)*time.Millisecond
	})
}

// RedactOutdatedGroupSessions implements crypto.Store.
func (s *Store) RedactOutdatedGroupSessions(ctx context.Context) ([]id.SessionID, error) {
	return s.redact(ctx, nameIn, "outdated", func(st *storedInbound) bool { return st.ReceivedAt.IsZero() })
}

// all are the inbound sessions under a prefix that pick takes.
func (s *Store) all(ctx context.Context, prefix string, pick func(*storedInbound) bool) dbutil.RowIter[*crypto.InboundGroupSession] {
	found, err := s.storage.Load(ctx, prefix)
	var list []*crypto.InboundGroupSession
	for _, raw := range found {
		var st storedInbound
		if err = errors.Join(err, json.Unmarshal(raw, &st)); err != nil {
			break
		}
		if len(st.Pickle) == 0 || !pick(&st) {
			continue
		}
		g, e := st.session()
		if err = errors.Join(err, e); err != nil {
			break
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *crypto.InboundGroupSession) int { return strings.Compare(string(a.ID()), string(b.ID())) })
	return dbutil.NewSliceIterWithError(list, err)
}

// GetGroupSessionsForRoom implements crypto.Store.
func (s *Store) GetGroupSessionsForRoom(ctx context.Context, room id.RoomID) dbutil.RowIter[*crypto.InboundGroupSession] {
	return s.all(ctx, name(nameIn, string(room))+"/", func(*storedInbound) bool { return true })
}

// GetAllGroupSessions implements crypto.Store.
func (s *Store) GetAllGroupSessions(ctx context.Context) dbutil.RowIter[*crypto.InboundGroupSession] {
	return s.all(ctx, nameIn, func(*storedInbound) bool { return true })
}

// GetGroupSessionsWithoutKeyBackupVersion implements crypto.Store.
func (s *Store) GetGroupSessionsWithoutKeyBackupVersion(ctx context.Context, v id.KeyBackupVersion) dbutil.RowIter[*crypto.InboundGroupSession] {
	return s.all(ctx, nameIn, func(st *storedInbound) bool { return st.Backup != v })
}

// storedOutbound is an outbound Megolm session as it is kept.
type storedOutbound struct {
	Pickle        []byte        `json:"pickle"`
	Shared        bool          `json:"shared"`
	MaxMessages   int           `json:"max_messages"`
	MessageCount  int           `json:"messages"`
	MaxAge        time.Duration `json:"max_age"`
	SharedHistory *bool         `json:"shared_history,omitempty"`
	Created, Used time.Time
}

// AddOutboundGroupSession implements crypto.Store.
func (s *Store) AddOutboundGroupSession(ctx context.Context, g *crypto.OutboundGroupSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pickle, err := g.Internal.Pickle(pickleKey)
	if err != nil {
		return err
	}
	s.out[g.RoomID] = g
	if s.outs != nil {
		s.outs[g.RoomID] = true
	}
	return s.put(ctx, name(nameOut, string(g.RoomID)), storedOutbound{
		pickle, g.Shared, g.MaxMessages, g.MessageCount, g.MaxAge, g.SharedHistory, g.CreationTime, g.LastEncryptedTime,
	})
}

// UpdateOutboundGroupSession implements crypto.Store.
func (s *Store) UpdateOutboundGroupSession(ctx context.Context, g *crypto.OutboundGroupSession) error {
	return s.AddOutboundGroupSession(ctx, g)
}

// GetOutboundGroupSession implements crypto.Store.
func (s *Store) GetOutboundGroupSession(ctx context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.out[room]; g != nil {
		return g, nil
	}
	var st storedOutbound
	if ok, err := s.get(ctx, name(nameOut, string(room)), &st); !ok {
		return nil, err
	}
	internal := olm.NewBlankOutboundGroupSession()
	if err := internal.Unpickle(st.Pickle, pickleKey); err != nil {
		return nil, err
	}
	g := &crypto.OutboundGroupSession{
		Internal: internal, MaxMessages: st.MaxMessages, MessageCount: st.MessageCount, SharedHistory: st.SharedHistory, RoomID: room, Shared: st.Shared,
	}
	g.CreationTime, g.LastEncryptedTime, g.MaxAge = st.Created, st.Used, st.MaxAge
	s.out[room] = g
	return g, nil
}

// RemoveOutboundGroupSession implements crypto.Store.
func (s *Store) RemoveOutboundGroupSession(ctx context.Context, room id.RoomID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outs == nil {
		found, err := s.storage.Load(ctx, nameOut)
		if err != nil {
			return err
		}
		s.outs = make(map[id.RoomID]bool, len(found))
		for n := range found {
			s.outs[id.RoomID(part(n))] = true
		}
	}
	if !s.outs[room] {
		return nil // who has a new device may be in a thousand rooms
	}
	delete(s.out, room)
	delete(s.outs, room)
	return s.put(ctx, name(nameOut, string(room)), nil)
}

// MarkOutboundGroupSessionShared implements crypto.Store.
func (s *Store) MarkOutboundGroupSessionShared(ctx context.Context, user id.UserID, key id.IdentityKey, session id.SessionID) error {
	return s.put(ctx, name(nameShared, string(session), string(user), string(key)), true)
}

// IsOutboundGroupSessionShared implements crypto.Store.
func (s *Store) IsOutboundGroupSessionShared(ctx context.Context, user id.UserID, key id.IdentityKey, session id.SessionID) (shared bool, err error) {
	_, err = s.get(ctx, name(nameShared, string(session), string(user), string(key)), &shared)
	return shared, err
}

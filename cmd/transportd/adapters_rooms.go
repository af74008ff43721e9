package main

import (
	"context"
	"errors"

	"transportd/internal/secret"
	"transportd/session"
	"transportd/store"
)

// Names under which the store has what a user chose for rooms without a choice, and
// for chats.
const (
	preferRecord     = "record"
	preferPersistent = "persistent"
	preferNoteOwn    = "note-own"
)

// roomRecord adds to a record what is stored of the user's rooms.
func (s *sessionStore) roomRecord(ctx context.Context, user string, rec *session.Record) error {
	chosen, err := s.db.Preferences(ctx, s.gateway, user)
	if err != nil {
		return err
	}
	rooms, err := s.db.UserRooms(ctx, s.gateway, user)
	if errors.Is(err, store.ErrSealBroken) {
		s.log.Error("the stored password of a room does not open, it is kept without", "user", user, "err", err)
		err = nil
	}
	if err != nil {
		return err
	}
	for _, r := range rooms {
		rec.Rooms = append(rec.Rooms, session.RoomSetting{
			Room: r.JID, Record: r.Record, Persistent: r.Persistent, Nick: r.Nick, Password: r.Password.Reveal(),
		})
	}
	rec.Defaults = session.Defaults{Record: chosenBool(chosen[preferRecord]), Persistent: chosenBool(chosen[preferPersistent]), NoteOwn: chosenBool(chosen[preferNoteOwn])}
	return nil
}

func chosenBool(text string) *bool {
	if text == "" {
		return nil
	}
	b := text == "true"
	return &b
}

func chosenText(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "true"
	}
	return "false"
}

// SaveDefaults implements session.Store.
func (s *sessionStore) SaveDefaults(ctx context.Context, user string, d session.Defaults) error {
	if err := s.db.SetPreference(ctx, s.gateway, user, preferRecord, chosenText(d.Record)); err != nil {
		return err
	}
	if err := s.db.SetPreference(ctx, s.gateway, user, preferPersistent, chosenText(d.Persistent)); err != nil {
		return err
	}
	return s.db.SetPreference(ctx, s.gateway, user, preferNoteOwn, chosenText(d.NoteOwn))
}

// KeepsRooms implements session.Store.
func (s *sessionStore) KeepsRooms(ctx context.Context) ([]string, error) {
	return s.db.PersistentUsers(ctx, s.gateway)
}

// SaveRoom implements session.Store.
func (s *sessionStore) SaveRoom(ctx context.Context, user string, set session.RoomSetting) error {
	return s.db.SaveUserRoom(ctx, store.UserRoom{
		Gateway: s.gateway, User: user, JID: set.Room, Record: set.Record, Persistent: set.Persistent,
		Nick: set.Nick, Password: secret.Text(set.Password),
	})
}

// RemoveRoom implements session.Store.
func (s *sessionStore) RemoveRoom(ctx context.Context, user, room string) error {
	return s.db.RemoveUserRoom(ctx, s.gateway, user, room)
}

// ForgetHistory implements session.Store.
func (s *sessionStore) ForgetHistory(ctx context.Context, user, room string) error {
	settle := func(ctx context.Context) error { return drain(ctx, s.archive, user) }
	if err := settle(ctx); err != nil {
		return err
	}
	return s.db.ForgetArchive(ctx, s.gateway, user, room, settle)
}

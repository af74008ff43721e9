package main

import (
	"context"
	"errors"

	"transportd/session"
)

// Names under which the store has what a user chose for rooms without a choice.
const (
	preferRecord     = "record"
	preferPersistent = "persistent"
)

// errNoRooms is the store's answer while it has no place for settings of rooms.
var errNoRooms = errors.New("the store keeps no settings of rooms yet")

// roomRecord adds to a record what is stored of the user's rooms.
func (s *sessionStore) roomRecord(ctx context.Context, user string, rec *session.Record) error {
	chosen, err := s.db.Preferences(ctx, s.gateway, user)
	if err != nil {
		return err
	}
	rec.Defaults = session.Defaults{Record: chosenBool(chosen[preferRecord]), Persistent: chosenBool(chosen[preferPersistent])}
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
	return s.db.SetPreference(ctx, s.gateway, user, preferPersistent, chosenText(d.Persistent))
}

// KeepsRooms implements session.Store.
func (s *sessionStore) KeepsRooms(context.Context) ([]string, error) { return nil, nil }

// SaveRoom implements session.Store.
func (s *sessionStore) SaveRoom(context.Context, string, session.RoomSetting) error {
	return errNoRooms
}

// RemoveRoom implements session.Store.
func (s *sessionStore) RemoveRoom(context.Context, string, string) error { return nil }

// ForgetHistory implements session.Store.
func (s *sessionStore) ForgetHistory(context.Context, string, string) error { return errNoRooms }

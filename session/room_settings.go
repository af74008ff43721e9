package session

// wantsRecord tells whether the user wants the room's lines recorded.
func (r *room) wantsRecord() bool { return true }

// recordsPrivate tells whether the user wants one-to-one lines kept.
func (s *Session) recordsPrivate() bool { return true }

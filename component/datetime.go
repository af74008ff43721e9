package component

import "time"

// FormatTime writes a time as XMPP does (XEP-0082): in UTC, with milliseconds
// where there are some.
func FormatTime(t time.Time) string {
	return t.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.999Z07:00")
}

// ParseTime reads a time of XEP-0082.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, err
	}
	return t.UTC(), nil
}

package component

// ParseStanza reads one stanza from its XML, as the stream reads it. It is for
// tests and tools; the stream parses for itself.
func ParseStanza(xml string) (*Stanza, error) {
	e, err := parseFragment([]byte(xml), NSComponent)
	if err != nil {
		return nil, err
	}
	return toStanza(e)
}

// Encode finishes a stanza and returns its XML as it would be written by the
// stream of a domain, or the [GuardError] it would be refused with. The stanza
// is released. It is for tests and for streams that are none.
func Encode(o *Out, domain string) (string, error) {
	defer o.Release()
	if err := guard(o, domain); err != nil {
		return "", err
	}
	return string(o.buf), nil
}

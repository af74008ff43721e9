package component

// ParseStanza reads one stanza from its XML, as it would come over the stream.
// The stream parses for itself.
func ParseStanza(xml string) (*Stanza, error) {
	e, err := parseFragment([]byte(xml), NSComponent)
	if err != nil {
		return nil, err
	}
	return toStanza(e)
}

// Encode ends a stanza and returns its XML as the stream of a domain would write
// it, or the [GuardError] it would be refused with. The stanza is released. It is
// for tests and for streams that are none.
func Encode(o *Out, domain string) (string, error) {
	defer o.Release()
	if err := guard(o, domain); err != nil {
		return "", err
	}
	return string(o.buf), nil
}

// String returns the stanza as XML, with the elements that are still open
// closed. The stanza stays as it is.
func (o *Out) String() string {
	if o == nil {
		return ""
	}
	c := getOut()
	defer c.Release()
	c.buf = append(c.buf[:0], o.buf...)
	c.stack = append(c.stack[:0], o.stack...)
	c.open = o.open
	for len(c.stack) > 0 {
		c.end()
	}
	return string(c.buf)
}

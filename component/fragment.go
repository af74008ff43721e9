package component

// ParseStanza reads one stanza from XML, in the namespace of a component's
// stream. Streams do this by themselves; it is for tests and for stanzas that
// come another way.
func ParseStanza(s string) (*Stanza, error) {
	e, err := parseFragment([]byte(s), NSComponent)
	if err != nil {
		return nil, err
	}
	return toStanza(e)
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

package component

// MarshalChildren returns those children of a stanza that keep takes, as XML that
// AppendChildren writes again. It is nil where there are none.
func MarshalChildren(e *Element, keep func(*Element) bool) []byte {
	return Fragment(func(o *Out) {
		for c := range e.Children() {
			if keep(c) {
				o.Copy(c)
			}
		}
	})
}

// Fragment returns the elements that write writes as the children of a stanza, as
// XML that AppendChildren writes again.
func Fragment(write func(*Out)) []byte {
	o := getOut()
	defer o.Release()
	o.stack = append(o.stack, openElement{"", NSComponent})
	write(o)
	if o.err != "" || len(o.stack) != 1 || len(o.buf) == 0 {
		return nil
	}
	return append([]byte(nil), o.buf...)
}

// AppendChildren writes what MarshalChildren returned into the element begun last.
// What does not parse is left out as a whole. Children in the stanza's own
// namespace come to be in that of the element.
func (o *Out) AppendChildren(xml []byte) *Out {
	if len(xml) == 0 || len(o.stack) == 0 {
		return o
	}
	wrapped := append(append([]byte("<x>"), xml...), "</x>"...)
	e, err := parseFragment(wrapped, o.stack[len(o.stack)-1].space)
	if err != nil {
		return o
	}
	for c := range e.Children() {
		o.Copy(c)
	}
	return o
}

package component

import "strconv"

// Sizes of outgoing stanzas, in bytes.
const (
	// MaxOut is the largest stanza that is sent. Servers cut the whole component
	// off for one stanza over their own limit, which is 512 KiB in Prosody.
	MaxOut = 256 << 10
	// GoodOut is the size to stay under: some remote servers refuse more.
	GoodOut = 64 << 10
)

// guard is the last look at a stanza before it may reach the socket. What it
// refuses would cost the component its stream.
func guard(o *Out, domain string) error {
	o.finish()
	switch {
	case o.err != "":
		return &GuardError{o.err}
	case len(o.stack) != 0:
		return &GuardError{"an element is not ended: " + o.stack[len(o.stack)-1].name}
	case o.from.Domain != domain:
		return &GuardError{"its sender is not in this gateway's domain"}
	case o.to.Domain == "":
		return &GuardError{"it has no recipient"}
	case len(o.buf) > MaxOut:
		return &GuardError{"it is larger than " + strconv.Itoa(MaxOut) + " bytes"}
	case o.kind == KindIQ && (o.id == "" || o.typ == ""):
		return &GuardError{"an IQ needs a type and an id"}
	}
	if err := o.from.check(); err != nil {
		return &GuardError{"its sender's address: " + err.Error()}
	}
	if err := o.to.check(); err != nil {
		return &GuardError{"its recipient's address: " + err.Error()}
	}
	return nil
}

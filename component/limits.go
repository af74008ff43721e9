package component

// Limits bounds one incoming stanza. A stanza that breaks a limit is skipped
// and answered with an error; the stream goes on. Zero fields mean the default.
type Limits struct {
	Bytes int // size of the stanza as received: 1 MiB
	Depth int // elements within each other, the stanza's own counted: 64
	Nodes int // elements: 4096
	Attrs int // attributes, namespace declarations counted: 8192
}

// DefaultLimits are the limits of a stream that sets none.
var DefaultLimits = Limits{Bytes: 1 << 20, Depth: 64, Nodes: 4096, Attrs: 8192}

// Limits that are not for operators to change.
const (
	// maxHead is the largest start tag of a stanza that is kept to answer the
	// stanza when the rest of it is skipped: two addresses of full size, an id
	// and room for more.
	maxHead = 16 << 10
	// maxBindings bounds the namespace declarations in scope at one place: they
	// are searched one by one.
	maxBindings = 256
	// readBuffer is the size of the read buffer while no large stanza needs more.
	readBuffer = 64 << 10
)

func (l Limits) withDefaults() Limits {
	or := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&l.Bytes, DefaultLimits.Bytes)
	or(&l.Depth, DefaultLimits.Depth)
	or(&l.Nodes, DefaultLimits.Nodes)
	or(&l.Attrs, DefaultLimits.Attrs)
	return l
}

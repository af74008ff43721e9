package component

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"
)

// NSCaps is entity capabilities (XEP-0115).
const NSCaps = "http://jabber.org/protocol/caps"

// CapsNode is the node our capabilities are announced under: the program's
// address, which clients show to nobody.
const CapsNode = "urn:transportd"

// Caps announces what an entity is and can do by a hash.
type Caps struct{ Node, Ver string }

// Caps is the announcement for i.
func (i DiscoInfo) Caps() Caps { return Caps{Node: CapsNode, Ver: i.CapsHash()} }

// CapsHash is the verification string of XEP-0115 section 5.1, with SHA-1.
func (i DiscoInfo) CapsHash() string {
	clean := func(s string) string { return strings.ReplaceAll(s, "<", "&lt;") }
	identities := make([]string, 0, len(i.Identities))
	for _, id := range i.Identities {
		identities = append(identities, clean(id.Category)+"/"+clean(id.Type)+"/"+clean(id.Lang)+"/"+clean(id.Name)+"<")
	}
	slices.Sort(identities)
	features := slices.Clone(i.Features)
	slices.Sort(features)

	var b strings.Builder
	b.WriteString(strings.Join(identities, ""))
	for _, f := range features {
		b.WriteString(clean(f) + "<")
	}
	for _, form := range sortedForms(i.Forms) {
		b.WriteString(clean(form.Value("FORM_TYPE")) + "<")
		fields := slices.Clone(form.Fields)
		slices.SortFunc(fields, func(a, b FormField) int { return strings.Compare(a.Var, b.Var) })
		for _, f := range fields {
			if f.Var == "FORM_TYPE" {
				continue
			}
			b.WriteString(clean(f.Var) + "<")
			values := slices.Clone(f.Values)
			slices.Sort(values)
			for _, v := range values {
				b.WriteString(clean(v) + "<")
			}
		}
	}
	sum := sha1.Sum([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// sortedForms are the forms that count: those with a FORM_TYPE, by it.
func sortedForms(forms []Form) []Form {
	counted := slices.DeleteFunc(slices.Clone(forms), func(f Form) bool { return f.Value("FORM_TYPE") == "" })
	slices.SortFunc(counted, func(a, b Form) int { return strings.Compare(a.Value("FORM_TYPE"), b.Value("FORM_TYPE")) })
	return counted
}

// isCapsNode reports whether a node asks for what info's announcement stands for.
func isCapsNode(node string, info *DiscoInfo) bool {
	ver, ok := strings.CutPrefix(node, CapsNode+"#")
	return ok && ver == info.CapsHash()
}

// ParseCaps reads the announcement that is e or a child of e; false where there
// is none with a hash we can compare.
func ParseCaps(e *Element) (Caps, bool) {
	c := e
	if c != nil && (c.Space != NSCaps || c.Name != "c") {
		c = e.Child(NSCaps, "c")
	}
	caps := Caps{Node: c.Attr("node"), Ver: c.Attr("ver")}
	if c.Attr("hash") != "sha-1" || caps.Node == "" || caps.Ver == "" {
		return Caps{}, false
	}
	return caps, true
}

// AppendTo writes the announcement, into a presence.
func (c Caps) AppendTo(o *Out) {
	o.Start(NSCaps, "c").Attr("hash", "sha-1").Attr("node", c.Node).Attr("ver", c.Ver).End()
}

package component

import "strings"

// The prefixes with a fixed meaning (Namespaces in XML 1.0, section 3).
const (
	prefixXML   = "xml"
	prefixXMLNS = "xmlns"
	nsXMLNS     = "http://www.w3.org/2000/xmlns/"
)

// declare puts a namespace declaration into scope.
func (p *parser) declare(prefix, space string) *parseError {
	switch {
	case prefix == prefixXMLNS, space == nsXMLNS,
		(prefix == prefixXML) != (space == NSXML),
		prefix != "" && space == "":
		return errNamespace
	case len(p.bindings) >= maxBindings:
		return errTooManyNS
	}
	p.bindings = append(p.bindings, binding{prefix, space})
	return nil
}

// lookup returns the namespace a prefix stands for. The default namespace may
// be undeclared, a prefix may not.
func (p *parser) lookup(prefix string) (string, *parseError) {
	if prefix == prefixXML {
		return NSXML, nil
	}
	for i := len(p.bindings) - 1; i >= 0; i-- {
		if p.bindings[i].prefix == prefix {
			return p.bindings[i].space, nil
		}
	}
	if prefix == "" {
		return "", nil
	}
	return "", errUnbound
}

// resolveAttrs replaces the prefixes of attributes by namespaces. An attribute
// without a prefix has no namespace.
func (p *parser) resolveAttrs(attrs []attr) *parseError {
	for i := range attrs {
		a := &attrs[i]
		prefix, local, ok := strings.Cut(a.name, ":")
		if !ok || prefix == prefixXML {
			continue
		}
		space, err := p.lookup(prefix)
		if err != nil {
			return err
		}
		a.name = "{" + space + "}" + local
	}
	return nil
}

// checkDuplicates refuses two attributes of the same name. Few are compared with
// each other, many through a map, so that a wide element costs no more than its
// size.
func checkDuplicates(attrs []attr) *parseError {
	if len(attrs) <= 16 {
		for i := 1; i < len(attrs); i++ {
			for k := range i {
				if attrs[i].name == attrs[k].name {
					return errDuplicate
				}
			}
		}
		return nil
	}
	seen := make(map[string]struct{}, len(attrs))
	for i := range attrs {
		if _, twice := seen[attrs[i].name]; twice {
			return errDuplicate
		}
		seen[attrs[i].name] = struct{}{}
	}
	return nil
}

package component

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
func (p *parser) resolveAttrs(attrs []attr) (err *parseError) {
	for i := range attrs {
		a := &attrs[i]
		if a.space == "" {
			continue
		}
		if a.space, err = p.lookup(a.space); err != nil {
			return err
		}
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
				if attrs[i].name == attrs[k].name && attrs[i].space == attrs[k].space {
					return errDuplicate
				}
			}
		}
		return nil
	}
	seen := make(map[[2]string]struct{}, len(attrs))
	for i := range attrs {
		k := [2]string{attrs[i].space, attrs[i].name}
		if _, twice := seen[k]; twice {
			return errDuplicate
		}
		seen[k] = struct{}{}
	}
	return nil
}

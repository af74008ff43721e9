package component

import "unicode/utf8"

// attributes reads the attributes of a start tag up to its > or />, and declares
// the namespaces among them.
func (p *parser) attributes(i int) (int, []attr, *parseError) {
	first := len(p.attrs)
	prefixed := false // there are attributes in namespaces
	for {
		j := p.space(i)
		if j >= len(p.s) {
			return 0, nil, errSyntax
		}
		if c := p.s[j]; c == '>' || c == '/' {
			i = j
			break
		}
		if j == i {
			return 0, nil, errAttrSpace
		}
		name, colon, k, err := p.name(j)
		if err != nil {
			return 0, nil, err
		}
		value, k, err := p.value(k)
		if err != nil {
			return 0, nil, err
		}
		i = k
		switch {
		case name == "xmlns":
			err = p.declare("", value)
		case colon > 0 && name[:colon] == "xmlns":
			err = p.declare(name[colon+1:], value)
		default:
			prefixed = prefixed || (colon > 0 && name[:colon] != prefixXML)
			p.attrs = append(p.attrs, attr{name, value})
		}
		if err != nil {
			return 0, nil, err
		}
	}
	attrs := p.attrs[first:len(p.attrs):len(p.attrs)]
	if prefixed {
		if err := p.resolveAttrs(attrs); err != nil {
			return 0, nil, err
		}
	}
	return i, attrs, checkDuplicates(attrs)
}

// value reads an attribute's equals sign and value from i.
func (p *parser) value(i int) (string, int, *parseError) {
	i = p.space(i)
	if i >= len(p.s) || p.s[i] != '=' {
		return "", 0, errSyntax
	}
	i = p.space(i + 1)
	if i >= len(p.s) || (p.s[i] != '"' && p.s[i] != '\'') {
		return "", 0, errSyntax
	}
	quote := p.s[i]
	i++
	special := false
	for j := i; j < len(p.s); j++ {
		c := p.s[j]
		if !valueByte[c] {
			continue
		}
		switch c {
		case quote:
			v := p.s[i:j]
			if special {
				var err *parseError
				if v, err = p.unescape(v); err != nil {
					return "", 0, err
				}
			}
			return v, j + 1, nil
		case '&', '\r':
			special = true
		case '<':
			return "", 0, errSyntax
		}
	}
	return "", 0, errSyntax
}

// valueByte marks what needs a look in an attribute's value.
var valueByte = [256]bool{'"': true, '\'': true, '&': true, '\r': true, '<': true}

// name reads a qualified name at i. colon is where its prefix ends, or 0.
func (p *parser) name(i int) (name string, colon, next int, err *parseError) {
	j, wide, colons := i, false, 0
	for ; j < len(p.s); j++ {
		c := p.s[j]
		if nameByte[c] != 0 {
			continue
		}
		if c == ':' {
			colon = j - i
			colons++
		} else if c >= utf8.RuneSelf {
			wide = true
		} else {
			break
		}
	}
	name = p.s[i:j]
	switch {
	case name == "" || nameByte[name[0]] == 2:
		return "", 0, 0, errSyntax
	case wide && !wellFormedName(name):
		return "", 0, 0, errName
	case colons > 1,
		colons == 1 && (colon == 0 || colon == len(name)-1 || nameByte[name[colon+1]] == 2):
		return "", 0, 0, errQName
	}
	return name, colon, j, nil
}

func (p *parser) space(i int) int {
	for i < len(p.s) && isSpace(p.s[i]) {
		i++
	}
	return i
}

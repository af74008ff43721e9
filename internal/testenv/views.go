package testenv

import "fmt"

// Views are what was to be seen one after the other while the page was scrolled:
// the lines from top to bottom, nil for a gap that is not filled yet.
type Views [][]*string

// Lines puts the views together: all lines that were seen, from top to bottom.
// What one view shows must agree with every other, no line may be there twice, and
// views must overlap without a gap; else the error says where they do not. Lines
// of the same text cannot be told apart, so there may be none.
func (v Views) Lines() ([]string, error) {
	below := map[string]string{}
	above := map[string]string{}
	known := map[string]bool{}
	for _, view := range v {
		here := map[string]bool{}
		for i, l := range view {
			if l == nil {
				continue
			}
			if here[*l] {
				return nil, fmt.Errorf("%q is there twice", *l)
			}
			here[*l], known[*l] = true, true
			if i == 0 || view[i-1] == nil {
				continue
			}
			up, down := *view[i-1], *l
			if was, ok := below[up]; ok && was != down {
				return nil, fmt.Errorf("below %q stands %q, and once stood %q", up, down, was)
			}
			if was, ok := above[down]; ok && was != up {
				return nil, fmt.Errorf("above %q stands %q, and once stood %q", down, up, was)
			}
			below[up], above[down] = down, up
		}
	}
	var tops []string
	for l := range known {
		if _, ok := above[l]; !ok {
			tops = append(tops, l)
		}
	}
	if len(tops) != 1 {
		return nil, fmt.Errorf("not one run of lines: above these nothing was seen: %q", tops)
	}
	lines := tops
	for {
		next, ok := below[lines[len(lines)-1]]
		if !ok {
			return lines, nil
		}
		lines = append(lines, next)
	}
}

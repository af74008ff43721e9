package config

import (
	"slices"
	"strings"
)

// Problem is one thing that is wrong, with where it is.
type Problem struct {
	File string // or the variable or flag the value came from; empty: from none of them
	Key  string // "gateways[irc].server"; empty: the file as a whole
	Text string
}

func (p Problem) String() string {
	var parts []string
	for _, s := range []string{p.File, p.Key, p.Text} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is everything that is wrong, as one error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// mention tells whether a text speaks of a key that is among the problems: one
// says more of it than two.
func (p Problems) mention(text string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool {
		last := one.Key[strings.LastIndexByte(one.Key, '.')+1:]
		last, _, _ = strings.Cut(last, "[")
		return last != "" && strings.Contains(text, last)
	})
}

// err returns the problems sorted by key, nil when there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return slices.Compact(p)
}

// nearest returns the candidate that a misspelt word most likely meant, empty
// when none comes close.
func nearest(word string, candidates []string) string {
	best, limit := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(word, c); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	prev := make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(y)]
}

// suggestion is the second half of an unknown key's message.
func suggestion(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return "did you mean " + best + "?"
	}
	sorted := slices.Sorted(slices.Values(candidates))
	return "known here: " + strings.Join(sorted, ", ")
}

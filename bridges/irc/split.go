package irc

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// minSplit is the least room a line's text is split to, however long the names
// around it: below it a rune with its marks would not fit.
const minSplit = 16

// lookBack is how far from the limit a space is looked for to break a line at.
// Text without spaces in that stretch is broken between letters.
const lookBack = 120

// splitText divides one line's text into parts of at most limit bytes: at a
// space where there is one near enough, which then goes, else between letters,
// never inside a rune and, where it can be helped, not before a mark that
// belongs to the letter in front of it.
func splitText(text string, limit int) []string {
	limit = max(limit, minSplit)
	if len(text) <= limit {
		return []string{text}
	}
	parts := make([]string, 0, len(text)/limit+1)
	for len(text) > limit {
		end, next := breakAt(text, limit)
		parts = append(parts, text[:end])
		text = text[next:]
	}
	if text != "" {
		parts = append(parts, text)
	}
	return parts
}

// breakAt finds where the first part of text ends and the next begins. text is
// longer than limit.
func breakAt(text string, limit int) (end, next int) {
	window := text[max(0, limit-lookBack) : limit+1]
	if i := strings.LastIndexByte(window, ' '); i >= 0 {
		if at := limit + 1 - len(window) + i; at > 0 {
			return at, at + 1
		}
	}
	end = limit
	for !utf8.RuneStart(text[end]) {
		end--
	}
	if whole := clusterStart(text, end); whole > 0 {
		end = whole
	}
	return end, end
}

// clusterStart walks back from a rune boundary over marks and joiners to where
// the letter they belong to begins. It gives up after a short way and returns 0.
func clusterStart(text string, at int) int {
	for range 8 {
		r, _ := utf8.DecodeRuneInString(text[at:])
		before, size := utf8.DecodeLastRuneInString(text[:at])
		if !isExtending(r) && before != zeroWidthJoiner {
			return at
		}
		if at -= size; at <= 0 {
			return 0
		}
	}
	return 0
}

const zeroWidthJoiner = '\u200d'

// isExtending tells whether a rune changes the one before it: combining marks,
// variation selectors, joiners and skin tones.
func isExtending(r rune) bool {
	return r == zeroWidthJoiner || unicode.Is(unicode.M, r) || (r >= 0x1F3FB && r <= 0x1F3FF)
}

package component

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// Servers prepare addresses by one of two rules: stringprep (RFC 6122) or PRECIS
// (RFC 7622). What we send must come through both unchanged, or two addresses
// that are one for the server would be two for us.

// nodeprep is RFC 6122, appendix A, with code points that Unicode 3.2 did not
// assign prohibited, as it is for what is stored.
var nodeprep = stringprep.Profile{
	Mappings:  []stringprep.Mapping{stringprep.TableB1, stringprep.TableB2},
	Normalize: true,
	Prohibits: []stringprep.Set{
		stringprep.TableA1,
		stringprep.TableC1_1, stringprep.TableC1_2, stringprep.TableC2_1, stringprep.TableC2_2,
		stringprep.TableC3, stringprep.TableC4, stringprep.TableC5, stringprep.TableC6,
		stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
		{
			{'"', '"'}, {'&', '&'}, {'\'', '\''}, {'/', '/'}, {':', ':'},
			{'<', '<'}, {'>', '>'}, {'@', '@'},
		},
	},
	CheckBiDi: true,
}

// resourceprep is RFC 6122, appendix B. Servers let unassigned code points pass
// here, and much that people use in names (emoji) is among them.
var resourceprep = stringprep.Profile{
	Mappings:  []stringprep.Mapping{stringprep.TableB1},
	Normalize: true,
	Prohibits: []stringprep.Set{
		stringprep.TableC1_2, stringprep.TableC2_1, stringprep.TableC2_2,
		stringprep.TableC3, stringprep.TableC4, stringprep.TableC5, stringprep.TableC6,
		stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
	},
	CheckBiDi: true,
}

// usernameCaseMapped is RFC 8265, 3.3, without its rule of directions: that is
// for strings with characters from right to left, which never get here, while
// the package's own profile applies it to every string that is not ASCII and so
// refuses #канал.
var usernameCaseMapped = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// stableLocal reports whether a local part comes through unchanged.
func stableLocal(s string) bool {
	for _, r := range s {
		if r >= utf8.RuneSelf && stringprep.TableD1.Contains(r) {
			return false
		}
	}
	out, err := nodeprep.Prepare(s)
	if err != nil || out != s {
		return false
	}
	out, err = usernameCaseMapped.String(s)
	return err == nil && out == s
}

// unstableRune reports whether a character cannot stand in a local part, alone
// or together with what else may be there: marks at least need something before
// them, and what runs from right to left excludes Latin letters.
func unstableRune(r rune) bool {
	if unicode.Is(unicode.M, r) || stringprep.TableD1.Contains(r) || unicode.Is(unicode.Nd, r) {
		return true
	}
	return !stableLocal(string(r))
}

func stableResource(s string) bool {
	out, err := resourceprep.Prepare(s)
	if err != nil || out != s {
		return false
	}
	out, err = precis.OpaqueString.String(s)
	return err == nil && out == s
}

// SafeResource makes a nick usable as a resource: one that servers leave as it
// is. It reports whether the nick could stay as it was; otherwise the string
// returned is the nearest that is stable, "_" when nothing is left of it. It is at
// most 1023 bytes long.
func SafeResource(s string) (string, bool) {
	if plainResource(s) {
		return s, true
	}
	if len(s) <= maxJIDPart && s != "" && stableResource(s) {
		return s, true
	}
	out := norm.NFKC.String(strings.ToValidUTF8(s, "\uFFFD"))
	out = strings.Map(func(r rune) rune {
		if r == ' ' || stableResource(string(r)) {
			return r
		}
		return '_'
	}, out)
	out = truncate(out)
	if out == "" {
		return "_", false
	}
	if !stableResource(out) {
		// Only the mixture of directions, or of marks, is left as a reason.
		out = strings.Map(func(r rune) rune {
			if r >= utf8.RuneSelf && (unicode.Is(unicode.M, r) || stringprep.TableD1.Contains(r)) {
				return '_'
			}
			return r
		}, out)
	}
	if !stableResource(out) {
		out = strings.Map(func(r rune) rune {
			if r >= utf8.RuneSelf {
				return '_'
			}
			return r
		}, out)
	}
	return out, false
}

// plainResource is the quick answer for a nick of printable ASCII.
func plainResource(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxJIDPart
}

// truncate cuts s to the size of a part of a JID, at a character.
func truncate(s string) string {
	if len(s) <= maxJIDPart {
		return s
	}
	n := maxJIDPart
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

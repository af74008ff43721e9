package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const plain = "correct horse"

func TestNothingPrintsASecret(t *testing.T) {
	type holder struct {
		Name string
		S    Text
		P    *Text
		L    []Text
		M    map[string]Text
	}
	s := Text(plain)
	h := holder{"x", s, &s, []Text{s}, map[string]Text{"k": s}}
	var outs []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x"} {
		outs = append(outs, fmt.Sprintf(verb, s), fmt.Sprintf(verb, h))
	}
	outs = append(outs, fmt.Sprint(s), fmt.Errorf("wrapped: %v", s).Error(), errors.Join(fmt.Errorf("%s", s)).Error())
	j, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	outs = append(outs, string(j))
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "s", s, "h", h)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "s", s, "h", h)
	outs = append(outs, buf.String())
	for _, out := range outs {
		for _, leak := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), fmt.Sprintf("% x", plain)} {
			if strings.Contains(out, leak) {
				t.Errorf("leaked: %s", out)
			}
		}
	}
	if !strings.Contains(buf.String(), Hidden) {
		t.Error("a set secret does not show as hidden")
	}
}

func TestEmptyIsShownAsEmpty(t *testing.T) {
	if got := Text("").String(); got != "" {
		t.Errorf("empty secret prints %q", got)
	}
	if Text(plain).Reveal() != plain {
		t.Error("Reveal does not return the secret")
	}
}

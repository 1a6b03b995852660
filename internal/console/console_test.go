package console

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"mia schmidt":      "mia schmidt",
		"köln ユーザー \ufffd": "köln ユーザー \ufffd",
		`back\slash "q"`:   `back\slash "q"`,
		"a\x1b[31m":        `a\x1b[31m`,
		"a\nb\tc\r":        `a\nb\tc\r`,
		"\xff\xc3":         `\xff\xc3`,
		"\u202eabc":        `\u202eabc`,
		"a\u00a0b\u0085":   `a\u00a0b\u0085`,
		"\U000e0041":       `\U000e0041`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\x1b\xff\u202e")
	f.Fuzz(func(t *testing.T, in string) {
		for _, r := range Escape(in) {
			if !unicode.IsPrint(r) {
				t.Errorf("%q keeps %q", in, r)
			}
		}
	})
}

func TestLineIsOneLine(t *testing.T) {
	got := Line(fmt.Errorf("x: %w\n", errors.Join(errors.New("a\x07"), errors.New("b"))))
	if want := `x: a\a; b`; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestUsage(t *testing.T) {
	err := fmt.Errorf("follow: %w", Usagef("%d ids", 0))
	if !errors.Is(err, ErrUsage) || err.Error() != "follow: 0 ids" {
		t.Errorf("%v", err)
	}
}

func TestVersion(t *testing.T) {
	if got := Version("v1.2.3"); got != "v1.2.3" {
		t.Errorf("the linker's version became %q", got)
	}
	if got := Version(""); got == "" || strings.ContainsAny(got, " \n") {
		t.Errorf("%q", got)
	}
}

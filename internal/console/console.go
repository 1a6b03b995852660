package console

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUsage is wrapped by errors that are the caller's: wrong flags or arguments.
var ErrUsage = errors.New("wrong usage")

// usageError says what was wrong, without the words of ErrUsage.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func (usageError) Is(target error) bool { return target == ErrUsage }

// Usagef returns an error that is ErrUsage.
func Usagef(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}

// Escape returns s with everything that could move a terminal's cursor, break a
// line or hide text written as a Go escape: control and format characters, bytes that
// are not UTF-8, and blanks other than U+0020. Other text is unchanged.
func Escape(s string) string {
	if isHarmless(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if isShown(r, size) {
			b.WriteString(s[:size])
		} else {
			quoted := strconv.QuoteToASCII(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

func isHarmless(s string) bool {
	for i, r := range s {
		size := utf8.RuneLen(r)
		if r == utf8.RuneError {
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		if !isShown(r, size) {
			return false
		}
	}
	return true
}

// isShown tells whether a rune of that many bytes appears as itself.
func isShown(r rune, size int) bool {
	return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
}

// Line returns an error's text as one harmless line.
func Line(err error) string {
	text := strings.TrimSpace(err.Error())
	return Escape(strings.ReplaceAll(text, "\n", "; "))
}

// Version returns what this build calls itself: what the linker was told or,
// failing that, what the Go tool knows of the module and its commit.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "unknown"
}

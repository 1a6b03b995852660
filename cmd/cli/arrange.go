package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/internal/console"
)

// arrange puts a command line in the order that package cli asks for, so that
// flags may stand anywhere: `kith followers alice --limit 5 --output json` is
// `kith --output json followers --limit 5 -- alice`. What stands behind -- is
// never taken for a flag.
func arrange(app *cli.App, args []string) ([]string, error) {
	line := arranger{app: app}
	rest := args[1:]
	for len(rest) > 0 && rest[0] != "--" {
		n, err := line.take(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	if line.command == nil {
		return args, nil
	}
	if len(rest) > 0 {
		line.words = append(line.words, rest[1:]...)
	}
	return slices.Concat(args[:1], line.global, []string{line.command.Name}, line.own, []string{"--"}, line.words), nil
}

// arranger is a command line taken apart.
type arranger struct {
	app                *cli.App
	command            *cli.Command // nil before it came, and when it is not known
	global, own, words []string     // flags of the app, flags of the command, the rest
}

// take sorts in the first of the words, with its value if it is a flag that has
// one, and returns how many these were.
func (a *arranger) take(rest []string) (int, error) {
	word := rest[0]
	if len(word) < 2 || word[0] != '-' {
		if a.command != nil {
			a.words = append(a.words, word)
		} else if a.command = a.app.Command(word); a.command == nil {
			return len(rest), nil
		}
		return 1, nil
	}
	into, known := &a.global, findFlag(a.app.Flags, word)
	if a.command != nil {
		if own := findFlag(a.command.Flags, word); own != nil || known == nil {
			into, known = &a.own, own
		}
	}
	n := 1
	if takesValue(known) && !strings.Contains(word, "=") {
		n++
	}
	if n > len(rest) {
		return 0, console.Usagef("%s needs a value; see `kith --help`", word)
	}
	*into = append(*into, rest[:n]...)
	return n, nil
}

// findFlag returns the flag that arg, such as -o or --limit=5, sets.
func findFlag(flags []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	documented, ok := f.(cli.DocGenerationFlag)
	return ok && documented.TakesValue()
}

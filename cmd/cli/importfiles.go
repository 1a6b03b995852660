package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kithgraph/kith/internal/console"
)

// standardStream is the name of standard input or output in place of a file.
const standardStream = "-"

// input is a file or standard input.
type input struct {
	io.Reader
	name      string
	size      int64  // in bytes, 0 when it is not known
	interrupt func() // fails a read that waits, and all after it
	close     func()
}

func openInput(e *env, name string) (*input, error) {
	in := &input{name: name}
	file, _ := e.stdin.(*os.File)
	if name == standardStream {
		pipe := inputPipe(e.stdin)
		in.Reader, in.close = pipe, func() { _ = pipe.Close() }
		in.interrupt = in.close
	} else {
		var err error
		if file, err = os.Open(name); err != nil {
			return nil, console.Usagef("%v; name a file that can be read, or - for standard input", err)
		}
		in.Reader, in.close = file, func() { _ = file.Close() }
		in.interrupt = func() { interruptFile(file) }
	}
	if file == nil {
		return in, nil
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		in.close()
		return nil, console.Usagef("%s is a folder; name a file, or - for standard input", name)
	}
	if err == nil && info.Mode().IsRegular() {
		in.size = info.Size()
	}
	return in, nil
}

// rejects is the list of lines that were not imported: line number, reason and
// text, separated by tabs. A nil *rejects lists nothing.
type rejects struct {
	file *os.File
	buf  *bufio.Writer
}

// openRejects opens the list, nil when path is empty. An import that is resumed
// continues it. The list may not be the file that is imported.
func openRejects(path, input string, resumed bool) (*rejects, error) {
	if path == "" {
		return nil, nil
	}
	if listed, err := os.Stat(path); err == nil {
		if read, err := os.Stat(input); err == nil && os.SameFile(listed, read) {
			return nil, console.Usagef("--%s: %s is the file to import; name another one", flagRejects, path)
		}
	}
	how := os.O_TRUNC
	if resumed {
		how = os.O_APPEND
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|how, 0o666)
	if err != nil {
		return nil, console.Usagef("--%s: %v", flagRejects, err)
	}
	return &rejects{file, bufio.NewWriter(file)}, nil
}

func (r *rejects) wanted() bool { return r != nil }

// add lists a line. Its error, if any, comes from close.
func (r *rejects) add(line uint64, reason, text string) {
	if r != nil {
		fmt.Fprintf(r.buf, "%d\t%s\t%s\n", line, console.Escape(reason), text)
	}
}

func (r *rejects) close() error {
	if r == nil {
		return nil
	}
	err := r.buf.Flush()
	if closed := r.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("list of rejects: %w", err)
	}
	return nil
}

// resumeCommand is the command line that goes on with an import at a line, with
// the flags that were given.
func resumeCommand(c *cli.Context, name string, line uint64) string {
	words := []string{"kith"}
	for _, flag := range []string{flagAddr, flagTokenFile, flagTLSCA} {
		if c.IsSet(flag) {
			words = append(words, "--"+flag, c.String(flag))
		}
	}
	if c.Bool(flagTLS) {
		words = append(words, "--"+flagTLS)
	}
	words = append(words, "import")
	if c.IsSet(flagRejects) {
		words = append(words, "--"+flagRejects, c.String(flagRejects))
	}
	if line > 1 {
		words = append(words, "--"+flagFromLine, strconv.FormatUint(line, 10))
	}
	if name != standardStream && strings.HasPrefix(name, "-") {
		words = append(words, "--")
	}
	words = append(words, name)
	for i, word := range words {
		words[i] = shellQuote(word)
	}
	return strings.Join(words, " ")
}

// shellQuote quotes a word for a POSIX shell where it needs it.
func shellQuote(word string) string {
	special := func(r rune) bool {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@%+=", r)
		return !plain
	}
	if word != "" && strings.IndexFunc(word, special) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 800
	maxFunctionLines = 70
)

// root is the repository as seen from this package.
const root = "../.."

type source struct {
	path string // from the root, with slashes
	text []byte
	fset *token.FileSet
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) where(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(pos).Line)
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || strings.HasPrefix(d.Name(), ".git")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		all = append(all, source{filepath.ToSlash(rel), text, fset, file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d source files found below %s", len(all), root)
	}
	return all
}

func TestFilesAndFunctionsStayShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines; split it below %d", s.path, n, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || s.isTest() {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line
			if lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines; the limit is %d", s.where(f.Pos()), f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	documented, where := map[string]bool{}, map[string]string{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		dir := filepath.Dir(s.path)
		where[dir] = s.path
		documented[dir] = documented[dir] || s.file.Doc != nil
	}
	for dir, path := range where {
		if !documented[dir] {
			t.Errorf("%s: package %s has no package comment", path, dir)
		}
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b|not ` + `implemented`)
	for _, s := range sources(t) {
		if m := marks.Find(s.text); m != nil {
			t.Errorf("%s has %q: finish it or delete it", s.path, m)
		}
	}
}

// The outside world enters through Options, so that the whole server can run
// under a fake clock, network and disk (ARCHITECTURE.md, "Made to be simulated").
var forbidden = map[string]map[string]bool{
	"time": {"Now": true, "Since": true, "Until": true},
	"net":  {"Listen": true, "Dial": true, "DialTimeout": true, "ListenTCP": true, "DialTCP": true},
	"os": {"Open": true, "OpenFile": true, "Create": true, "ReadFile": true, "WriteFile": true, "Remove": true,
		"Rename": true, "Mkdir": true, "MkdirAll": true, "Exit": true, "Getenv": true},
}

// mayOwnTheWorld tells the packages that open sockets and files and read clocks.
func mayOwnTheWorld(path string) bool {
	for _, prefix := range []string{"cmd/", "bench/", "internal/lint/", "internal/e2e/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func TestWorldComesInThroughOptions(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || mayOwnTheWorld(s.path) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && forbidden[pkg.Name][sel.Sel.Name] {
				t.Errorf("%s: %s.%s: take it from Options", s.where(sel.Pos()), pkg.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

func TestTestsDoNotSleep(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && sel.Sel.Name == "Sleep" {
				t.Errorf("%s: wait on a condition instead of sleeping", s.where(sel.Pos()))
			}
			return true
		})
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: state that no caller asked for", s.where(f.Pos()))
			}
		}
	}
}

// imports lists, for each package of the core, what it may import of the project.
// It is the package map of ARCHITECTURE.md.
var imports = map[string][]string{
	"shard":                     {},
	"wire":                      {},
	"internal/failpoint":        {},
	"engine/internal/neighbors": {},
	"engine/internal/names":     {},
	"engine":                    {"shard", "engine/internal/neighbors", "engine/internal/names"},
	"raftfsm":                   {"shard", "engine", "internal/failpoint"},
	"server":                    {"shard", "engine", "raftfsm", "wire", "internal/failpoint"},
	"client":                    {"wire", "shard"},
}

func TestPackagesImportDownwards(t *testing.T) {
	const module = "github.com/kithgraph/kith/"
	for _, s := range sources(t) {
		allowed, ruled := imports[filepath.ToSlash(filepath.Dir(s.path))]
		if !ruled || s.isTest() {
			continue
		}
		for _, spec := range s.file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			name, own := strings.CutPrefix(path, module)
			if own && !slices.Contains(allowed, name) {
				t.Errorf("%s: %s may not import %s", s.where(spec.Pos()), filepath.Dir(s.path), name)
			}
		}
	}
}

package server

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// countingReader is a source of randomness that never repeats in a test.
type countingReader byte

func (r *countingReader) Read(b []byte) (int, error) {
	for i := range b {
		*r++
		b[i] = byte(*r)
	}
	return len(b), nil
}

func mustOpenFolder(t *testing.T, fs vfs.FS, shards int) *folder {
	t.Helper()
	f, err := openFolder(fs, "data", shards, new(countingReader))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustClose(t *testing.T, c interface{ close() error }) {
	t.Helper()
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

func wantFolderError(t *testing.T, fs vfs.FS, shards int, want error, text string) {
	t.Helper()
	f, err := openFolder(fs, "data", shards, new(countingReader))
	if err == nil {
		mustClose(t, f)
		t.Fatalf("the folder was opened, want %v", want)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %q, want %q with %q", err, want, text)
	}
}

func writeTestFile(t *testing.T, fs vfs.FS, name string, text []byte) {
	t.Helper()
	if err := fs.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(fs.PathJoin("data", name), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Clone(text))
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// goldenIdentity is the file that version 1 writes. It must be readable for ever.
const goldenIdentity = `{
  "format": 1,
  "cluster_id": "0102030405060708090a0b0c0d0e0f10",
  "node_id": "node-1112131415161718",
  "shards": 4,
  "cluster_secret": "191a1b1c1d1e1f202122232425262728",
  "sum": "ff366d809f966548"
}
`

func TestIdentityIsGolden(t *testing.T) {
	fs := vfs.NewMem()
	f := mustOpenFolder(t, fs, 0)
	mustClose(t, f)
	text, err := readSmallFile(fs, "data/IDENTITY")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != goldenIdentity {
		t.Errorf("the identity file is\n%s", text)
	}
	id, err := decodeIdentity([]byte(goldenIdentity))
	if err != nil || id != f.identity {
		t.Errorf("it reads as %+v (%v), not %+v", id, err, f.identity)
	}
}

func TestIdentityStays(t *testing.T) {
	fs := vfs.NewMem()
	made := mustOpenFolder(t, fs, 16)
	if !made.created || made.identity.Shards != 16 {
		t.Errorf("made %+v", made.identity)
	}
	wantFolderError(t, fs, 0, ErrFolderInUse, "stop that process")
	mustClose(t, made)
	for _, shards := range []int{0, 16} {
		again := mustOpenFolder(t, fs, shards)
		if again.created || again.identity != made.identity {
			t.Errorf("reopened as %+v, made as %+v", again.identity, made.identity)
		}
		mustClose(t, again)
	}
	wantFolderError(t, fs, 8, ErrShardCount, "made with 16, not 8")
}

func TestIdentityRefusals(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             error
		says             string
	}{
		{"somebody else's folder", "photo.jpg", "x", ErrNotOurs, `"photo.jpg"`},
		{"empty", identityFile, "", ErrIdentityDamaged, "JSON"},
		{"cut off", identityFile, goldenIdentity[:100], ErrIdentityDamaged, "JSON"},
		{"another version", identityFile, `{"format": 2, "new": [1]}`, ErrIdentityVersion, "it has 2, this is 1"},
		{"no version", identityFile, `{}`, ErrIdentityVersion, "it has 0"},
		{"changed", identityFile, strings.Replace(goldenIdentity, `"shards": 4`, `"shards": 8`, 1), ErrIdentityDamaged, "checksum"},
		{"huge", identityFile, strings.Repeat(" ", maxIdentityBytes+1), ErrIdentityDamaged, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			writeTestFile(t, fs, c.file, []byte(c.text))
			wantFolderError(t, fs, 0, c.want, c.says)
		})
	}
}

func TestIdentityWithAnyByteChangedIsRefused(t *testing.T) {
	for i := range goldenIdentity {
		text := []byte(goldenIdentity)
		text[i] ^= 1
		id, err := decodeIdentity(text)
		if err == nil && id.Shards != 0 {
			good, _ := decodeIdentity([]byte(goldenIdentity))
			if id != good { // white space may change
				t.Errorf("byte %d changed: %+v", i, id)
			}
		}
	}
}

func TestFolderWithLeftoversOfACrashIsEmpty(t *testing.T) {
	fs := vfs.NewMem()
	writeTestFile(t, fs, identityTempFile, []byte("{half"))
	writeTestFile(t, fs, "lost+found", nil)
	mustClose(t, mustOpenFolder(t, fs, 0))
}

func TestIdentitySurvivesPowerLoss(t *testing.T) {
	fs := vfs.NewCrashableMem()
	made := mustOpenFolder(t, fs, 0)
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, made)
	again, err := openFolder(after, "data", 0, new(countingReader))
	if err != nil {
		t.Fatal(err)
	}
	if again.created || again.identity != made.identity {
		t.Error("the identity was lost with the power")
	}
	mustClose(t, again)
}

func TestIdentityFailsWithoutRandomness(t *testing.T) {
	fs := vfs.NewMem()
	if _, err := openFolder(fs, "data", 0, bytes.NewReader(make([]byte, 30))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("opened with too little randomness: %v", err)
	}
	mustClose(t, mustOpenFolder(t, fs, 0))
}

func TestIdentityIsForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f, err := openFolder(vfs.Default, dir, 0, new(countingReader))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, f)
	info, err := os.Stat(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the identity file has mode %v", info.Mode())
	}
}

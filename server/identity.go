package server

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/shard"
)

const (
	identityFile     = "IDENTITY"
	identityTempFile = "IDENTITY.tmp"
	lockFile         = "LOCK"
	// identityFormat is the version of the whole data folder's layout.
	identityFormat = 1
	// maxIdentityBytes bounds what is read of a file that claims to be an identity.
	maxIdentityBytes = 4096
	nodeIDPrefix     = "node-"
)

// identity is what a data folder knows about itself. It is written once, when
// the folder is made, and never changes.
type identity struct {
	ClusterID     [16]byte
	NodeID        string
	Shards        int
	ClusterSecret [16]byte // what all keys of the cluster derive from; the reason for mode 0600
}

// identityJSON is the stored form: one JSON object and a line break. Sum is the
// xxhash64 of the other fields in the order in which they stand here.
type identityJSON struct {
	Format        int    `json:"format"`
	ClusterID     string `json:"cluster_id"`
	NodeID        string `json:"node_id"`
	Shards        int    `json:"shards"`
	ClusterSecret string `json:"cluster_secret"`
	Sum           string `json:"sum"`
}

func (j identityJSON) sum() string {
	text := fmt.Sprintf("%d\n%s\n%s\n%d\n%s\n", j.Format, j.ClusterID, j.NodeID, j.Shards, j.ClusterSecret)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, xxhash.Sum64String(text)))
}

func (id identity) encode() ([]byte, error) {
	j := identityJSON{
		Format:        identityFormat,
		ClusterID:     hex.EncodeToString(id.ClusterID[:]),
		NodeID:        id.NodeID,
		Shards:        id.Shards,
		ClusterSecret: hex.EncodeToString(id.ClusterSecret[:]),
	}
	j.Sum = j.sum()
	text, err := json.MarshalIndent(j, "", "  ")
	return append(text, '\n'), err
}

func decodeIdentity(text []byte) (identity, error) {
	var j identityJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return identity{}, fmt.Errorf("%w: %v", ErrIdentityDamaged, err)
	}
	// A later version may sum other fields, so the version is judged first.
	if j.Format != identityFormat {
		return identity{}, fmt.Errorf("%w: it has %d, this is %d", ErrIdentityVersion, j.Format, identityFormat)
	}
	if j.Sum != j.sum() {
		return identity{}, fmt.Errorf("%w: its checksum does not match", ErrIdentityDamaged)
	}
	id := identity{NodeID: j.NodeID, Shards: j.Shards}
	if err := decodeHex16(&id.ClusterID, j.ClusterID); err != nil {
		return identity{}, err
	}
	if err := decodeHex16(&id.ClusterSecret, j.ClusterSecret); err != nil {
		return identity{}, err
	}
	if _, err := shard.NewLayout(id.Shards); err != nil || id.NodeID == "" {
		return identity{}, fmt.Errorf("%w: it has %d shards and the node id %q", ErrIdentityDamaged, id.Shards, id.NodeID)
	}
	return id, nil
}

func decodeHex16(dst *[16]byte, text string) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(dst) {
		return fmt.Errorf("%w: %q is not 16 bytes in hex", ErrIdentityDamaged, text)
	}
	copy(dst[:], raw)
	return nil
}

// key derives one of the cluster's keys. The label keeps it apart from all others
// for ever.
func (id *identity) key(label string, sizeBytes int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, id.ClusterSecret[:], id.ClusterID[:], label, sizeBytes)
	if err != nil {
		return nil, fmt.Errorf("derive the key %q: %w", label, err)
	}
	return key, nil
}

// folder is the data folder, locked for this process.
type folder struct {
	identity identity
	created  bool
	lock     io.Closer
}

// openFolder locks the data folder and reads its identity, or makes both. shards
// is the number asked for, 0 when the caller did not ask.
func openFolder(fsys vfs.FS, dir string, shards int, random io.Reader) (*folder, error) {
	if err := checkOurs(fsys, dir); err != nil {
		return nil, err
	}
	if err := makeDir(fsys, dir); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(fsys.PathJoin(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v; stop that process, or give this one a folder of its own", ErrFolderInUse, dir, err)
	}
	f := &folder{lock: lock}
	if f.identity, f.created, err = readOrMakeIdentity(fsys, dir, shards, random); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

func (f *folder) close() error { return f.lock.Close() }

// checkOurs refuses a folder with contents but no identity, before anything in
// it is touched. What a crash in the middle of making the folder leaves behind,
// and the lost+found of a fresh disk, count as empty.
func checkOurs(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	foreign := ""
	for _, name := range names {
		switch name {
		case identityFile:
			return nil
		case identityTempFile, lockFile, "lost+found":
		default:
			foreign = name
		}
	}
	if foreign != "" {
		return fmt.Errorf("%w: %s has %q but no %s; choose another folder, or empty this one",
			ErrNotOurs, dir, foreign, identityFile)
	}
	return nil
}

// makeDir makes the folder and syncs the one above it, so that the name of a
// folder that holds acknowledged writes survives a power loss. An administrator
// may have made the folder below one that this process must not open.
func makeDir(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := syncDir(fsys, fsys.PathDir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

func readOrMakeIdentity(fsys vfs.FS, dir string, shards int, random io.Reader) (id identity, created bool, err error) {
	path := fsys.PathJoin(dir, identityFile)
	text, err := readSmallFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = makeIdentity(fsys, dir, shards, random)
		return id, true, err
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("identity file: %w", err)
	}
	if id, err = decodeIdentity(text); err != nil {
		return identity{}, false, fmt.Errorf("%s: %w", path, err)
	}
	if shards != 0 && shards != id.Shards {
		return identity{}, false, fmt.Errorf("%w: %s was made with %d, not %d; it cannot be changed: leave the number out, or use another folder",
			ErrShardCount, dir, id.Shards, shards)
	}
	return id, false, nil
}

func makeIdentity(fsys vfs.FS, dir string, shards int, random io.Reader) (identity, error) {
	if shards == 0 {
		shards = shard.DefaultShards
	}
	id := identity{Shards: shards}
	var node [8]byte
	for _, b := range [][]byte{id.ClusterID[:], node[:], id.ClusterSecret[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return identity{}, fmt.Errorf("make identity: %w", err)
		}
	}
	id.NodeID = nodeIDPrefix + hex.EncodeToString(node[:])
	text, err := id.encode()
	if err != nil {
		return identity{}, fmt.Errorf("make identity: %w", err)
	}
	if err := replaceFile(fsys, dir, identityTempFile, identityFile, text); err != nil {
		return identity{}, fmt.Errorf("write identity: %w", err)
	}
	return id, nil
}

// replaceFile makes dir/name hold text, wholly or not at all, whenever the power
// goes. Only the owner may read it.
func replaceFile(fsys vfs.FS, dir, temp, name string, text []byte) error {
	tempPath := fsys.PathJoin(dir, temp)
	f, err := fsys.Create(tempPath, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	// vfs has no modes: the file is still empty when it is closed to others.
	err = restrictToOwner(f)
	if err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tempPath, fsys.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

func readSmallFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxIdentityBytes+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxIdentityBytes {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrIdentityDamaged, maxIdentityBytes)
	}
	return text, nil
}

// ownerOnly is the mode of files that hold a secret.
const ownerOnly os.FileMode = 0o600

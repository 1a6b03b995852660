package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sample is one value of a message: the value that PROTOCOL.md shows. What holds
// for every message is tested by going over samples.
type sample struct {
	name  string
	typ   uint8
	id    uint32
	value Message
	fresh func() Message
}

// message is satisfied by the pointer to a message of type T.
type message[T any] interface {
	*T
	Message
}

func sampleOf[T any, P message[T]](name string, typ uint8, id uint32, value T) sample {
	return sample{name, typ, id, P(&value), func() Message { return P(new(T)) }}
}

func ids(names ...string) [][]byte {
	out := make([][]byte, len(names))
	for i, n := range names {
		out[i] = []byte(n)
	}
	return out
}

func samples() []sample {
	return slices.Concat(connectionSamples(), graphSamples(), bulkSamples())
}

func connectionSamples() []sample {
	return []sample{
		sampleOf("Hello", uint8(TypeHello), 1, Hello{
			MinVersion: 1, MaxVersion: 1, MaxFrameBytes: 1 << 20, Credentials: []byte("s3cret"),
		}),
		sampleOf("HelloReply", uint8(OK), 1, HelloReply{
			Version: 1, MaxFrameBytes: 1 << 20, MaxInFlight: 4096, MaxStreams: 4,
			MaxIDs: 100, MaxFollowIDs: 20, MaxPage: 500, MaxImportRows: 1000, IdleTimeoutMillis: 300_000,
			ClusterID: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
			NodeID:    "n1", ServerVersion: "0.1.0",
		}),
		sampleOf("ErrorReply", uint8(NotLeader), 9, ErrorReply{
			Message: "another node leads this shard", Leader: "10.0.0.2:7400",
		}),
		sampleOf("Ping", uint8(TypePing), 2, Ping{}),
		sampleOf("PingReply", uint8(OK), 2, PingReply{}),
		sampleOf("StatusRequest", uint8(TypeStatus), 3, StatusRequest{}),
		sampleOf("Status", uint8(OK), 3, Status{
			ClusterID: "000102030405060708090a0b0c0d0e0f", NodeID: "n1", Version: "0.1.0", UptimeSeconds: 60, Ready: true,
			FollowingLimit: 5000, Users: 2, Follows: 1, Connections: 1,
			Memory: MemoryStatus{HeapBytes: 4096, SystemBytes: 8192, GraphBytes: 128},
			Shards: ShardList{{
				Replicas: []string{"n1"}, Leader: true, LeaderID: "n1", Ready: true, Term: 2, Applied: 7, Commit: 7, LogFirst: 1, LogLast: 7,
				Users: 2, Follows: 1, Queued: 3, InFlight: 1, Waiting: 2, GraphBytes: 128,
			}},
		}),
	}
}

func graphSamples() []sample {
	return []sample{
		sampleOf("EdgeRequest", uint8(TypeFollow), 4, EdgeRequest{
			Flags: FlagNoWait, Me: []byte("alice"), UserIDs: ids("bob", "köln", "alice"),
		}),
		sampleOf("EdgeReply", uint8(OK), 4, EdgeReply{
			Pending: true, Results: []EdgeResult{MakeEdgeResult(OK, false), MakeEdgeResult(OK, true), MakeEdgeResult(SelfFollow, false)},
		}),
		sampleOf("ListRequest", uint8(TypeFollowers), 5, ListRequest{
			Flags: ReadConsistent, User: []byte("alice"), Cursor: []byte("AbC-9_"), Limit: 500,
		}),
		sampleOf("ListReply", uint8(OK), 5, ListReply{
			Total: 1000, NextCursor: []byte("xYz"), Items: []ListItem{{[]byte("bob"), 1702262118}, {[]byte("carol"), 1702262117}},
		}),
		sampleOf("InfoRequest", uint8(TypeInfo), 6, InfoRequest{Flags: ReadStale, UserIDs: ids("alice", "")}),
		sampleOf("InfoReply", uint8(OK), 6, InfoReply{Items: []InfoItem{
			{Code: OK, Followers: 1_000_000, Following: 2, Mutual: 1}, {Code: BadRequest},
		}}),
		sampleOf("CheckRequest", uint8(TypeCheck), 7, CheckRequest{Me: []byte("alice"), UserIDs: ids("bob", "")}),
		sampleOf("CheckReply", uint8(OK), 7, CheckReply{Results: []CheckResult{CheckResult(FollowTypeMutual), CheckRefused(BadRequest)}}),
	}
}

func bulkSamples() []sample {
	return []sample{
		sampleOf("ImportRequest", uint8(TypeImport), 10, ImportRequest{Rows: []ImportRow{
			{[]byte("alice"), []byte("bob"), 1702262118}, {[]byte("bob"), []byte("bob"), 0},
		}}),
		sampleOf("ImportReply", uint8(OK), 10, ImportReply{
			Results: []EdgeResult{MakeEdgeResult(OK, false), MakeEdgeResult(SelfFollow, false)},
		}),
		sampleOf("ExportRequest", uint8(TypeExport), 11, ExportRequest{
			Credits: 16, Start: ExportPosition{Shard: 3, User: 258, Before: 1702262118<<32 | 7},
		}),
		sampleOf("ExportReply", uint8(OK)|StatusMore, 11, ExportReply{
			Next: ExportPosition{Shard: 3, User: 260},
			Rows: []ExportRow{
				{[]byte("alice"), []byte("bob"), 1702262118},
				{[]byte("alice"), []byte("carol"), 1702262117},
				{[]byte("bob"), []byte("alice"), 1702262000},
			},
		}),
		sampleOf("Credit", uint8(TypeCredit), 11, Credit{Credits: 8}),
		sampleOf("Cancel", uint8(TypeCancel), 11, Cancel{}),
	}
}

// sampleNamed returns the sample of a message.
func sampleNamed(t testing.TB, name string) sample {
	t.Helper()
	for _, s := range samples() {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no sample of %s", name)
	return sample{}
}

// frame returns the sample's whole frame.
func (s sample) frame() []byte {
	return EndFrame(s.value.Append(BeginFrame(nil, s.typ, s.id)), 0)
}

func (s sample) body() []byte { return s.value.Append(nil) }

// eachSample runs f as a subtest for every message.
func eachSample(t *testing.T, f func(t *testing.T, s sample)) {
	t.Helper()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) { f(t, s) })
	}
}

// declared returns, from the package's source, all message types and all fuzz targets.
func declared(t *testing.T) (types, fuzzed []string) {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if name, ok := strings.CutPrefix(n.Name.Name, "Fuzz"); ok {
					fuzzed = append(fuzzed, name)
				}
				if star, ok := receiver(n).(*ast.StarExpr); ok && n.Name.Name == "Decode" {
					types = append(types, star.X.(*ast.Ident).Name)
				}
			case *ast.TypeSpec:
				if embedsEmpty(n) {
					types = append(types, n.Name.Name)
				}
			}
			return true
		})
	}
	return types, fuzzed
}

func receiver(f *ast.FuncDecl) ast.Expr {
	if f.Recv == nil {
		return nil
	}
	return f.Recv.List[0].Type
}

func embedsEmpty(n *ast.TypeSpec) bool {
	st, ok := n.Type.(*ast.StructType)
	if !ok || len(st.Fields.List) != 1 || st.Fields.List[0].Names != nil {
		return false
	}
	ident, ok := st.Fields.List[0].Type.(*ast.Ident)
	return ok && ident.Name == "empty"
}

func TestEveryMessageHasSampleAndFuzzTarget(t *testing.T) {
	types, fuzzed := declared(t)
	if len(types) == 0 {
		t.Fatal("no message was found in the source")
	}
	var sampled []string
	for _, s := range samples() {
		sampled = append(sampled, s.name)
	}
	for _, name := range types {
		if !slices.Contains(sampled, name) {
			t.Errorf("%s has no sample", name)
		}
		if !slices.Contains(fuzzed, name) {
			t.Errorf("%s has no fuzz target", name)
		}
	}
	if len(sampled) != len(types) {
		t.Errorf("%d samples of %d messages", len(sampled), len(types))
	}
}

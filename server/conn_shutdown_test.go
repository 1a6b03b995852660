package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/kithgraph/kith/wire"
)

func TestShutdownAnswersWhatItAccepted(t *testing.T) {
	b := newConnBench(t, nil)
	release := b.holdWrites()
	writing, idle, exporting := b.connect(), b.connect(), b.connect()
	writing.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")})
	exporting.request(wire.TypeExport, 2, &wire.ExportRequest{})
	writing.alive() // so the write is accepted
	exporting.alive()
	halfOpen := b.dial()
	eventually(t, "the connection is taken in", func() bool { return b.clients.count() == 4 })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.stop()
	}()
	idle.wantError(wire.ConnectionID, wire.Unavailable, "shutting down")
	idle.wantClosed()
	exporting.wantError(2, wire.Unavailable, "shutting down")
	exporting.wantError(wire.ConnectionID, wire.Unavailable, "shutting down")
	halfOpen.wantError(wire.ConnectionID, wire.Unavailable, "shutting down")
	halfOpen.wantClosed()
	if _, err := net.Dial("tcp", b.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
	select {
	case <-ended:
		t.Error("the shutdown did not wait for the write")
	default:
	}
	release()
	writing.want(2, wire.OK, &wire.EdgeReply{})
	writing.wantError(wire.ConnectionID, wire.Unavailable, "shutting down")
	writing.wantClosed()
	<-ended
}

func TestShutdownIsBoundedByItsContext(t *testing.T) {
	b := newConnBench(t, nil)
	release := b.holdWrites()
	defer release()
	c := b.connect()
	c.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")})
	c.alive()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Shutdown(ctx); !errors.Is(err, ErrForced) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	c.wantClosed()
	if err := b.Shutdown(t.Context()); !errors.Is(err, ErrForced) {
		t.Errorf("the second shutdown says %v", err)
	}
	b.tb = ignoreErrors{t} // the bench's own shutdown will say the same
}

// ignoreErrors is a test whose errors were expected.
type ignoreErrors struct{ testing.TB }

func (ignoreErrors) Errorf(string, ...any) {}

func TestListenerThatFailsIsFatal(t *testing.T) {
	told := make(chan error, 1)
	b := newConnBench(t, func(o *Options) { o.Fatal = func(err error) { told <- err } })
	b.options.Listener.Close()
	if err := b.Wait(t.Context()); !errors.Is(err, errListenerEnd) {
		t.Errorf("wait: %v", err)
	}
	if err := <-told; !errors.Is(err, errListenerEnd) {
		t.Errorf("fatal: %v", err)
	}
}

// flakyListener fails a few times before each connection.
type flakyListener struct {
	net.Listener
	failures int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, errors.New("too many open files")
	}
	l.failures = 2
	return l.Listener.Accept()
}

func TestAcceptErrorsAreSurvived(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Listener = &flakyListener{Listener: o.Listener} })
	for range 3 {
		b.connect().alive()
	}
}

func TestTokenAuthentication(t *testing.T) {
	b := newConnBench(t, func(o *Options) { o.Authenticate = Token([]byte("s3cret")) })
	for _, wrong := range []string{"", "s3cre", "s3cret ", "S3cret"} {
		c := b.dial()
		c.hello([]byte(wrong))
		// What is pipelined behind refused credentials must not happen.
		c.request(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("eve"), UserIDs: ids("bob")})
		c.wantError(1, wire.Denied, "credentials")
		c.wantClosed()
	}
	c := b.dial()
	c.hello([]byte("s3cret"))
	c.want(1, wire.OK, &wire.HelloReply{})
	if got := c.check("bob", "eve"); got != "0" {
		t.Errorf("a refused client has written: %s", got)
	}
}

func TestEqualSecretsNeedsASecret(t *testing.T) {
	if EqualSecrets(nil, nil) || EqualSecrets([]byte("a"), nil) || !EqualSecrets([]byte("a"), []byte("a")) {
		t.Error("an empty secret must never match")
	}
}

func testCertificate(t *testing.T) (server *tls.Config, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}, &tls.Config{RootCAs: pool}
}

func TestTLS(t *testing.T) {
	serverTLS, clientTLS := testCertificate(t)
	b := newConnBench(t, func(o *Options) { o.TLSConfig, o.Limits.Hello = serverTLS, 300*time.Millisecond })
	c := b.dial()
	clientTLS.ServerName = "127.0.0.1"
	c.nc = tls.Client(c.nc, clientTLS)
	c.hello(nil)
	c.want(1, wire.OK, &wire.HelloReply{})
	c.alive()
	c.ask(wire.TypeFollow, 2, &wire.EdgeRequest{Me: []byte("alice"), UserIDs: ids("bob")}, &wire.EdgeReply{})
	plain := b.dial()
	plain.hello(nil)
	plain.drain()
	silent := b.dial()
	silent.drain()
	c.alive()
}

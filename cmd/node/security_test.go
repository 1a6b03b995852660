package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kithgraph/kith/client"
)

// selfSigned writes a certificate of 127.0.0.1 and its key into dir and returns
// a pool that trusts it.
func selfSigned(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	writeFile(t, filepath.Join(dir, "node.crt"), certPEM)
	writeFile(t, filepath.Join(dir, "node.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSAndToken(t *testing.T) {
	cmd := command(t, "--tls-cert", "node.crt", "--tls-key", "node.key", "--token-file", "token")
	pool := selfSigned(t, cmd.Dir)
	writeFile(t, filepath.Join(cmd.Dir, "token"), []byte("open sesame\n"))
	r := start(t, cmd)
	trusting := &tls.Config{RootCAs: pool}
	good := dial(t, client.Options{Addr: r.addr, TLSConfig: trusting, Credentials: "open sesame"})
	if err := good.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]struct {
		options client.Options
		want    error
	}{
		"no TLS":      {client.Options{Credentials: "open sesame", DialTimeout: time.Second}, client.ErrUnavailable},
		"not trusted": {client.Options{TLSConfig: &tls.Config{}, Credentials: "open sesame"}, client.ErrUnavailable},
		"no token":    {client.Options{TLSConfig: trusting}, client.ErrDenied},
		"wrong token": {client.Options{TLSConfig: trusting, Credentials: "open sesam"}, client.ErrDenied},
	} {
		bad.options.Addr = r.addr
		c, err := client.Dial(context.Background(), bad.options)
		if !errors.Is(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
	if status := r.stop(t, syscall.SIGTERM); status != exitStopped {
		t.Errorf("exit status %d\n%s", status, r.stderr)
	}
	if strings.Contains(r.stderr.String(), "sesam") {
		t.Errorf("the log tells the token: %s", r.stderr)
	}
}

func TestOpenToTheWorldMustBeMeant(t *testing.T) {
	status, stderr := failed(t, command(t, "--listen", "0.0.0.0:0"))
	if status != exitUsage || !strings.Contains(stderr, "give --tls-cert, --tls-key and --token-file, listen on 127.0.0.1, or give --insecure") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	status, stderr = failed(t, command(t, "--peer-listen", "0.0.0.0:0"))
	if status != exitUsage || !strings.Contains(stderr, "give --peer-listen 127.0.0.1:7401, or --insecure") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	r := start(t, command(t, "--listen", "0.0.0.0:0", "--insecure"))
	if status := r.stop(t, syscall.SIGTERM); status != exitStopped {
		t.Errorf("exit status %d\n%s", status, r.stderr)
	}
}

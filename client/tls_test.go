package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which names 127.0.0.1
	certificates := web.TLS.Certificates
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	web.Close()

	s := newFakeServer(t, answerAll)
	s.onOpening = func(nc net.Conn) {
		c := &fakeConn{server: s, nc: tls.Server(nc, &tls.Config{Certificates: certificates})}
		c.run()
	}
	addr := s.listen("tcp", "127.0.0.1:0")
	c := dialFake(t, s, Options{Addr: addr, TLSConfig: &tls.Config{RootCAs: roots}})
	ctx := within(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if got, err := c.Check(ctx, "me", "bob"); err != nil || got[0].Type != Mutual {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	_, err := Dial(ctx, Options{Addr: addr, TLSConfig: &tls.Config{}, DialTimeout: time.Second})
	var unknown x509.UnknownAuthorityError
	if !errors.Is(err, ErrUnavailable) || !errors.As(err, &unknown) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

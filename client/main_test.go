package client

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialFake returns a client of the fake server, over net.Pipe and with one
// connection unless told otherwise; both end with the test.
func dialFake(t testing.TB, s *fakeServer, o Options) *Client {
	t.Helper()
	if o.Dialer == nil && o.Addr == "" {
		o.Dialer = s.dialPipe
	}
	if o.Connections == 0 {
		o.Connections = 1
	}
	if o.MinBackoff == 0 {
		o.MinBackoff = time.Millisecond
	}
	c, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// within returns a context that ends long after the test should have.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/kithgraph/kith/wire"
)

// helloID is the request id of the hello. Slots never use it.
const helloID = 1

// connectAny connects to the first address that lets it.
func (c *core) connectAny(ctx context.Context) (*conn, int, error) {
	var failed error
	for i, addr := range c.options.Addrs {
		cn, err := c.connect(ctx, addr)
		if err == nil {
			return cn, i, nil
		}
		failed = errors.Join(failed, err)
	}
	var e *Error
	if len(c.options.Addrs) == 1 && errors.As(failed, &e) {
		return nil, 0, e
	}
	return nil, 0, unavailable("no node could be reached", failed)
}

// connect opens a connection and says hello. Its errors are of type *Error.
func (c *core) connect(ctx context.Context, addr string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.DialTimeout)
	defer cancel()
	nc, err := c.options.Dialer(ctx, addr)
	if err != nil {
		return nil, unavailable("cannot connect to "+addr, err)
	}
	// A deadline in the past ends whatever the handshake waits for.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	cn, err := c.handshake(ctx, nc, addr)
	if !stop() && err == nil {
		err = unavailable("cannot connect to "+addr, endOf(ctx))
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return cn, nil
}

func (c *core) handshake(ctx context.Context, nc net.Conn, addr string) (*conn, error) {
	if c.options.TLSConfig != nil {
		secured := tls.Client(nc, tlsFor(c.options.TLSConfig, addr))
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, unavailable("TLS with "+addr, err)
		}
		nc = secured
	}
	hello := wire.NewHello(wire.DefaultMaxFrameBytes, []byte(c.options.Credentials))
	if _, err := nc.Write(wire.AppendOpening(nil, helloID, &hello)); err != nil {
		return nil, unavailable("hello to "+addr, err)
	}
	h, body, err := readOpening(nc)
	if err != nil {
		return nil, unavailable("hello of "+addr, err)
	}
	if h.Code() != wire.OK {
		return nil, replyError(h.Code(), body)
	}
	if h.ID != helloID {
		return nil, unavailable("hello of "+addr, protocolError("the first answer is to request %#x", h.ID))
	}
	var reply wire.HelloReply
	if err = reply.Decode(body); err == nil {
		err = reply.Check(&hello)
	}
	if err != nil {
		return nil, unavailable("hello of "+addr, fmt.Errorf("%w: %w", ErrProtocol, err))
	}
	return newConn(c, nc, addr, reply), nil
}

// tlsFor returns the configuration with a server name.
func tlsFor(config *tls.Config, addr string) *tls.Config {
	if config.ServerName != "" {
		return config
	}
	config = config.Clone()
	config.ServerName = addr
	if host, _, err := net.SplitHostPort(addr); err == nil {
		config.ServerName = host
	}
	return config
}

// readOpening reads the server's magic and first frame and not a byte more.
func readOpening(r io.Reader) (wire.Header, []byte, error) {
	buf := make([]byte, len(wire.Magic)+wire.HeaderBytes)
	if n, err := io.ReadFull(r, buf); err != nil {
		// A stranger may have sent less than that and hung up.
		if _, _, _, opening := wire.NextOpening(buf[:n]); errors.Is(opening, wire.ErrBadMagic) {
			return wire.Header{}, nil, fmt.Errorf("%w: %w", ErrProtocol, opening)
		}
		return wire.Header{}, nil, err
	}
	h, _, _, err := wire.NextOpening(buf)
	if errors.Is(err, wire.ErrIncomplete) {
		buf = append(buf, make([]byte, h.Length)...)
		if _, err := io.ReadFull(r, buf[len(buf)-int(h.Length):]); err != nil {
			return wire.Header{}, nil, err
		}
	}
	h, body, _, err := wire.NextOpening(buf)
	if err != nil {
		return wire.Header{}, nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return h, body, nil
}

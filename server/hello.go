package server

import (
	"errors"
	"fmt"

	"github.com/kithgraph/kith/wire"
)

// hello reads the opening of a connection and accepts or refuses it, all within
// Limits.Hello, TLS included. What the client has sent behind its hello stays in
// the buffer.
func (c *conn) hello() error {
	limits := &c.server.options.Limits
	c.readUntil = c.server.options.Now().Add(limits.Hello)
	if err := c.nc.SetDeadline(c.readUntil); err != nil {
		return err
	}
	h, body, taken, err := c.opening()
	if errors.Is(err, wire.ErrFrameTooLarge) || errors.Is(err, wire.ErrBadMagic) {
		return c.refuseHello(h.ID, wire.BadRequest, err)
	}
	if errors.Is(err, errStopping) || errors.Is(err, errNoMemory) {
		return c.refuseHello(wire.ConnectionID, wire.Unavailable, err)
	}
	if err != nil {
		return err
	}
	m := &wire.Hello{}
	if wire.Type(h.Type) != wire.TypeHello {
		return c.refuseHello(h.ID, wire.BadRequest, wire.ErrNoHello)
	}
	if err := m.Decode(body); err != nil {
		return c.refuseHello(h.ID, wire.BadRequest, err)
	}
	reply, err := wire.NewHelloReply(m, uint32(limits.FrameBytes))
	if err != nil {
		return c.refuseHello(h.ID, wire.BadRequest, fmt.Errorf("%w: this server speaks versions %d to %d", err, wire.MinVersion, wire.Version))
	}
	if authenticate := c.server.options.Authenticate; authenticate != nil {
		if err := authenticate(m.Credentials); err != nil {
			c.server.log.Warn("refused credentials", "client", c.nc.RemoteAddr(), "error", err)
			return c.refuseHello(h.ID, wire.Denied, errDenied)
		}
	}
	c.in.consume(taken)
	return c.accept(h.ID, &reply)
}

// opening reads until the magic and the first frame are there, and returns how
// many bytes they take.
func (c *conn) opening() (h wire.Header, body []byte, taken int, err error) {
	for {
		if err := c.in.makeRoom(len(wire.Magic) + wire.HeaderBytes + wire.MaxOpeningBytes); err != nil {
			return h, nil, 0, err
		}
		if c.server.isStopping() {
			return h, nil, 0, errStopping
		}
		if _, err := c.in.read(c.nc); err != nil {
			if c.server.isStopping() {
				err = errStopping
			}
			return h, nil, 0, err
		}
		h, body, rest, err := wire.NextOpening(c.in.bytes())
		if !errors.Is(err, wire.ErrIncomplete) {
			return h, body, len(c.in.bytes()) - len(rest), err
		}
	}
}

func (c *conn) accept(id uint32, reply *wire.HelloReply) error {
	s := c.server
	limits := &s.options.Limits
	reply.MaxInFlight = uint32(limits.InFlight)
	reply.MaxStreams = uint16(limits.Exports)
	reply.IdleTimeoutMillis = uint32(limits.Idle.Milliseconds())
	reply.ClusterID = s.identity.ClusterID
	reply.NodeID = s.identity.NodeID
	reply.ServerVersion = s.options.Version
	c.frameBytes = reply.MaxFrameBytes
	if _, err := c.nc.Write(wire.AppendReply([]byte(wire.Magic), wire.OK, id, reply)); err != nil {
		return err
	}
	return nil // each read and write to come sets the deadline that it needs
}

// refuseHello tells the client why its hello is refused, and returns that reason.
func (c *conn) refuseHello(id uint32, code wire.Code, reason error) error {
	if _, err := c.nc.Write(appendError([]byte(wire.Magic), id, code, reason.Error())); err != nil {
		return err
	}
	return reason
}

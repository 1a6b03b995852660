package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// portBufferBytes is what a busy connection reads into; larger frames make the
	// buffer grow, charged to the port's memory.
	portBufferBytes = 64 << 10
	// portOutputBytes is how many answers may wait before no more requests are read.
	portOutputBytes = 256 << 10
	// portRequestBytes is what a request in flight takes besides its payload.
	portRequestBytes = 512
)

// portConn is an accepted connection. Its goroutine reads; answers are left with
// out by whoever decides the request.
type portConn struct {
	port   *peerPort
	nc     net.Conn
	in     portStream
	out    *output
	nodeID string // of the other side, once it is proved

	replaces *portConn // whose place it takes, once it is welcome
}

func newPortConn(p *peerPort, nc net.Conn) *portConn {
	l := &p.limits
	return &portConn{
		port: p, nc: nc,
		in: portStream{nc: nc, now: p.now, in: readBuffer{pool: &p.inputs, memory: p.memory}},
		out: &output{
			nc: nc, now: p.now, patience: l.Write, buffers: &p.outputs,
			maxInFlight: l.InFlight, maxInFlightBytes: l.InFlightBytes, maxPendingBytes: portOutputBytes,
			token: make(chan struct{}, 1), wake: make(chan struct{}, 1), room: make(chan struct{}, 1), gone: make(chan struct{}),
		},
	}
}

// serve runs the connection to its end and says why it ended.
func (c *portConn) serve() error {
	defer c.in.in.release()
	err := c.open()
	if err == nil {
		var writing sync.WaitGroup
		writing.Go(c.out.run)
		err = c.readLoop()
		c.out.kill(err)
		writing.Wait()
	}
	c.out.kill(err)
	return c.out.reason()
}

// open lets the other side prove itself. Nothing else is accepted before that,
// and all of it must be done by one deadline.
func (c *portConn) open() error {
	p := c.port
	if err := c.nc.SetDeadline(p.now().Add(p.limits.Opening)); err != nil {
		return err
	}
	if err := c.in.magic(); err != nil {
		return err
	}
	f, err := c.in.opening(portHelloKind)
	if err != nil {
		return err
	}
	var hello portHello
	if err := hello.decode(f.Body); err != nil {
		return err
	}
	switch {
	case hello.MinVersion > portVersion || hello.MaxVersion < portVersion:
		return fmt.Errorf("%w: %s speaks %d to %d, this node %d", errPortVersion, hello.NodeID, hello.MinVersion, hello.MaxVersion, portVersion)
	case hello.ClusterID != p.identity.ClusterID:
		return fmt.Errorf("%w: %s of cluster %x", errPortCluster, hello.NodeID, hello.ClusterID)
	}
	return c.challenge(&hello, bytes.Clone(f.raw))
}

// challenge asks the side that said hello for its proof, and answers with ours.
func (c *portConn) challenge(hello *portHello, helloFrame []byte) error {
	p := c.port
	challenge := portChallenge{Version: portVersion, ClusterID: p.identity.ClusterID, NodeID: p.identity.NodeID}
	if _, err := io.ReadFull(p.random, challenge.Nonce[:]); err != nil {
		return fmt.Errorf("make a nonce: %w", err)
	}
	frames := appendOpeningFrame([]byte(portMagic), portChallengeKind, &challenge)
	if _, err := c.nc.Write(frames); err != nil {
		return err
	}
	f, err := c.in.opening(portProofKind)
	if err != nil {
		return err
	}
	var proof portProof
	if err := proof.decode(f.Body); err != nil {
		return err
	}
	challengeFrame := frames[len(portMagic):]
	if !equalProofs(proof.Proof, p.identity.dialerProof(helloFrame, challengeFrame)) {
		return fmt.Errorf("%w: it calls itself %s", errPortProof, hello.NodeID)
	}
	if err := p.prove(c, hello.NodeID); err != nil {
		return err
	}
	if c.replaces != nil {
		c.replaces.out.kill(errPortReplaced)
		c.replaces = nil
	}
	welcome := portWelcome{MaxBodyBytes: uint32(p.limits.FrameBytes)}
	welcome.Proof = p.identity.listenerProof(helloFrame, challengeFrame, f.raw, welcome.MaxBodyBytes)
	if _, err := c.nc.Write(appendOpeningFrame(nil, portWelcomeKind, &welcome)); err != nil {
		return err
	}
	return c.in.opened(portSeed(&hello.Nonce, &challenge.Nonce), &p.limits)
}

// readLoop takes requests until the connection ends.
func (c *portConn) readLoop() error {
	for {
		if err := c.out.settle(); err != nil {
			return err
		}
		f, err := c.in.next(c.port.limits.FrameBytes)
		if err != nil {
			return err
		}
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

func (c *portConn) handle(f portFrame) error {
	switch {
	case f.Kind == portPingKind && len(f.Body) == 0:
		return c.out.send(appendEmptyFrame(nil, c.in.seed, portPongKind, f.ID))
	case f.Kind == portDeliverKind:
		return c.deliver(f)
	case f.Kind.isRequest():
		return c.fail(f.ID, fmt.Errorf("%w: kind %d", errPortUnsupported, f.Kind))
	}
	return fmt.Errorf("%w: kind %d with %d bytes", errPortUnexpected, f.Kind, len(f.Body))
}

// deliver hands a courier's message to the handler, once there is room for it.
func (c *portConn) deliver(f portFrame) error {
	to, payload, err := decodeDeliverRequest(f.Body)
	if err != nil {
		return err
	}
	size := len(payload) + portRequestBytes
	if err := c.admit(size); err != nil {
		return err
	}
	if !c.port.memory.take(size) {
		c.out.withdraw(size)
		return c.fail(f.ID, errNoMemory)
	}
	memory, out, answer := c.port.memory, c.out, &deliverAnswer{id: f.ID, seed: c.in.seed}
	c.port.handler.handleDeliver(to, bytes.Clone(payload), func(applied uint64, err error) {
		answer.applied, answer.err = applied, err
		memory.give(size)
		out.answer(size, answer)
	})
	return nil
}

// admit counts a request in, as soon as enough others are answered. When that
// takes too long the connection ends, lest it be held for ever.
func (c *portConn) admit(size int) error {
	if c.out.admit(size) {
		return nil
	}
	stuck := time.AfterFunc(c.port.limits.Idle, func() { c.out.kill(errPortStuck) })
	defer stuck.Stop()
	for !c.out.admit(size) {
		if err := c.out.awaitRoom(size); err != nil {
			return err
		}
	}
	return nil
}

// fail answers a request that did not get as far as the handler.
func (c *portConn) fail(id uint64, err error) error {
	answer := deliverAnswer{id: id, seed: c.in.seed, err: err}
	return c.out.send(answer.appendAnswer(nil))
}

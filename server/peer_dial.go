package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// peerAddress is where a node listens for its peers, and which node that must be.
type peerAddress struct {
	NodeID  string // empty: any node of the cluster
	Address string
}

// portDialer opens connections to other nodes.
type portDialer struct {
	dial     func(ctx context.Context, address string) (net.Conn, error)
	identity portIdentity
	limits   PeerLimits
	now      func() time.Time
	random   io.Reader
	rare     rareLog
	memory   *budget
	inputs   bufferPool
}

// linkConn is a connection whose two sides have proved themselves. One goroutine
// reads from in, one calls write.
type linkConn struct {
	nc           net.Conn
	in           portStream
	maxBodyBytes int           // largest that the other side takes
	patience     time.Duration // for it to take what is written
	frames       []byte        // scratch of the writing goroutine
}

func (c *linkConn) write(b []byte) error {
	if err := c.nc.SetWriteDeadline(c.in.now().Add(c.patience)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// dialPeer connects to a node and proves to it, and has it prove, that both
// belong to the cluster.
func (d *portDialer) dialPeer(ctx context.Context, to peerAddress) (*linkConn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.limits.Opening)
	defer cancel()
	nc, err := d.dial(ctx, to.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	c := &linkConn{
		nc: nc, patience: d.limits.Write,
		in: portStream{nc: nc, now: d.now, in: readBuffer{pool: &d.inputs, memory: d.memory}},
	}
	err = d.open(c, to.NodeID)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		c.in.in.release()
		return nil, fmt.Errorf("open a connection to %s: %w", to.Address, err)
	}
	return c, nil
}

// open is the dialer's half of the opening.
func (d *portDialer) open(c *linkConn, nodeID string) error {
	hello := portHello{
		MinVersion: portVersion, MaxVersion: portVersion, MaxBodyBytes: uint32(d.limits.FrameBytes),
		ClusterID: d.identity.ClusterID, NodeID: d.identity.NodeID,
	}
	if _, err := io.ReadFull(d.random, hello.Nonce[:]); err != nil {
		return fmt.Errorf("make a nonce: %w", err)
	}
	frames := appendOpeningFrame([]byte(portMagic), portHelloKind, &hello)
	if err := c.nc.SetDeadline(d.now().Add(d.limits.Opening)); err != nil {
		return err
	}
	if _, err := c.nc.Write(frames); err != nil {
		return err
	}
	if err := c.in.magic(); err != nil {
		return err
	}
	f, err := c.in.opening(portChallengeKind)
	if err != nil {
		return err
	}
	var challenge portChallenge
	if err := challenge.decode(f.Body); err != nil {
		return err
	}
	switch {
	case challenge.Version != portVersion:
		return fmt.Errorf("%w: %s chose %d", errPortVersion, challenge.NodeID, challenge.Version)
	case challenge.ClusterID != d.identity.ClusterID:
		return fmt.Errorf("%w: %s of cluster %x", errPortCluster, challenge.NodeID, challenge.ClusterID)
	case nodeID != "" && challenge.NodeID != nodeID:
		return fmt.Errorf("%w: %s instead of %s", errPortOtherNode, challenge.NodeID, nodeID)
	}
	if err := d.exchangeProofs(c, frames[len(portMagic):], f.raw); err != nil {
		return err
	}
	return c.in.opened(portSeed(&hello.Nonce, &challenge.Nonce), &d.limits)
}

// exchangeProofs gives our proof for theirs. challenge is valid until the stream
// is read again.
func (d *portDialer) exchangeProofs(c *linkConn, hello, challenge []byte) error {
	proof := portProof{Proof: d.identity.dialerProof(hello, challenge)}
	proofFrame := appendOpeningFrame(nil, portProofKind, &proof)
	challenge = append([]byte(nil), challenge...)
	if _, err := c.nc.Write(proofFrame); err != nil {
		return err
	}
	f, err := c.in.opening(portWelcomeKind)
	if err != nil {
		return err
	}
	var welcome portWelcome
	if err := welcome.decode(f.Body); err != nil {
		return err
	}
	if !equalProofs(welcome.Proof, d.identity.listenerProof(hello, challenge, proofFrame, welcome.MaxBodyBytes)) {
		return errPortProof
	}
	c.maxBodyBytes = int(min(welcome.MaxBodyBytes, portMaxBodyBytes))
	return nil
}

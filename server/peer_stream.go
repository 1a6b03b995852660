package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// portStream reads frames off a connection between nodes. Its buffer grows with
// what has arrived, never with what a frame announces. It belongs to one
// goroutine.
type portStream struct {
	nc   net.Conn
	now  func() time.Time
	in   readBuffer
	seed uint32 // 0 until the opening is done

	// idle and frame are PeerLimits.Idle and Frame. While they are 0, during the
	// opening, the deadline of the whole opening stands.
	idle, frame time.Duration
	frameUntil  time.Time // zero between frames
}

// next waits for a frame. It aliases the buffer until the next call.
func (s *portStream) next(maxBodyBytes int) (portFrame, error) {
	for {
		f, size, err := parsePortFrame(s.in.bytes(), maxBodyBytes, s.seed)
		if err != nil {
			return portFrame{}, err
		}
		if size > 0 {
			s.in.consume(size)
			s.frameUntil = time.Time{}
			return f, nil
		}
		if err := s.fill(portHeaderBytes + maxBodyBytes); err != nil {
			return portFrame{}, err
		}
	}
}

// opening waits for a frame of the opening, which is the last for now: its sender
// must wait for the answer.
func (s *portStream) opening(kind portKind) (portFrame, error) {
	f, err := s.next(portOpeningBytes)
	switch {
	case err != nil:
		return portFrame{}, err
	case f.Kind != kind || f.ID != 0:
		return portFrame{}, fmt.Errorf("%w: kind %d during the opening", errPortUnexpected, f.Kind)
	case len(s.in.bytes()) > 0:
		return portFrame{}, fmt.Errorf("%w: bytes behind frame %d of the opening", errPortUnexpected, kind)
	}
	return f, nil
}

// magic waits for the first bytes of the other side.
func (s *portStream) magic() error {
	for len(s.in.bytes()) < len(portMagic) {
		if err := s.fill(smallBufferBytes); err != nil {
			return err
		}
		if b := s.in.bytes(); string(b[:min(len(b), len(portMagic))]) != portMagic[:min(len(b), len(portMagic))] {
			return errPortMagic
		}
	}
	s.in.consume(len(portMagic))
	return nil
}

// opened begins the life after the opening.
func (s *portStream) opened(seed uint32, l *PeerLimits) error {
	s.seed, s.idle, s.frame = seed, l.Idle, l.Frame
	return s.nc.SetDeadline(time.Time{})
}

// fill waits for more bytes.
func (s *portStream) fill(maxBytes int) error {
	begun := len(s.in.bytes()) > 0
	if err := s.in.makeRoom(maxBytes); err != nil {
		return err
	}
	if err := s.setReadDeadline(begun); err != nil {
		return err
	}
	n, err := s.in.read(s.nc)
	switch {
	case n > 0, err == nil:
		return nil // an error behind some bytes comes again
	case errors.Is(err, io.EOF) && begun:
		return io.ErrUnexpectedEOF
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case s.idle == 0:
		return errPortOpeningTime
	case begun:
		return errPortSlow
	}
	return errPortIdle
}

func (s *portStream) setReadDeadline(begun bool) error {
	if s.idle == 0 {
		return nil
	}
	until := s.now().Add(s.idle)
	if begun {
		if s.frameUntil.IsZero() {
			s.frameUntil = s.now().Add(s.frame)
		}
		until = s.frameUntil
	}
	return s.nc.SetReadDeadline(until)
}

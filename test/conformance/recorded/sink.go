// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// sink is a server that log plugins send to.
type sink struct {
	port     int
	listener io.Closer

	mu  sync.Mutex
	got []call
}

func startSink(spec *SinkSpec) (*sink, error) {
	switch spec.Kind {
	case "http":
		return startHTTPSink()
	case "udp":
		return startUDPSink()
	}
	return nil, fmt.Errorf("sinks of kind %q are not known here", spec.Kind)
}

// startUDPSink notes datagrams as bodies.
func startUDPSink() (*sink, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	s := &sink{port: c.LocalAddr().(*net.UDPAddr).Port, listener: c}
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			s.note(&message{body: bytes.Clone(buffer[:n])})
		}
	}()
	return s, nil
}

func (s *sink) note(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, call{at: time.Now(), message: m})
}

func startHTTPSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with close
	if err != nil {
		return nil, err
	}
	s := &sink{port: l.Addr().(*net.TCPAddr).Port, listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

func (s *sink) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for {
		m, err := readMessage(in, "")
		if err != nil || m == nil {
			return
		}
		s.note(m)
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (s *sink) calls() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *sink) close() { _ = s.listener.Close() }

// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// sink is a server that log plugins send to over HTTP.
type sink struct {
	port     int
	listener net.Listener

	mu  sync.Mutex
	got []call
}

func startSink(spec *SinkSpec) (*sink, error) {
	if spec.Kind != "http" {
		return nil, fmt.Errorf("sinks of kind %q are not known here", spec.Kind)
	}
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
		s.mu.Lock()
		s.got = append(s.got, call{at: time.Now(), message: m})
		s.mu.Unlock()
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

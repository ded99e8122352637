// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// streamClient is one connection's worth of a load whose connections have a
// goroutine each.
type streamClient interface {
	once() error
	close()
	counted() *counters
}

// streamLoad is a load over TLS or HTTP/2.
type streamLoad struct {
	clients []streamClient
	all     sync.WaitGroup
}

func startStreams(load *Load, p *phase) *streamLoad {
	s := &streamLoad{}
	for i := range load.Connections {
		if load.Protocol == HTTP2 || load.Protocol == H2C {
			s.clients = append(s.clients, newHTTP2Client(load, i, p))
		} else {
			s.clients = append(s.clients, newTLSClient(load, i, p))
		}
	}
	// The first request is alone, so that the first heads at both ends are of
	// the same exchange.
	first := s.clients[0]
	if err := first.once(); err != nil {
		first.counted().fail(err)
		return s
	}
	for i, c := range s.clients {
		s.all.Go(func() {
			defer c.close()
			if err := drive(c, load, p, i == 0); err != nil {
				c.counted().fail(err)
			}
		})
	}
	return s
}

func drive(c streamClient, load *Load, p *phase, opened bool) error {
	if h, ok := c.(*http2Client); ok {
		if !opened {
			if err := h.once(); err != nil {
				return err
			}
		}
		return h.exchange(load.Streams)
	}
	for p.Load() != ending {
		if err := c.once(); err != nil {
			return err
		}
	}
	return nil
}

func (s *streamLoad) wait() (*counters, error) {
	done := make(chan struct{})
	go func() {
		s.all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(settle):
		for _, c := range s.clients {
			c.close()
		}
		return nil, errors.New("answers are missing after " + fmt.Sprint(settle))
	}
	total := &counters{phase: &phase{}}
	for _, c := range s.clients {
		total.add(c.counted())
	}
	return total, nil
}

// SPDX-License-Identifier: Apache-2.0

package session

import "sync"

// maxParked is how many goroutines wait for further streams, with the stacks that they have grown.
const maxParked = 64

// workerPool runs streams on goroutines that are used again. The zero value is ready.
type workerPool struct {
	mu     sync.Mutex
	parked []chan *Stream
}

var workers workerPool

// run serves a stream on another goroutine.
func (p *workerPool) run(s *Stream) {
	p.mu.Lock()
	if n := len(p.parked); n > 0 {
		w := p.parked[n-1]
		p.parked = p.parked[:n-1]
		p.mu.Unlock()
		w <- s
		return
	}
	p.mu.Unlock()
	go p.work(s)
}

func (p *workerPool) work(s *Stream) {
	next := make(chan *Stream, 1)
	for {
		s.serve()
		p.mu.Lock()
		if len(p.parked) >= maxParked {
			p.mu.Unlock()
			return
		}
		p.parked = append(p.parked, next)
		p.mu.Unlock()
		s = <-next
	}
}

// serve runs the handler and gives the stream back.
func (s *Stream) serve() {
	x := s.session
	defer x.serving.Done()
	x.options.Handle(s)
	s.Done()
}

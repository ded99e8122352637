// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// work is the memory that a request takes. A connection has it from the first
// byte of a request until it waits for the next one, so that waiting
// connections share what those under way need.
type work struct {
	buf     []byte // read buffer; the current request's head is at its start
	pending []byte // bytes behind the head that were not consumed yet
	bodyBuf []byte // where bodies are read into once pending is used up
	// bodyRead is how much came with the last read into bodyBuf.
	bodyRead int
	decoder  http1.Decoder

	out       []byte        // answer bytes not yet written
	framing   http1.Framing // of the answer
	sentBytes int64         // of the answer

	ex exchange
}

var works = sync.Pool{New: func() any { return newWork() }}

func newWork() *work {
	w := &work{buf: make([]byte, readBuffer)}
	w.ex.init()
	return w
}

// begin gives the connection the memory for a request.
func (c *conn) begin() {
	if c.work != nil {
		return
	}
	c.work = works.Get().(*work)
	c.ex.bind(&c.handle, &c.clientFacts, c)
}

// rest gives the memory back when no byte of a request is there.
func (c *conn) rest() {
	w := c.work
	if w == nil {
		return
	}
	c.work = nil
	w.dropBodyBuffer()
	w.bodyRead = 0
	w.ex.unbind()
	w.shrink()
	poison(w.buf)
	poison(w.out[:cap(w.out)])
	works.Put(w)
}

const (
	// keptBytes and keptFields bound what a work keeps of the buffers that an
	// unusual request made large; keptPiece bounds those that hold pieces of
	// bodies.
	keptBytes  = 16 << 10
	keptPiece  = 48 << 10
	keptFields = 128
)

func (w *work) dropBodyBuffer() {
	if w.bodyBuf != nil {
		putBodyBuffer(w.bodyBuf)
		w.bodyBuf = nil
	}
}

// keep lets go of a buffer that is larger than most.
func keep(b *[]byte, most int) {
	if cap(*b) > most {
		*b = nil
	}
}

// shrink lets go of what an unusual request made large.
func (w *work) shrink() {
	if cap(w.buf) != readBuffer {
		w.buf = make([]byte, readBuffer)
	}
	w.buf = w.buf[:readBuffer]
	for _, b := range []*[]byte{&w.out, &w.ex.stash, &w.ex.http1.frame} {
		keep(b, keptPiece)
	}
	for _, b := range []*[]byte{&w.ex.whole, &w.ex.http1.headBytes, &w.ex.path, &w.ex.upPath} {
		keep(b, keptBytes)
	}
	for _, h := range []*http1.Header{&w.ex.req.Header, &w.ex.resp.Header, &w.ex.head, &w.ex.local} {
		h.Reset()
		if cap(h.Fields()) > keptFields {
			*h = http1.Header{}
		}
	}
	w.ex.arena.Reset()
}

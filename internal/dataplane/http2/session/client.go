// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// Open sends the head of a request, a block of an http2.Encoder, on a new stream; last says that no body follows. It returns
// ErrUnavailable when the connection takes no further stream now. The caller owes the stream its Done.
func (x *Session) Open(method http1.Method, block []byte, last bool) (*Stream, error) {
	x.mu.Lock()
	if x.broken != nil || !x.conn.Usable() {
		x.mu.Unlock()
		return nil, ErrUnavailable
	}
	s := x.adopt(x.conn.Open(method, block, last))
	write := x.claim()
	x.mu.Unlock()
	if write {
		x.flush()
	}
	return s, nil
}

// Free returns how many more streams the connection takes now, and whether it will take any later.
func (x *Session) Free() (n int, lasting bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.broken != nil || x.retired || !x.conn.Lasting() {
		return 0, false
	}
	if !x.conn.Usable() {
		return 0, true
	}
	return x.conn.Capacity() - x.conn.Streams(), true
}

// IdleSince returns when the last stream ended, and whether there is none now.
func (x *Session) IdleSince() (time.Time, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.idle, x.conn.Streams() == 0
}

// RetireAfterNext closes the connection when its last stream is over, after another one.
func (x *Session) RetireAfterNext() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retired = true
}

// Retire closes the connection when its last stream is over, at once if there is none.
func (x *Session) Retire() {
	x.mu.Lock()
	x.retired = true
	idle := x.conn.Streams() == 0
	x.mu.Unlock()
	if idle {
		x.Close()
	}
}

// doubt retires a client's connection when a stream waited for so long in vain, and nothing at all came for half of it: the server may be
// gone without a word, and the next stream would wait for it as long. A server that is only slow loses a connection, as it
// would with HTTP/1.
func (x *Session) doubt(waited time.Duration) {
	if !x.options.Config.Client {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.heard) >= waited/2 {
		x.retired = true
	}
}

// Streams returns how many streams are under way.
func (x *Session) Streams() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.conn.Streams()
}

// Err returns why the connection serves no further streams, nil while it may.
func (x *Session) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.broken
}

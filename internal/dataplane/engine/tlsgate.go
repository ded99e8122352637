// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"net"
	"os"
	"runtime"
	"time"
)

// gate bounds how many handshakes compute at the same time, one for each
// processor: however many clients begin one, requests never wait behind more
// than that. Handshakes that wait for their client hold no place.
type gate chan struct{}

func newGate() gate { return make(gate, runtime.GOMAXPROCS(0)) }

// enter waits for a place. It returns false when the deadline passes or ctx
// ends before there is one.
func (g gate) enter(ctx context.Context, deadline time.Time) bool {
	select {
	case g <- struct{}{}:
		return true
	default:
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case g <- struct{}{}:
		// Who is woken by a channel runs next, before requests that have waited
		// longer: a row of handshakes would pass them all.
		runtime.Gosched()
		return true
	case <-timeout.C:
	case <-ctx.Done():
	}
	return false
}

func (g gate) leave() { <-g }

// gated is a client's socket as crypto/tls sees it during the handshake: it
// keeps a place at the gate but while it waits for the client.
type gated struct {
	*net.TCPConn
	*handshake // nil once the handshake is over
}

// Read implements net.Conn.
func (g *gated) Read(p []byte) (int, error) {
	h := g.handshake
	if h == nil {
		return g.TCPConn.Read(p)
	}
	h.leave()
	n, err := g.TCPConn.Read(p)
	if err == nil && !h.enter() {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

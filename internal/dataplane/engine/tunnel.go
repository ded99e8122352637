// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
)

// upgrade passes a 101 on and then copies bytes both ways until both sides are
// done. Only a WebSocket handshake that the upstream accepted gets here; any
// other 101 is an answer to nothing that was asked.
func (ex *exchange) upgrade(t *target) {
	c, x := ex.conn, ex.conn.x
	if !c.req.WebSocket || !ex.resp.WebSocket {
		ex.dropUpstream()
		ex.answerProxyError(502, errorpage.Message(502))
		return
	}
	c.keep = false
	ex.filterHeader()
	h := &ex.resp.Header
	ex.addProxyHeaders(h)
	if c.engine.settings.Headers.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
	head := http1.ResponseHead{Status: 101, Reason: ex.resp.Reason, Header: h, Connection: http1.ConnectionUpgrade}
	// The only error is that of a status out of range.
	c.out, _ = http1.AppendResponseHead(c.out, &head)
	if x.Logs() {
		ex.noteSent(&head)
	}
	x.Answer.Status = 101
	// Bytes that the upstream sent right behind its head are the tunnel's.
	c.out = append(c.out, ex.upConn.Buffered()...)
	if c.flush() == nil {
		ex.detach()
		ex.tunnel(t.readTimeout)
	}
	ex.broken = true
	ex.dropUpstream()
}

// detach lets go of the configuration: a tunnel outlives many.
func (ex *exchange) detach() {
	c, x := ex.conn, ex.conn.x
	c.waiting.Store(0)
	c.holdInstances(ex.snapshot)
	ex.snapshot, ex.service = nil, nil
	ex.route, ex.match, ex.input = nil, router.Result{}, router.Input{}
	x.People = &directory{}
}

// tunnel copies until one side ends or nothing moves either way for idle. A
// side that ends is told to the other one by a half-close, and then the other
// direction has the same time to end.
func (ex *exchange) tunnel(idle time.Duration) {
	c, conn := ex.conn, ex.upConn
	if len(c.pending) > 0 {
		conn.ArmWrite(time.Now(), idle)
		if _, err := conn.Write(c.pending); err != nil {
			return
		}
		c.pending = nil
	}
	tunnel := &tunnel{idle: idle}
	up := make(chan struct{})
	c.engine.background.Add(1)
	go func() {
		defer c.engine.background.Done()
		defer close(up)
		if _, err := tunnel.pipe(conn.Conn, c.nc); err != nil {
			conn.Abort()
		}
	}()
	sent, err := tunnel.pipe(c.nc, conn.Conn)
	c.x.Answer.Size += sent
	if err != nil {
		_ = c.socket.Close()
	}
	<-up
	ex.readDone = true
}

// tunnel is what the two directions share.
type tunnel struct {
	idle time.Duration
	// moved is when a byte last went either way, in nanoseconds.
	moved atomic.Int64
}

// pipe copies src to dst until src ends, an error, or the tunnel idles. At the
// end of src it closes dst's other half.
func (t *tunnel) pipe(dst, src net.Conn) (total int64, err error) {
	buf := getBodyBuffer()
	defer putBodyBuffer(buf)
	deadline := time.Now().Add(t.idle)
	for {
		_ = src.SetReadDeadline(deadline)
		n, err := src.Read(buf)
		now := time.Now()
		if n > 0 {
			t.moved.Store(now.UnixNano())
			_ = dst.SetWriteDeadline(now.Add(t.idle))
			written, werr := dst.Write(buf[:n])
			total += int64(written)
			if werr != nil {
				return total, werr
			}
		}
		deadline = time.Unix(0, t.moved.Load()).Add(t.idle)
		switch {
		case err == nil:
		case isTimeout(err) && deadline.After(now):
			// The other direction is alive.
		case errors.Is(err, io.EOF):
			return total, closeWrite(dst)
		default:
			return total, err
		}
	}
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return io.EOF
}

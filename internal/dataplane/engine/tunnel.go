// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"io"
	"net"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// upgrade passes a 101 on and then copies bytes both ways until both sides are
// done. Only a WebSocket handshake that the upstream accepted gets here; any
// other 101 is an answer to nothing that was asked.
func (ex *exchange) upgrade(t *target) {
	c, x := ex.conn, ex.conn.x
	c.keep = false
	if !c.req.WebSocket || !ex.resp.WebSocket {
		ex.dropUpstream()
		ex.answerProxyError(502, errorpage.Message(502))
		return
	}
	ex.filterHeader()
	h := &ex.resp.Header
	ex.addProxyHeaders(h)
	if c.engine.settings.Headers.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
	out, err := http1.AppendResponseHead(c.out, &http1.ResponseHead{Status: 101, Reason: ex.resp.Reason, Header: h, Connection: http1.ConnectionUpgrade})
	if err != nil {
		ex.dropUpstream()
		ex.answerProxyError(502, errorpage.Message(502))
		return
	}
	ex.sent = true
	// Bytes that the upstream sent right behind its head are the tunnel's.
	c.out = append(out, ex.upConn.Buffered()...)
	x.Answer.Status = 101
	if c.flush() == nil {
		// The tunnel keeps its plan and lets the snapshot go.
		c.using.Store(nil)
		ex.tunnel(t.readTimeout)
	}
	ex.dropUpstream()
}

// tunnel copies until one side ends or nothing moves for idle.
func (ex *exchange) tunnel(idle time.Duration) {
	c, conn := ex.conn, ex.upConn
	if len(c.pending) > 0 {
		_ = conn.SetWriteDeadline(time.Now().Add(idle))
		if _, err := conn.Write(c.pending); err != nil {
			return
		}
		c.pending = nil
	}
	up := make(chan struct{})
	c.engine.background.Add(1)
	go func() {
		defer c.engine.background.Done()
		defer close(up)
		pipe(conn, c.nc, idle)
		_ = conn.SetReadDeadline(time.Now())
	}()
	c.x.Answer.Size += pipe(c.nc, conn, idle)
	_ = c.nc.SetReadDeadline(time.Now())
	<-up
	ex.readDone = true
}

// pipe copies src to dst until src ends, an error, or idle without a byte.
func pipe(dst, src net.Conn, idle time.Duration) (total int64) {
	buf := getBodyBuffer()
	defer putBodyBuffer(buf)
	for {
		_ = src.SetReadDeadline(time.Now().Add(idle))
		n, err := src.Read(buf)
		if n > 0 {
			_ = dst.SetWriteDeadline(time.Now().Add(idle))
			written, werr := dst.Write(buf[:n])
			total += int64(written)
			if werr != nil {
				return total
			}
		}
		if err != nil {
			if err == io.EOF {
				if half, ok := dst.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite()
				}
			}
			return total
		}
	}
}

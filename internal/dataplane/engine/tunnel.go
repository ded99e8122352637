// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/sha1" //nolint:gosec // of the WebSocket handshake
	"crypto/tls"
	"encoding/base64"
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
	down, up, ok := ex.sides()
	if !ok || !ex.req.WebSocket || !ex.resp.WebSocket || !ex.accepted() {
		ex.dropUpstream()
		ex.answerProxyError(502, errorpage.Message(502))
		return
	}
	ex.filterHeader()
	h := &ex.resp.Header
	ex.addProxyHeaders(h)
	if ex.engine.settings.Headers.RequestID {
		h.ReplaceID(http1.HeaderXKongRequestId, ex.id[:])
	}
	head := http1.ResponseHead{Status: 101, Reason: ex.resp.Reason, Header: h, ContentLength: -1, Connection: http1.ConnectionUpgrade}
	err := ex.down.sendInterim(&head)
	if ex.x.Logs() {
		ex.noteSent(&head)
	}
	ex.x.Answer.Status = 101
	if err == nil {
		ex.detach()
		ex.tunnel(down, up, t.readTimeout)
		ex.readDone = true
	}
	ex.breakOff()
	ex.dropUpstream()
}

// accepted reports whether the upstream's Sec-WebSocket-Accept is the one for the
// key that it was sent (RFC 6455 §4.1): another one is not of somebody who
// understood the handshake, and of two nobody knows which counts. None at all is
// left to the client, as Kong does.
func (ex *exchange) accepted() bool {
	key, ok := ex.head.GetID(http1.HeaderSecWebSocketKey)
	if !ok {
		return false
	}
	hash := sha1.New() //nolint:gosec // RFC 6455 says so
	hash.Write(key)
	hash.Write(http1.View("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	var room [2][]byte
	accepts := ex.resp.Header.AppendValuesID(room[:0], http1.HeaderSecWebSocketAccept)
	return len(accepts) == 0 || len(accepts) == 1 && string(accepts[0]) == base64.StdEncoding.EncodeToString(hash.Sum(nil))
}

// sides returns both sides if their connections can be taken over.
func (ex *exchange) sides() (down, up takenOver, ok bool) {
	if down, ok = ex.down.(takenOver); ok {
		up, ok = ex.up.(takenOver)
	}
	return down, up, ok
}

// detach lets go of the configuration: a tunnel outlives many.
func (ex *exchange) detach() {
	ex.holdInstances(ex.snapshot, ex.x.Picked())
	ex.snapshot, ex.service = nil, nil
	ex.route, ex.match, ex.input = nil, router.Result{}, router.Input{}
	ex.x.People = &directory{}
}

// tunnel copies until one side ends or nothing moves either way for idle. A
// side that ends is told to the other one by a half-close, and then the other
// direction has the same time to end.
func (ex *exchange) tunnel(down, up takenOver, idle time.Duration) {
	client, fromClient := down.takeOver()
	server, fromServer := up.takeOver()
	tunnel := &tunnel{idle: idle}
	if tunnel.pass(server, fromClient) != nil || tunnel.pass(client, fromServer) != nil {
		return
	}
	ex.x.Answer.Size += int64(len(fromServer))
	upwards := make(chan struct{})
	ex.engine.background.Add(1)
	go func() {
		defer ex.engine.background.Done()
		defer close(upwards)
		if _, err := tunnel.pipe(server, client); err != nil {
			cut(server)
		}
	}()
	sent, err := tunnel.pipe(client, server)
	ex.x.Answer.Size += sent
	if err != nil {
		cut(client)
	}
	<-upwards
}

// cut closes a connection under the feet of who uses it, without waiting for
// the peer.
func cut(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	_ = nc.Close()
}

// tunnel is what the two directions share.
type tunnel struct {
	idle time.Duration
	// moved is when a byte last went either way, in nanoseconds.
	moved atomic.Int64
}

// pass writes what was read behind a head.
func (t *tunnel) pass(dst net.Conn, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_ = dst.SetWriteDeadline(time.Now().Add(t.idle))
	_, err := dst.Write(data)
	return err
}

// pipe copies src to dst until src ends, an error, or the tunnel idles. At the
// end of src it closes dst's other half.
func (t *tunnel) pipe(dst, src net.Conn) (total int64, err error) {
	buf := getBodyBuffer(bodyBuffer)
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

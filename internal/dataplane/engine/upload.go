// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

// upload streams the part of a request body that was not read ahead, while the
// exchange's goroutine already waits for the answer: an upstream may answer
// before it has read everything.
type upload struct {
	ex      *exchange
	conn    *upstream.Conn
	chunked bool
	timeout time.Duration

	done chan struct{}
	// Set before done is closed.
	fromClient   error
	fromUpstream error
}

func (u *upload) run() {
	defer u.ex.conn.engine.background.Done()
	defer close(u.done)
	var frame []byte
	for {
		data, err := u.ex.nextBody()
		if err != nil {
			u.fromClient = err
			// Wake the goroutine that waits for an answer: none will come.
			_ = u.conn.SetReadDeadline(time.Now())
			return
		}
		last := u.ex.readDone
		out := data
		if u.chunked {
			frame = http1.AppendChunk(frame[:0], data)
			if last {
				frame = http1.AppendLastChunk(frame, u.ex.decoder.Trailers())
			}
			out = frame
		}
		_ = u.conn.SetWriteDeadline(time.Now().Add(u.timeout))
		if _, err := u.conn.Write(out); err != nil {
			u.fromUpstream = err
			if isTimeout(err) {
				_ = u.conn.SetReadDeadline(time.Now())
			}
			return
		}
		if last {
			return
		}
	}
}

// stop ends an upload whose answer is complete and waits for it. It reports
// whether the whole body had been sent.
func (u *upload) stop() (complete bool) {
	if u == nil {
		return true
	}
	select {
	case <-u.done:
	default:
		_ = u.ex.conn.nc.SetReadDeadline(time.Now())
		u.ex.conn.readDeadline = time.Time{}
		_ = u.conn.SetWriteDeadline(time.Now())
		<-u.done
	}
	return u.fromClient == nil && u.fromUpstream == nil
}

// clientFailure returns why the client's body could not be read, after the
// exchange gave up on the answer.
func (u *upload) clientFailure() error {
	if u == nil {
		return nil
	}
	select {
	case <-u.done:
		var bad *http1.Error
		if errors.As(u.fromClient, &bad) || u.fromClient != nil && !isTimeout(u.fromClient) {
			return u.fromClient
		}
		return nil
	default:
		u.stop()
		return nil
	}
}

// upstreamFailure returns why the body could not be sent, if that is so.
func (u *upload) upstreamFailure() error {
	if u == nil {
		return nil
	}
	select {
	case <-u.done:
		return u.fromUpstream
	default:
		return nil
	}
}

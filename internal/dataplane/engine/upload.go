// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"sync/atomic"
)

// errStopped ends an upload whose answer is over.
var errStopped = errors.New("engine: upload stopped")

// upload streams the part of a request body that was not read ahead, while the
// exchange's goroutine already waits for the answer: an upstream may answer
// before it has read everything. Until done is closed it owns the client's
// read side, the body's decoder and the upstream's write side.
type upload struct {
	ex *exchange

	stopping atomic.Bool
	// readAll says that the client's body was read to its end, which is all
	// that its connection needs to be kept; the last piece may still be on its
	// way upstream when the answer to it comes.
	readAll atomic.Bool
	done    chan struct{}
	// Set before done is closed.
	fromClient   error
	fromUpstream error
}

// startUpload begins to stream the body to the upstream.
func (ex *exchange) startUpload() {
	ex.uploading = &upload{ex: ex, done: make(chan struct{})}
	ex.engine.background.Add(1)
	go ex.uploading.run()
}

func (u *upload) run() {
	defer u.ex.engine.background.Done()
	defer close(u.done)
	u.fromClient, u.fromUpstream = u.copy()
	switch {
	case u.fromClient == nil && u.fromUpstream == nil:
		u.ex.awaitDeparture()
	case u.fromClient != nil || isTimeout(u.fromUpstream):
		// No answer will come: the goroutine that waits for it is woken.
		u.ex.up.aborter().Abort()
	}
}

func (u *upload) copy() (fromClient, fromUpstream error) {
	for {
		data, err := u.ex.nextBody()
		if err != nil {
			if u.stopping.Load() && isTimeout(err) {
				err = errStopped
			}
			return err, nil
		}
		last := u.ex.readDone
		u.readAll.Store(last)
		if u.stopping.Load() {
			return errStopped, nil
		}
		if err := u.ex.up.sendBody(data, last, u.ex.down.requestTrailers()); err != nil {
			return nil, err
		}
		if last {
			return nil, nil
		}
	}
}

// stop ends an upload, if it still runs, and waits for it. It reports whether
// the whole body had been sent; otherwise the upstream connection is closed.
func (u *upload) stop() (complete bool) {
	if u == nil {
		return true
	}
	select {
	case <-u.done:
	default:
		u.stopping.Store(true)
		u.ex.down.stopReading()
		u.ex.up.aborter().Abort()
		<-u.done
		u.ex.down.resumeReading()
	}
	return u.fromClient == nil && u.fromUpstream == nil
}

// clientFailure stops the upload and returns why the client's body could not
// be read, nil if that is not what went wrong.
func (u *upload) clientFailure() error {
	if u == nil {
		return nil
	}
	u.stop()
	if errors.Is(u.fromClient, errStopped) {
		return nil
	}
	return u.fromClient
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

// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// errBodyTooLarge says that a body does not fit what its reader needs whole.
var errBodyTooLarge = errors.New("engine: request body is larger than a plugin can take")

// readBody reads up to limit bytes of the request body into stash. With whole
// set a longer body is an error; otherwise reading stops there, or earlier when
// the process holds as many bytes of bodies as it may.
func (ex *exchange) readBody(limit int64, whole bool) error {
	if whole && ex.req.ContentLength > limit {
		return errBodyTooLarge
	}
	for !ex.readDone && int64(len(ex.stash)) < limit+1 {
		if !whole && (int64(len(ex.stash)) >= limit || !ex.reserve(bodyBuffer, false)) {
			break
		}
		data, err := ex.nextBody()
		if err != nil {
			return err
		}
		ex.reserve(len(data), true)
		ex.stash = append(ex.stash, data...)
	}
	if whole && (!ex.readDone || int64(len(ex.stash)) > limit) {
		return errBodyTooLarge
	}
	ex.noteBody()
	return nil
}

// noteBody shows the body to plugins once all of it is here.
func (ex *exchange) noteBody() {
	if x := ex.x; ex.readDone && !x.BodyReplaced {
		x.RequestBody, x.BodyComplete = ex.stash, true
	}
}

// errOverLimit answers a body whose size nobody knew before, and that turns out
// to be larger than a plugin allows.
var errOverLimit = &http1.Error{Status: 413, Message: "Request size limit exceeded", Reason: "the body is over a plugin's limit"}

func (ex *exchange) overLimit() bool {
	limit := ex.x.UpstreamRequest.BodyLimit
	return limit > 0 && ex.received > limit
}

// takeArrived takes what of the body was read together with the head. It reads
// nothing from the client.
func (ex *exchange) takeArrived() error {
	for !ex.readDone {
		data, last, ok, err := ex.down.arrivedBody()
		if err == nil && ok {
			err = ex.took(data, last)
		}
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		ex.stash = append(ex.stash, data...)
	}
	ex.noteBody()
	return nil
}

// nextBody returns the next piece of the request body, a view that the next
// call invalidates. readDone is set with the last piece.
func (ex *exchange) nextBody() ([]byte, error) {
	data, last, err := ex.down.readBody()
	if err == nil {
		err = ex.took(data, last)
	}
	return data, err
}

// took notes a piece of the request body.
func (ex *exchange) took(data []byte, last bool) error {
	ex.received += int64(len(data))
	if ex.overLimit() {
		return errOverLimit
	}
	ex.readDone = last
	return nil
}

// trailing reports whether the body is in memory as a whole, with trailers.
func (ex *exchange) trailing() bool {
	return ex.readDone && !ex.x.BodyReplaced && ex.req.Framing == http1.BodyChunked && ex.down.requestTrailers().Len() > 0
}

// upstreamFraming decides how the body goes upstream: with a length when all
// of it is in memory or the client said how long it is.
func (ex *exchange) upstreamFraming() (http1.Framing, int64) {
	x := ex.x
	switch {
	case x.BodyReplaced:
		return http1.BodyLength, int64(len(x.RequestBody))
	case ex.req.Framing == http1.BodyNone:
		return http1.BodyNone, -1
	case ex.trailing():
		return http1.BodyChunked, -1
	case ex.readDone:
		return http1.BodyLength, int64(len(ex.stash))
	case ex.req.Framing == http1.BodyLength:
		return http1.BodyLength, ex.req.ContentLength
	}
	return http1.BodyChunked, -1
}

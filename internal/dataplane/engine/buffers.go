// SPDX-License-Identifier: Apache-2.0

package engine

import "sync"

// bodyBuffers are shared by all connections: one that waits holds none.
var (
	bodyBuffers      = sync.Pool{New: func() any { return new([bodyBuffer]byte) }}
	largeBodyBuffers = sync.Pool{New: func() any { return new([largeBodyBuffer]byte) }}
)

// getBodyBuffer returns a buffer of one of the two sizes.
func getBodyBuffer(size int) []byte {
	if size == largeBodyBuffer {
		return largeBodyBuffers.Get().(*[largeBodyBuffer]byte)[:]
	}
	return bodyBuffers.Get().(*[bodyBuffer]byte)[:]
}

func putBodyBuffer(b []byte) {
	poison(b)
	if len(b) == largeBodyBuffer {
		largeBodyBuffers.Put((*[largeBodyBuffer]byte)(b))
		return
	}
	bodyBuffers.Put((*[bodyBuffer]byte)(b))
}

// upstreamBuffer is the size of the buffer that answers are read through; it
// holds the largest head that http1.DefaultResponseLimits allows.
const upstreamBuffer = 33 << 10

var upstreamBuffers = sync.Pool{New: func() any { return new([upstreamBuffer]byte) }}

func getUpstreamBuffer() []byte { return upstreamBuffers.Get().(*[upstreamBuffer]byte)[:] }

func putUpstreamBuffer(b []byte) {
	poison(b)
	upstreamBuffers.Put((*[upstreamBuffer]byte)(b[:upstreamBuffer]))
}

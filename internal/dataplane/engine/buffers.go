// SPDX-License-Identifier: Apache-2.0

package engine

import "sync"

// bodyBuffers are shared by all connections: one that waits holds none.
var bodyBuffers = sync.Pool{New: func() any { return new([bodyBuffer]byte) }}

func getBodyBuffer() []byte { return bodyBuffers.Get().(*[bodyBuffer]byte)[:] }

func putBodyBuffer(b []byte) {
	poison(b)
	bodyBuffers.Put((*[bodyBuffer]byte)(b[:bodyBuffer]))
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

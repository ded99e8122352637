// SPDX-License-Identifier: Apache-2.0

// Package http2 is HTTP/2 (RFC 9113, RFC 7541) as a state machine over bytes: no I/O, no clock, no goroutines. Conn takes the bytes
// of a peer and turns them into events, and what is to be sent into bytes, in either role. Heads are decoded straight
// into http1.Request and http1.Response, so that whoever serves them knows one form.
//
// # Ownership
//
// A Conn and its streams belong to whoever holds the caller's lock. What a stream's head refers to lives in the stream's own
// arena until Done. Streams are reused.
//
// # Sending
//
// Heads are encoded by an Encoder, which has no state that a connection shares: the dynamic table of HPACK is not used when
// sending, as other fast proxies do not either, so a head can be encoded without the lock. Data is queued as a view and moved
// into the output in turns of one frame for each stream as the windows allow; the queue of a stream is empty when
// its data was taken.
//
// # Receiving
//
// Bodies wait in their stream until they are taken; only then the peer gets window for more. So what a peer can make us
// hold is bounded by the windows that Config announces.
package http2

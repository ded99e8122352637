// SPDX-License-Identifier: Apache-2.0

// Package agent is the client and the backend of a measurement: one process on
// the load core. Both do as little as they can, so that the proxy between them
// is what is measured: requests are formatted before the first is sent, answers
// are looked at only as far as status, length and end need it, and one in
// hundreds is kept whole for the check of its headers.
package agent

import (
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/proc"
)

// Protocol is how the client speaks to the proxy. The backend always speaks
// plaintext HTTP/1.1.
type Protocol string

// The protocols of clients.
const (
	// HTTP1 is plaintext HTTP/1.1 with keep-alive.
	HTTP1 Protocol = "http1"
	// TLS is HTTP/1.1 over TLS 1.3 with keep-alive.
	TLS Protocol = "tls"
	// Handshakes opens a TLS connection for each request, without resumption.
	Handshakes Protocol = "handshakes"
	// HTTP2 is HTTP/2 over TLS 1.3, agreed by ALPN.
	HTTP2 Protocol = "http2"
	// H2C is plaintext HTTP/2 with prior knowledge.
	H2C Protocol = "h2c"
)

// Header is one header line.
type Header struct{ Name, Value string }

// Request describes one request that the client sends.
type Request struct {
	// Host and Path as they stand in the request.
	Host, Path string
	// Header lines beside Host, User-Agent, Accept and Content-Length.
	Header []Header
	// Body is the length of the body in bytes: POST if there is one, else GET.
	Body int
}

// Load is one measurement.
type Load struct {
	// Target is the proxy's address.
	Target   string
	Protocol Protocol
	// Requests are sent by turns; each connection begins at another one.
	Requests []Request
	// Connections is how many are open; Streams how many requests are under way
	// on each of them, which is 1 for HTTP/1.
	Connections, Streams int
	// Answer is the length of the backend's answers in bytes.
	Answer int
	// Status is what every answer must have, and AnswerAny says that its
	// length does not matter.
	Status    int
	AnswerAny bool
	// Warmup comes before the measured Window, which is extended to AtLeast
	// answers, within limits.
	Warmup, Window time.Duration
	AtLeast        int64
	// Rate makes the load open: so many requests a second begin at times drawn
	// beforehand, whether or not earlier ones were answered, and latencies count
	// from those times. 0 is a closed loop.
	Rate float64
	// Processes are those of the proxy, to be accounted.
	Processes []int
	// ProxyCore and LoadCore are the numbers of the two CPUs.
	ProxyCore, LoadCore int
}

// Result is what one Load showed.
type Result struct {
	// Sent and Answered count the client's requests and complete right answers,
	// Arrived the requests at the backend, all from the first to the last, with
	// the warm-up.
	Sent, Answered, Arrived int64
	// ArrivedBytes is the length of all request bodies at the backend.
	ArrivedBytes int64
	// Measured is how many answers came in the window, which took Wall.
	Measured int64
	Wall     time.Duration
	// Usage of the proxy and the cores in the window.
	Usage proc.Usage
	// P50, P99 and Max are of the latencies in the window.
	P50, P99, Max time.Duration
	// Late is how many requests of an open loop began more than a millisecond
	// after their time because all connections were taken.
	Late int64
	// Cipher is the TLS cipher suite that was agreed.
	Cipher string
	// Failure is the first thing that went wrong.
	Failure string
	// Requests and Answers are heads as they arrived, the first ones of the
	// same exchange.
	Requests, Answers []string
}

// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// downstream is the client's side of one exchange: a request whose body is read
// and the answer to it that is written. HTTP/1 serves one exchange after another
// on a connection, HTTP/2 many at once; an exchange knows neither. The head of
// the request is in the exchange's req before it runs.
//
// Deadlines are the implementation's: client_body_timeout bounds the wait of
// readBody, send_timeout that of what is written, flow control included.
//
// The exchange's goroutine writes. It also reads, until an upload starts; then
// the upload's goroutine reads, at the same time, until it has ended. What any
// goroutine may call is said below. Who finds out that the client is gone calls
// leave on the exchange, once or more often.
type downstream interface {
	// readBody waits for the next piece of the request's body. data is a view
	// that is good until the next call; last says that the body ended with it,
	// after which there is no further call. A client that waits to be asked for
	// its body is asked first.
	//
	// The error is an *http1.Error when the client broke a rule, a timeout when
	// it sent nothing for too long, errStopped after stopReading, and anything
	// else when it is gone.
	readBody() (data []byte, last bool, err error)
	// arrivedBody is readBody for what arrived already: it never waits. ok is
	// false when there is nothing.
	arrivedBody() (data []byte, last, ok bool, err error)
	// requestTrailers returns the trailers of the body once it was read to its
	// end, possibly none. They stay until the end of the exchange.
	requestTrailers() *http1.Header
	// stopReading makes a readBody that waits, and those that follow, return
	// errStopped or a timeout. Any goroutine may call it.
	stopReading()
	// resumeReading undoes stopReading, when no readBody is under way.
	resumeReading()

	// sendContinue asks a client that waits for it to send the body; for others,
	// and when it was called before, it does nothing.
	sendContinue() error
	// sendInterim sends a 1xx head at once. The Connection of a 101 is set.
	sendInterim(head *http1.ResponseHead) error
	// sendHead takes the head of the answer, which need not leave before flush or
	// a sendBody without more. Framing says what will follow: BodyNone nothing
	// (ContentLength is announced where it is not negative), BodyLength
	// ContentLength bytes, BodyChunked a body whose length is not known.
	// bodyRead says that nothing of the request's body is left to read.
	//
	// The Framing and Connection that the client sees are put into head, for logs.
	sendHead(head *http1.ResponseHead, bodyRead bool)
	// sendBody sends a piece of the body; data may be used again when it returns.
	// With more set another piece follows without a wait, so that this one may
	// be held back. last ends the answer with trailers, which may be nil and are
	// left out where the client could not find them. It waits as long as the
	// client takes no more.
	sendBody(data []byte, last, more bool, trailers *http1.Header) error
	// flush sends what was held back.
	flush() error
	// sent returns how many bytes went to the client in this exchange.
	sent() int64

	// closeAfter makes this exchange the last one of an HTTP/1 connection. Before
	// sendHead the answer says so. When the answer itself could not be completed,
	// the exchange's broken is set as well, and HTTP/2 resets the stream.
	closeAfter()
	// awaitDeparture says that nothing more is read from the client, so that its
	// leaving has to be looked for. Any goroutine may call it. It ends with the
	// exchange.
	awaitDeparture()
}

// takenOver is a side of an exchange whose connection can be taken over for the
// bytes of another protocol. Only HTTP/1 has it.
type takenOver interface {
	// takeOver returns the connection, and the bytes that were read from it and
	// belong to the other protocol.
	takeOver() (nc net.Conn, behind []byte)
}

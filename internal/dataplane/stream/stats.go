// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"net/http"
	"sync/atomic"
)

// Transport tells the sessions apart in counts.
type Transport uint8

// The transports: TCP holds tcp, tls and tls_passthrough.
const (
	TCP Transport = iota
	UDP
	transports
)

// String is the transport's name in metrics.
func (t Transport) String() string { return [...]string{"tcp", "udp"}[t] }

// Statuses are those that sessions end with.
var Statuses = [...]int{
	http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable,
}

// Stats counts sessions.
type Stats struct {
	accepted, refused [transports]atomic.Uint64
	active            [transports]atomic.Int64
	ended             [transports][len(Statuses)]atomic.Uint64
	received, sent    atomic.Uint64
}

// Totals are counts since the start of the process, by Transport.
type Totals struct {
	// Accepted are the sessions that began, Refused those that a limit kept from
	// it or cut off before they were routed, Active those that go on.
	Accepted, Refused [transports]uint64
	Active            [transports]int64
	// Ended counts sessions by their status, in the order of Statuses.
	Ended [transports][len(Statuses)]uint64
	// Received and Sent are the bytes from and to clients, of ended sessions.
	Received, Sent uint64
}

func (s *Stats) begin(t Transport) {
	s.accepted[t].Add(1)
	s.active[t].Add(1)
}

func (s *Stats) end(t Transport, status int, received, sent int64) {
	s.active[t].Add(-1)
	for i, known := range Statuses {
		if known == status {
			s.ended[t][i].Add(1)
		}
	}
	s.received.Add(uint64(received))
	s.sent.Add(uint64(sent))
}

// Totals reads the counters.
func (s *Stats) Totals() (out Totals) {
	for t := range transports {
		out.Accepted[t], out.Refused[t], out.Active[t] = s.accepted[t].Load(), s.refused[t].Load(), s.active[t].Load()
		for i := range Statuses {
			out.Ended[t][i] = s.ended[t][i].Load()
		}
	}
	out.Received, out.Sent = s.received.Load(), s.sent.Load()
	return out
}

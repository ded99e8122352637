// SPDX-License-Identifier: Apache-2.0

package engine

// ConnectionCounts are those of client connections, under nginx's names
// (https://nginx.org/en/docs/http/ngx_http_stub_status_module.html). An open
// connection counts once, also with many streams of HTTP/2.
type ConnectionCounts struct {
	// Active are open. Waiting are those of them that wait for a request,
	// Reading those of which a part of a request's head or of a TLS handshake is
	// here, Writing all others.
	Active, Waiting, Reading, Writing int
	// Accepted were opened since the start, Handled those of them that were not
	// closed at once because of a limit.
	Accepted, Handled uint64
}

// ConnectionCounts returns the counts of now. It looks at every connection.
func (e *Engine) ConnectionCounts() ConnectionCounts {
	c := ConnectionCounts{Handled: e.conns.handled.Load()}
	c.Accepted = c.Handled + e.RefusedConnections()
	e.conns.each(func(conn *conn) {
		c.Active++
		switch waiting, reading := conn.occupation(); {
		case waiting:
			c.Waiting++
		case reading:
			c.Reading++
		default:
			c.Writing++
		}
	})
	return c
}

// occupation reports whether the connection waits for a request, or reads the
// head of one that is not complete yet. Any goroutine may call it.
func (c *conn) occupation() (waiting, reading bool) {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	if h := c.streams.Load(); h != nil {
		_, idle := h.session.IdleSince()
		return idle, false
	}
	return c.idle, c.heading
}

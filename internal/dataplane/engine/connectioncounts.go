// SPDX-License-Identifier: Apache-2.0

package engine

// ConnectionCounts are those of client connections, under nginx's names.
type ConnectionCounts struct {
	// Active are open, Waiting those of them that wait for a request.
	Active, Waiting int
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
		if conn.waits() {
			c.Waiting++
		}
	})
	return c
}

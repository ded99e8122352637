// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// lingerDrain bounds a lingering close while the process waits to end.
const lingerDrain = time.Second

// linger closes the connection so that the client can read the answer: bytes
// that it is still sending are discarded for a while, because a reset would
// make its kernel forget what it has not read (nginx's lingering_close).
func (c *conn) linger() {
	if c.ex.broken || c.departed.Load() || c.engine.closing.Load() {
		return
	}
	if c.ex.bodyDone() && !c.ex.req.KeepAlive && len(c.pending) == 0 && !c.plain {
		// The client asked for the end and has nothing left to send.
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc != c.socket {
		_ = c.socket.CloseWrite()
	}
	total, idle := c.engine.settings.LingeringTime, c.engine.settings.LingeringTimeout
	if c.engine.draining.Load() {
		total, idle = min(total, lingerDrain), min(idle, lingerDrain)
	}
	if c.bodyBuf == nil {
		c.bodyBuf = getBodyBuffer(bodyBuffer)
	}
	now := time.Now()
	c.beginLingering(now)
	for end := now.Add(total); now.Before(end); now = time.Now() {
		if !c.armLingering(now.Add(min(idle, end.Sub(now)))) {
			return
		}
		if _, err := c.socket.Read(c.bodyBuf); err != nil {
			return
		}
	}
}

// beginLingering lets the connection give way to new ones from now on.
func (c *conn) beginLingering(now time.Time) {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	c.lingering, c.since = true, now
}

// armLingering bounds the next read, unless the connection is to give way.
func (c *conn) armLingering(deadline time.Time) bool {
	c.idleMu.Lock()
	defer c.idleMu.Unlock()
	if c.leaving {
		return false
	}
	_ = c.socket.SetReadDeadline(deadline)
	return true
}

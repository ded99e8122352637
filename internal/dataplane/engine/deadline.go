// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// deadlineSlack is how much later than asked a deadline may strike: setting one
// for every read would cost more than the parse.
const deadlineSlack = time.Second

// slackOf returns how late a deadline of d may be.
func slackOf(d time.Duration) time.Duration { return min(deadlineSlack, d/8) }

// stands reports whether a deadline need not be moved to bound what follows by
// d from now.
func stands(deadline, now time.Time, d time.Duration) bool {
	late := deadline.Sub(now.Add(d))
	return late >= 0 && late <= slackOf(d)
}

// armRead bounds the reads that follow by d from now.
func (c *conn) armRead(now time.Time, d time.Duration) {
	if !stands(c.readDeadline, now, d) {
		c.readDeadline = now.Add(d + slackOf(d))
		_ = c.nc.SetReadDeadline(c.readDeadline)
	}
}

// armBody bounds the next read of a request's body, by the wait between two
// reads and by what is left of the time that all of it may take: the client
// keeps us waiting for no more than client_body_timeout and the time that the
// bytes so far take at the least rate. The time that an upstream takes does not
// count.
func (c *conn) armBody(now time.Time) {
	c.armRead(now, c.engine.settings.bodyPatience(c.decoder.Received(), c.bodyWaited))
}

// bodyPatience returns how long the next piece of a body is waited for, after so
// many bytes came in so much time of waiting.
func (s *Settings) bodyPatience(received int64, waited time.Duration) time.Duration {
	patience := s.ClientBodyTimeout
	if rate := s.ClientBodyMinRate; rate > 0 {
		earned := float64(received) / float64(rate) * float64(time.Second)
		left := float64(patience-waited) + earned
		patience = time.Duration(max(0, min(left, float64(patience))))
	}
	return patience
}

// armWrite bounds the writes that follow by d from now.
func (c *conn) armWrite(now time.Time, d time.Duration) {
	if !stands(c.writeDeadline, now, d) {
		c.writeDeadline = now.Add(d + slackOf(d))
		_ = c.nc.SetWriteDeadline(c.writeDeadline)
	}
}

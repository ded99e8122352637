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

// armWrite bounds the writes that follow by d from now.
func (c *conn) armWrite(now time.Time, d time.Duration) {
	if !stands(c.writeDeadline, now, d) {
		c.writeDeadline = now.Add(d + slackOf(d))
		_ = c.nc.SetWriteDeadline(c.writeDeadline)
	}
}

// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// watchInterval is how often waiting connections are looked at. A client that
// leaves is noticed after two looks at most.
const watchInterval = 100 * time.Millisecond

// watch ends the exchanges of clients that left while nothing was read from
// them: their connections would show it only to a read, and reading would take
// bytes of the next request. One goroutine looks at all of them, so that an
// exchange pays a store for it and no timer.
func (e *Engine) watch() {
	defer e.background.Done()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.conns.each((*conn).lookForDeparture)
		case <-e.context.Done():
			return
		}
	}
}

// lookForDeparture ends the exchange, or the wait for one, if its client closed
// the connection. Both are looked at when they already waited at the last look.
func (c *conn) lookForDeparture() {
	waiting := c.waiting.Load()
	if waiting == 0 || waiting != c.watched {
		c.watched = waiting
		return
	}
	left, idle := false, waiting&idleMark != 0
	err := c.socket.Raw().Control(func(fd uintptr) {
		if left = hungUp(fd); left && idle {
			// Who waits for a request hears of it again.
			_ = unix.Shutdown(int(fd), unix.SHUT_RD)
		}
	})
	switch {
	case idle:
		// What comes later is heard.
		c.waiting.CompareAndSwap(waiting, 0)
	case err == nil && left:
		c.leave()
	}
}

// idleMark in a connection's waiting says that it waits for a request, and may
// not have heard that none will come.
const idleMark = 1 << 63

// hungUp reports whether the peer of a socket closed its side, even if bytes
// that it sent before were not read yet.
func hungUp(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n == 1 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

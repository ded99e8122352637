// SPDX-License-Identifier: Apache-2.0

package engine

import "sync"

// closers is how many things are closed at the same time.
const closers = 4

// closing runs what ends old configurations in the background: a plugin that
// takes its time to close must hold up no change. The zero value is ready.
type closing struct {
	mu      sync.Mutex
	queue   []func()
	running int
	idle    sync.WaitGroup
}

// add has each run, in no particular order.
func (c *closing) add(each ...func()) {
	if len(each) == 0 {
		return
	}
	c.idle.Add(len(each))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, each...)
	for ; c.running < min(closers, len(c.queue)); c.running++ {
		go c.work()
	}
}

// work runs what there is.
func (c *closing) work() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.running--
			c.queue = nil
			c.mu.Unlock()
			return
		}
		next := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.mu.Unlock()
		next()
		c.idle.Done()
	}
}

// wait returns when all that was added has run.
func (c *closing) wait() { c.idle.Wait() }

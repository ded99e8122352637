// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"sync"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Shared is a handle on a queue that several instances with the same config
// use, so that a reload that leaves the config as it is keeps what waits.
type Shared struct {
	*Queue
	holder *holder
}

type holder struct {
	mu    sync.Mutex
	users int
	queue *Queue
}

// Open returns a handle on the queue kept under the plugin's name and key, made
// by create when nobody uses it.
func Open(host plugin.Host, pluginName, key string, create func() *Queue) *Shared {
	h := host.State(pluginName, "queue:"+key, func() any { return new(holder) }).(*holder)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 {
		h.queue = create()
	}
	h.users++
	return &Shared{Queue: h.queue, holder: h}
}

// Close releases the handle. The last one closes the queue.
func (s *Shared) Close() {
	s.holder.mu.Lock()
	s.holder.users--
	last := s.holder.users == 0
	s.holder.mu.Unlock()
	if last {
		s.Queue.Close()
	}
}

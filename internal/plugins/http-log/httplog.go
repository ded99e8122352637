// SPDX-License-Identifier: Apache-2.0

// Package httplog sends a record of each request or session to an HTTP server
// (https://docs.konghq.com/hub/kong-inc/http-log/).
//
// Records wait in a queue of the process, shared by instances with the same
// config, so that a reload loses none.
package httplog

import (
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/queue"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 12, Configure: configure}

const name = "http-log"

type config struct {
	Endpoint    string            `json:"http_endpoint"`
	Method      string            `json:"method"`
	ContentType string            `json:"content_type"`
	Timeout     float64           `json:"timeout"`   // milliseconds
	Keepalive   float64           `json:"keepalive"` // milliseconds
	Headers     map[string]string `json:"headers"`
	Queue       queue.Config      `json:"queue"`

	// Spellings from before Kong 3.3.
	QueueSize    *int     `json:"queue_size"`
	FlushTimeout *float64 `json:"flush_timeout"` // seconds
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := logqueue.Decode(c, conf); err != nil {
		return nil, err
	}
	conf.adoptLegacy()
	sender, err := newSender(conf, c.Host)
	if err != nil {
		return nil, err
	}
	l, err := logqueue.Open(c.Host, name, conf, conf.Queue, func() logqueue.Sink { return sender })
	if err != nil {
		return nil, err
	}
	return l.Phases(), nil
}

// adoptLegacy applies the old queue parameters where they differ from their
// old defaults, as Kong does.
func (c *config) adoptLegacy() {
	if c.QueueSize != nil && *c.QueueSize != 1 {
		c.Queue.MaxBatchSize = *c.QueueSize
	}
	if c.FlushTimeout != nil && *c.FlushTimeout != 2 {
		c.Queue.MaxCoalescingDelay = *c.FlushTimeout
	}
}

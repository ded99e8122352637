// SPDX-License-Identifier: Apache-2.0

// Package httplog sends a record of each request or session to an HTTP server
// (https://docs.konghq.com/hub/kong-inc/http-log/).
//
// Records wait in a queue of the process, shared by instances with the same
// config, so that a reload loses none.
package httplog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logformat"
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
	LuaFields   map[string]string `json:"custom_fields_by_lua"`

	// Spellings from before Kong 3.3.
	QueueSize    *int     `json:"queue_size"`
	FlushTimeout *float64 `json:"flush_timeout"` // seconds
}

// logger is one instance.
type logger struct {
	format  *logformat.Formatter
	queue   *queue.Shared
	buffers sync.Pool
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	if len(conf.LuaFields) > 0 {
		return nil, errors.New("custom_fields_by_lua: this gateway runs no Lua; remove the field")
	}
	conf.adoptLegacy()
	key, err := conf.key()
	if err != nil {
		return nil, err
	}
	sender, err := newSender(conf, c.Host)
	if err != nil {
		return nil, err
	}
	l := &logger{format: logformat.New(c.Host.Now()), buffers: sync.Pool{New: func() any { return new([]byte) }}}
	l.queue = queue.Open(c.Host, name, key, func() *queue.Queue {
		return queue.New(conf.Queue, c.Host.Logger(name), sender.send)
	})
	return &plugin.Phases{Log: l.log, StreamLog: l.streamLog, Close: func() {
		l.queue.Close()
		sender.transport.CloseIdleConnections()
	}}, nil
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

// key stands for the config: instances with the same key share a queue.
func (c *config) key() (string, error) {
	data, err := schema.EncodeJSON(c)
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:]), err
}

func (l *logger) log(x plugin.Exchange) {
	l.add(func(dst []byte) []byte { return l.format.Append(dst, x) })
}

func (l *logger) streamLog(s plugin.Session) {
	l.add(func(dst []byte) []byte { return l.format.AppendSession(dst, s) })
}

// add queues the record that render appends.
func (l *logger) add(render func(dst []byte) []byte) {
	buffer := l.buffers.Get().(*[]byte)
	*buffer = render((*buffer)[:0])
	entry := append(make([]byte, 0, len(*buffer)), *buffer...)
	l.buffers.Put(buffer)
	l.queue.Add(entry)
}

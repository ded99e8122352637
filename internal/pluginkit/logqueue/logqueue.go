// SPDX-License-Identifier: Apache-2.0

// Package logqueue takes the records of a log plugin to a queue of the process,
// which instances with the same config share, so that a reload loses none.
package logqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logformat"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/queue"
)

// Logger renders records and queues them. It is safe for concurrent use.
type Logger struct {
	format  *logformat.Formatter
	queue   *queue.Shared
	buffers sync.Pool
}

const (
	// onceBatch is how many records a sink without a queue of its own is given at
	// a time, onceEntries and onceBytes how much waits for it.
	onceBatch   = 100
	onceEntries = 10000
	onceBytes   = 64 << 20
)

// Once is the queue of plugins that Kong gives none: what waits is sent at
// once, together, and what cannot be sent is lost.
func Once() queue.Config {
	return queue.Config{MaxBatchSize: onceBatch, MaxEntries: onceEntries, MaxBytes: onceBytes, MaxRetryTime: -1, ConcurrencyLimit: 1}
}

// Sink takes the batches of one queue, one after the other. Close is called
// once, after the last of them.
type Sink interface {
	Send(ctx context.Context, batch [][]byte) error
	Close()
}

// Open returns the logger of an instance. conf is its decoded config, by which
// queues are shared; open makes the sink of a queue. The error says that conf
// cannot be encoded.
func Open(host plugin.Host, name string, conf any, c queue.Config, open func() Sink) (*Logger, error) {
	data, err := schema.EncodeJSON(conf)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(data)
	l := &Logger{format: logformat.New(host.Now()), buffers: sync.Pool{New: func() any { return new([]byte) }}}
	l.queue = queue.Open(host, name, hex.EncodeToString(digest[:]), func() *queue.Queue {
		sink := open()
		q := queue.New(c, host.Logger(name), sink.Send)
		go func() {
			<-q.Done()
			sink.Close()
		}()
		return q
	})
	return l, nil
}

// Log queues the record of a request.
func (l *Logger) Log(x plugin.Exchange) { l.Add(nil, x) }

// Add is Log with a text in front of the record.
func (l *Logger) Add(front []byte, x plugin.Exchange) {
	l.put(func(dst []byte) []byte { return l.format.Append(append(dst, front...), x) })
}

// StreamLog queues the record of a session.
func (l *Logger) StreamLog(s plugin.Session) { l.AddSession(nil, s) }

// AddSession is StreamLog with a text in front of the record.
func (l *Logger) AddSession(front []byte, s plugin.Session) {
	l.put(func(dst []byte) []byte { return l.format.AppendSession(append(dst, front...), s) })
}

// Close lets go of the queue; what waits is sent.
func (l *Logger) Close() { l.queue.Close() }

// put queues what render appends.
func (l *Logger) put(render func(dst []byte) []byte) {
	buffer := l.buffers.Get().(*[]byte)
	*buffer = render((*buffer)[:0])
	entry := append(make([]byte, 0, len(*buffer)), *buffer...)
	l.buffers.Put(buffer)
	l.queue.Add(entry)
}

// SPDX-License-Identifier: Apache-2.0

// Package logqueue takes the records of a log plugin to a queue of the process,
// which instances with the same config share, so that a reload loses none.
package logqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"time"

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

// Decode fills the struct that conf points to from the completed config of a log
// plugin. It fails where the config asks for what no log plugin does here.
func Decode(c plugin.Config, conf any) error {
	if err := schema.Decode(c.Values, conf); err != nil {
		return err
	}
	var custom struct {
		Fields map[string]string `json:"custom_fields_by_lua"`
	}
	if err := schema.Decode(c.Values, &custom); err != nil {
		return err
	}
	if len(custom.Fields) > 0 {
		return errors.New("custom_fields_by_lua: this gateway runs no Lua; remove the field")
	}
	return nil
}

// Open returns the logger of an instance, which is closed by the Close of its
// phases. conf is its decoded config, by which queues are shared; open makes the
// sink of a queue. The error says that conf cannot be encoded.
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

// Phases are those of an instance whose records are sent as they are.
func (l *Logger) Phases() *plugin.Phases {
	return l.PhasesBehind(func(dst []byte, _ int, _ time.Time) ([]byte, bool) { return dst, true })
}

// A Front appends what precedes the record of a request that was answered with
// this status, or of a session, whose status is 0. logged is false for one that
// is not to be logged. It is called concurrently.
type Front func(dst []byte, status int, ended time.Time) (text []byte, logged bool)

// PhasesBehind are those of an instance with a text in front of each record.
func (l *Logger) PhasesBehind(front Front) *plugin.Phases {
	return &plugin.Phases{
		Log: func(x plugin.Exchange) {
			l.put(front, x.Response().Status, x.Marks().End, func(dst []byte) []byte { return l.format.Append(dst, x) })
		},
		StreamLog: func(s plugin.Session) {
			l.put(front, 0, s.Marks().End, func(dst []byte) []byte { return l.format.AppendSession(dst, s) })
		},
		Close: l.queue.Close, // what waits is sent
	}
}

// put queues a record, if front wants it.
func (l *Logger) put(front Front, status int, ended time.Time, record func(dst []byte) []byte) {
	buffer := l.buffers.Get().(*[]byte)
	defer l.buffers.Put(buffer)
	var logged bool
	if *buffer, logged = front((*buffer)[:0], status, ended); logged {
		*buffer = record(*buffer)
		l.queue.Add(append(make([]byte, 0, len(*buffer)), *buffer...))
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package filelog appends a record of each request or session to a file, a line
// each (https://docs.konghq.com/hub/kong-inc/file-log/).
//
// Records wait in a queue of the process, shared by instances with the same
// config, so that no request waits for a disk. What cannot be written is lost.
package filelog

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 9, Configure: configure}

const name = "file-log"

type config struct {
	Path   string `json:"path"`
	Reopen bool   `json:"reopen"`
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := logqueue.Decode(c, conf); err != nil {
		return nil, err
	}
	if err := c.Host.MayAppend(conf.Path); err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	l, err := logqueue.Open(c.Host, name, conf, logqueue.Once(), func() logqueue.Sink { return &file{path: conf.Path, reopen: conf.Reopen} })
	if err != nil {
		return nil, err
	}
	return l.Phases(), nil
}

// file is used by one goroutine at a time.
type file struct {
	path   string
	reopen bool
	out    io.WriteCloser // nil while it is not open
}

// mode is that of a file that is made.
const mode = 0o644

// Send implements logqueue.Sink.
func (f *file) Send(_ context.Context, batch [][]byte) error {
	if f.reopen {
		f.Close()
	}
	if f.out == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	var lines []byte
	for _, record := range batch {
		lines = append(append(lines, record...), '\n')
	}
	_, err := f.out.Write(lines)
	if err != nil {
		f.Close()
	}
	return err
}

func (f *file) open() (err error) {
	switch f.path {
	case "/dev/stdout":
		f.out = own{os.Stdout} // which a process without rights to its name may write to
	case "/dev/stderr":
		f.out = own{os.Stderr}
	default:
		// A pipe that nobody reads is an error, not a wait.
		var opened *os.File
		if opened, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, mode); err == nil {
			f.out = opened
		}
	}
	return err
}

// own is an output of the process, which stays open.
type own struct{ io.Writer }

// Close implements io.Closer.
func (own) Close() error { return nil }

// Close implements logqueue.Sink.
func (f *file) Close() {
	if f.out != nil {
		_ = f.out.Close()
		f.out = nil
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package syslog hands a record of each request or session to the machine's
// syslog daemon (https://docs.konghq.com/hub/kong-inc/syslog/), in the form that
// syslog(3) has for it.
//
// Records wait in a queue of the process, shared by instances with the same
// config. What cannot be sent is lost.
package syslog

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/severity"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 4, Configure: configure}

const (
	name = "syslog"
	// socket is where daemons listen.
	socket = "/dev/log"
)

type config struct {
	Facility  string            `json:"facility"`
	LuaFields map[string]string `json:"custom_fields_by_lua"`
	severity.Rules
}

// logger is one instance.
type logger struct {
	*logqueue.Logger
	conf *config
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	l := &logger{conf: &config{}}
	if err := schema.Decode(c.Values, l.conf); err != nil {
		return nil, err
	}
	if len(l.conf.LuaFields) > 0 {
		return nil, errors.New("custom_fields_by_lua: this gateway runs no Lua; remove the field")
	}
	var err error
	l.Logger, err = logqueue.Open(c.Host, name, l.conf, logqueue.Once(), func() logqueue.Sink { return logqueue.NewLocal(c.Host, socket) })
	if err != nil {
		return nil, err
	}
	return &plugin.Phases{Log: l.log, StreamLog: l.streamLog, Close: l.Close}, nil
}

// front is what precedes a record.
func front(dst []byte, priority int, at time.Time) []byte {
	dst = fmt.Appendf(dst, "<%d>", priority)
	dst = at.AppendFormat(dst, time.Stamp)
	return fmt.Appendf(dst, " kong[%d]: ", os.Getpid())
}

func (l *logger) log(x plugin.Exchange) {
	if priority, wanted := l.conf.Priority(l.conf.Facility, x.Response().Status); wanted {
		var room [64]byte
		l.Add(front(room[:0], priority, x.Marks().End), x)
	}
}

func (l *logger) streamLog(s plugin.Session) {
	if priority, wanted := l.conf.Priority(l.conf.Facility, 0); wanted {
		var room [64]byte
		l.AddSession(front(room[:0], priority, s.Marks().End), s)
	}
}

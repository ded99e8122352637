// SPDX-License-Identifier: Apache-2.0

// Package syslog hands a record of each request or session to the machine's
// syslog daemon (https://docs.konghq.com/hub/kong-inc/syslog/), in the form that
// syslog(3) has for it.
//
// Records wait in a queue of the process, shared by instances with the same
// config. What cannot be sent is lost.
package syslog

import (
	"fmt"
	"os"
	"time"

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
	Facility string `json:"facility"`
	severity.Rules
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := logqueue.Decode(c, conf); err != nil {
		return nil, err
	}
	l, err := logqueue.Open(c.Host, name, conf, logqueue.Once(), func() logqueue.Sink { return logqueue.NewLocal(c.Host, socket) })
	if err != nil {
		return nil, err
	}
	return l.PhasesBehind(conf.front), nil
}

// front is a logqueue.Front.
func (c *config) front(dst []byte, status int, ended time.Time) ([]byte, bool) {
	priority, wanted := c.Priority(c.Facility, status)
	if !wanted {
		return dst, false
	}
	dst = fmt.Appendf(dst, "<%d>", priority)
	dst = ended.AppendFormat(dst, time.Stamp)
	return fmt.Appendf(dst, " kong[%d]: ", os.Getpid()), true
}

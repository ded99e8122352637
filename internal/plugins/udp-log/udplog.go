// SPDX-License-Identifier: Apache-2.0

// Package udplog sends a record of each request or session to a UDP server, a
// datagram each (https://docs.konghq.com/hub/kong-inc/udp-log/).
//
// Records wait in a queue of the process, shared by instances with the same
// config. What cannot be sent is lost.
package udplog

import (
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 8, Configure: configure}

const name = "udp-log"

type config struct {
	Host    string  `json:"host"`
	Port    int     `json:"port"`
	Timeout float64 `json:"timeout"` // milliseconds
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := logqueue.Decode(c, conf); err != nil {
		return nil, err
	}
	l, err := logqueue.Open(c.Host, name, conf, logqueue.Once(), func() logqueue.Sink {
		return logqueue.NewUDP(c.Host, conf.Host, conf.Port, conf.Timeout)
	})
	if err != nil {
		return nil, err
	}
	return l.Phases(), nil
}

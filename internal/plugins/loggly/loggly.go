// SPDX-License-Identifier: Apache-2.0

// Package loggly sends a record of each request or session to Loggly, in syslog's
// format over UDP (https://docs.konghq.com/hub/kong-inc/loggly/).
//
// Records wait in a queue of the process, shared by instances with the same
// config. What cannot be sent is lost.
package loggly

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/severity"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 6, Configure: configure}

const name = "loggly"

type config struct {
	Host      string            `json:"host"`
	Port      int               `json:"port"`
	Key       string            `json:"key"`
	Tags      []string          `json:"tags"`
	Timeout   float64           `json:"timeout"` // milliseconds
	LuaFields map[string]string `json:"custom_fields_by_lua"`
	severity.Rules
}

// logger is one instance.
type logger struct {
	*logqueue.Logger
	rules severity.Rules
	// middle is what stands between the time of a message and its record.
	middle string
}

// enterprise is Loggly's number (https://www.iana.org/assignments/enterprise-numbers/).
const enterprise = 41058

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	if len(conf.LuaFields) > 0 {
		return nil, errors.New("custom_fields_by_lua: this gateway runs no Lua; remove the field")
	}
	l := &logger{rules: conf.Rules, middle: middle(conf)}
	var err error
	l.Logger, err = logqueue.Open(c.Host, name, conf, logqueue.Once(), func() logqueue.Sink {
		return logqueue.NewUDP(c.Host, conf.Host, conf.Port, conf.Timeout)
	})
	if err != nil {
		return nil, err
	}
	return &plugin.Phases{Log: l.log, StreamLog: l.streamLog, Close: l.Close}, nil
}

func middle(c *config) string {
	host, err := os.Hostname()
	if err != nil {
		host = "-"
	}
	tags := make([]string, 0, len(c.Tags))
	for _, tag := range c.Tags {
		tags = append(tags, `tag="`+escape.Replace(tag)+`"`)
	}
	return fmt.Sprintf("%s kong - - [%s@%d %s] ", host, c.Key, enterprise, strings.Join(tags, " "))
}

// escape makes a text the value of a parameter (RFC 5424, 6.3.3).
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// front is what precedes a record.
func (l *logger) front(dst []byte, priority int, at time.Time) []byte {
	dst = fmt.Appendf(dst, "<%d>1 ", priority)
	dst = at.UTC().AppendFormat(dst, "2006-01-02T15:04:05Z ")
	return append(dst, l.middle...)
}

func (l *logger) log(x plugin.Exchange) {
	if priority, wanted := l.rules.Priority(severity.User, x.Response().Status); wanted {
		var room [256]byte
		l.Add(l.front(room[:0], priority, x.Marks().End), x)
	}
}

func (l *logger) streamLog(s plugin.Session) {
	if priority, wanted := l.rules.Priority(severity.User, 0); wanted {
		var room [256]byte
		l.AddSession(l.front(room[:0], priority, s.Marks().End), s)
	}
}

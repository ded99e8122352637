// SPDX-License-Identifier: Apache-2.0

// Package loggly sends a record of each request or session to Loggly, in syslog's
// format over UDP (https://docs.konghq.com/hub/kong-inc/loggly/).
//
// Records wait in a queue of the process, shared by instances with the same
// config. What cannot be sent is lost.
package loggly

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/severity"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 6, Configure: configure}

const name = "loggly"

type config struct {
	Host    string   `json:"host"`
	Port    int      `json:"port"`
	Key     string   `json:"key"`
	Tags    []string `json:"tags"`
	Timeout float64  `json:"timeout"` // milliseconds
	severity.Rules
}

// messages are those of one instance.
type messages struct {
	rules severity.Rules
	// middle is what stands between the time of a message and its record.
	middle string
}

// enterprise is Loggly's number (https://www.iana.org/assignments/enterprise-numbers/).
const enterprise = 41058

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
	return l.PhasesBehind((&messages{rules: conf.Rules, middle: middle(conf)}).front), nil
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

// front is a logqueue.Front.
func (m *messages) front(dst []byte, status int, ended time.Time) ([]byte, bool) {
	priority, wanted := m.rules.Priority(severity.User, status)
	if !wanted {
		return dst, false
	}
	dst = fmt.Appendf(dst, "<%d>1 ", priority)
	dst = ended.UTC().AppendFormat(dst, "2006-01-02T15:04:05Z ")
	return append(dst, m.middle...), true
}

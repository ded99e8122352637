// SPDX-License-Identifier: Apache-2.0

// Package correlationid marks requests with an id
// (https://docs.konghq.com/hub/kong-inc/correlation-id/). Its counters belong
// to the process.
package correlationid

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logformat"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "correlation-id", Priority: 100001, Configure: configure}

var slot = plugin.NewSlot("correlation-id")

type config struct {
	HeaderName     string `json:"header_name"`
	Generator      string `json:"generator"`
	EchoDownstream bool   `json:"echo_downstream"`

	generate func(plugin.Exchange) string
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	counters := c.Host.State("correlation-id", "counters", func() any { return &counters{prefix: newUUID()} }).(*counters)
	switch conf.Generator {
	case "uuid":
		conf.generate = func(plugin.Exchange) string { return newUUID() }
	case "tracker":
		conf.generate = counters.track
	default:
		conf.generate = counters.next
	}
	phases := &plugin.Phases{Access: conf.access}
	if conf.EchoDownstream {
		phases.HeaderFilter = conf.headerFilter
	}
	return phases, nil
}

func (c *config) access(x plugin.Exchange) {
	id := c.idOf(x)
	if x.Header().Get(c.HeaderName) != id {
		x.Header().Set(c.HeaderName, id)
	}
	x.SetValue(slot, id)
	logformat.Set(x, "correlation_id", id)
}

// idOf returns the client's id, or a new one.
func (c *config) idOf(x plugin.Exchange) string {
	if given := x.Header().Get(c.HeaderName); given != "" {
		return x.Keep(given)
	}
	return c.generate(x)
}

func (c *config) headerFilter(x plugin.Exchange) {
	id, ok := x.Value(slot).(string)
	if !ok {
		id = c.idOf(x) // the access phase did not run
	}
	x.Response().Header.Set(c.HeaderName, id)
}

// counters number the requests of the process.
type counters struct {
	prefix  string
	counted atomic.Uint64
	tracked atomic.Uint64
}

// next returns an id in the form uuid#counter.
func (c *counters) next(plugin.Exchange) string {
	return c.prefix + "#" + strconv.FormatUint(c.counted.Add(1), 10)
}

// track returns an id in Kong's form address-port-process-connection-request-time,
// where the client's port stands for the connection.
func (c *counters) track(x plugin.Exchange) string {
	client, start := x.Client(), x.Marks().Start
	return fmt.Sprintf("%s-%d-%d-%d-%d-%d.%03d", client.Local.Addr().Unmap(), client.Local.Port(), os.Getpid(),
		client.Peer.Port(), c.tracked.Add(1), start.Unix(), start.Nanosecond()/1e6)
}

// newUUID returns a version 4 UUID (RFC 9562). Correlation ids are no secrets.
func newUUID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var out [36]byte
	hex.Encode(out[:], b[:4])
	hex.Encode(out[9:], b[4:6])
	hex.Encode(out[14:], b[6:8])
	hex.Encode(out[19:], b[8:10])
	hex.Encode(out[24:], b[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

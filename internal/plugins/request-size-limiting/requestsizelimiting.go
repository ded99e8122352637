// SPDX-License-Identifier: Apache-2.0

// Package requestsizelimiting refuses request bodies above a size
// (https://docs.konghq.com/hub/kong-inc/request-size-limiting/). It keeps no
// state.
package requestsizelimiting

import (
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "request-size-limiting", Priority: 951, Configure: configure}

type config struct {
	AllowedPayloadSize   int64  `json:"allowed_payload_size"`
	SizeUnit             string `json:"size_unit"`
	RequireContentLength bool   `json:"require_content_length"`
}

var units = map[string]int64{"bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20}

type limiter struct {
	limit         int64 // bytes
	requireLength bool
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	var conf config
	if err := schema.Decode(c.Values, &conf); err != nil {
		return nil, err
	}
	l := &limiter{limit: conf.AllowedPayloadSize * units[conf.SizeUnit], requireLength: conf.RequireContentLength}
	return &plugin.Phases{Access: l.access}, nil
}

func (l *limiter) access(x plugin.Exchange) {
	h := x.Header()
	size, err := strconv.ParseInt(strings.TrimSpace(h.Get("Content-Length")), 10, 64)
	chunked := strings.Contains(strings.ToLower(h.Get("Transfer-Encoding")), "chunked")
	switch {
	case err == nil:
	case l.requireLength && !chunked:
		x.Exit(plugin.Reply{Status: 411, Message: "A valid Content-Length header is required"})
		return
	default:
		body, complete := x.Body()
		if !complete {
			x.Upstream().BodyLimit = l.limit // nobody knows its size yet
			return
		}
		size = int64(len(body))
	}
	if size <= l.limit {
		return
	}
	status := 413
	if strings.EqualFold(h.Get("Expect"), "100-continue") {
		status = 417
	}
	x.Exit(plugin.Reply{Status: status, Message: "Request size limit exceeded"})
}

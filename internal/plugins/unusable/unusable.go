// SPDX-License-Identifier: Apache-2.0

// Package unusable answers requests, and closes sessions, that a plugin should have guarded which
// cannot be used: it does not exist, or its config is invalid. The control
// plane puts it where the plugin was meant to be. It runs before every other
// plugin, so that nothing is counted, cached or answered without the missing
// one. Kong has no such plugin; its controller leaves the route open.
package unusable

import (
	"math"
	"net/http"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "unusable", Priority: math.MaxInt, Configure: configure}

func configure(plugin.Config) (*plugin.Phases, error) {
	return &plugin.Phases{Access: access, Preread: plugin.Session.Abort}, nil
}

func access(x plugin.Exchange) {
	x.Exit(plugin.Reply{Status: http.StatusInternalServerError, Message: "An unexpected error occurred"})
}

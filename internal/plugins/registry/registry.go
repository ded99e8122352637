// SPDX-License-Identifier: Apache-2.0

// Package registry lists the plugins that the data plane can run. Only
// cmd/proxy imports it.
package registry

import (
	"github.com/kong/kong-istio-gateway/internal/plugin"
	httplog "github.com/kong/kong-istio-gateway/internal/plugins/http-log"
	iprestriction "github.com/kong/kong-istio-gateway/internal/plugins/ip-restriction"
	ratelimiting "github.com/kong/kong-istio-gateway/internal/plugins/rate-limiting"
	requesttermination "github.com/kong/kong-istio-gateway/internal/plugins/request-termination"
)

// All returns the registration of every plugin, by name.
func All() []plugin.Registration {
	return []plugin.Registration{
		httplog.Registration,
		iprestriction.Registration,
		ratelimiting.Registration,
		requesttermination.Registration,
	}
}

// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/kong/kong-istio-gateway/internal/dataplane/http1"

// addDebugHeaders names the route and the service of a request to a client that
// asks with Kong-Debug, where allow_debug_header lets it.
func (ex *exchange) addDebugHeaders(h *http1.Header) {
	if !ex.engine.settings.AllowDebugHeader || ex.route == nil || !ex.req.Header.HasID(http1.HeaderKongDebug) {
		return
	}
	add := func(name, value string) {
		if value != "" {
			h.Replace(name, http1.View(value))
		}
	}
	route := ex.route.Entity
	add("Kong-Route-Id", string(route.ID))
	add("Kong-Route-Name", route.Name)
	if service := ex.route.Service; service != nil {
		add("Kong-Service-Id", string(service.ID))
		add("Kong-Service-Name", service.Name)
	}
}

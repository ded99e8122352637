// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// refusedProtocol answers requests whose protocol the route does not take.
func (ex *exchange) refusedProtocol(plan *pipeline.Plan) bool {
	x := ex.x
	if ex.route.GRPC() {
		return ex.refusedGRPC(plan)
	}
	if !ex.route.HTTPSRequired() || x.ClientFacts.ForwardedScheme == "https" {
		return false
	}
	x.Collect(plan)
	status := ex.route.HTTPSRedirectStatus
	if status == 426 {
		ex.local.Add("Upgrade", http1.View("TLS/1.2, HTTP/1.1"))
		ex.answerError(426, "Please use HTTPS protocol")
		return true
	}
	location := ex.arena.Join(http1.View("https://"), http1.View(x.ClientFacts.ForwardedHost), requestURI(&ex.req))
	ex.local.AddID(http1.HeaderLocation, location)
	ex.answer(status, nil, plugin.SourceError)
	return true
}

// requestURI returns path and query as the client sent them.
func requestURI(r *http1.Request) []byte {
	if r.Form != http1.FormAbsolute {
		return r.Target
	}
	uri := append([]byte(nil), r.Path...)
	if r.HasQuery {
		uri = append(append(uri, '?'), r.Query...)
	}
	return uri
}

// SPDX-License-Identifier: Apache-2.0

// Package registry lists the plugins that the data plane can run. Only
// cmd/proxy imports it.
package registry

import (
	"github.com/kong/kong-istio-gateway/internal/plugin"
	acl "github.com/kong/kong-istio-gateway/internal/plugins/acl"
	basicauth "github.com/kong/kong-istio-gateway/internal/plugins/basic-auth"
	botdetection "github.com/kong/kong-istio-gateway/internal/plugins/bot-detection"
	correlationid "github.com/kong/kong-istio-gateway/internal/plugins/correlation-id"
	cors "github.com/kong/kong-istio-gateway/internal/plugins/cors"
	filelog "github.com/kong/kong-istio-gateway/internal/plugins/file-log"
	hmacauth "github.com/kong/kong-istio-gateway/internal/plugins/hmac-auth"
	httplog "github.com/kong/kong-istio-gateway/internal/plugins/http-log"
	iprestriction "github.com/kong/kong-istio-gateway/internal/plugins/ip-restriction"
	jwt "github.com/kong/kong-istio-gateway/internal/plugins/jwt"
	keyauth "github.com/kong/kong-istio-gateway/internal/plugins/key-auth"
	loggly "github.com/kong/kong-istio-gateway/internal/plugins/loggly"
	prometheus "github.com/kong/kong-istio-gateway/internal/plugins/prometheus"
	proxycache "github.com/kong/kong-istio-gateway/internal/plugins/proxy-cache"
	ratelimiting "github.com/kong/kong-istio-gateway/internal/plugins/rate-limiting"
	redirect "github.com/kong/kong-istio-gateway/internal/plugins/redirect"
	requestsizelimiting "github.com/kong/kong-istio-gateway/internal/plugins/request-size-limiting"
	requesttermination "github.com/kong/kong-istio-gateway/internal/plugins/request-termination"
	requesttransformer "github.com/kong/kong-istio-gateway/internal/plugins/request-transformer"
	responseratelimiting "github.com/kong/kong-istio-gateway/internal/plugins/response-ratelimiting"
	responsetransformer "github.com/kong/kong-istio-gateway/internal/plugins/response-transformer"
	syslog "github.com/kong/kong-istio-gateway/internal/plugins/syslog"
	tcplog "github.com/kong/kong-istio-gateway/internal/plugins/tcp-log"
	udplog "github.com/kong/kong-istio-gateway/internal/plugins/udp-log"
	"github.com/kong/kong-istio-gateway/internal/plugins/unusable"
)

// All returns the registration of every plugin, by name.
func All() []plugin.Registration {
	return []plugin.Registration{
		acl.Registration,
		basicauth.Registration,
		botdetection.Registration,
		correlationid.Registration,
		cors.Registration,
		filelog.Registration,
		hmacauth.Registration,
		httplog.Registration,
		iprestriction.Registration,
		jwt.Registration,
		keyauth.Registration,
		loggly.Registration,
		prometheus.Registration,
		proxycache.Registration,
		ratelimiting.Registration,
		redirect.Registration,
		requestsizelimiting.Registration,
		requesttermination.Registration,
		requesttransformer.Registration,
		responseratelimiting.Registration,
		responsetransformer.Registration,
		syslog.Registration,
		tcplog.Registration,
		udplog.Registration,
		unusable.Registration,
	}
}

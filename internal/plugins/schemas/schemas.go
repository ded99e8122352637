// SPDX-License-Identifier: Apache-2.0

// Package schemas lists the schemas of all plugins of the gateway. It is all
// that the manager knows of them.
package schemas

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	acl "github.com/kong/kong-istio-gateway/internal/plugins/acl/schema"
	basicauth "github.com/kong/kong-istio-gateway/internal/plugins/basic-auth/schema"
	botdetection "github.com/kong/kong-istio-gateway/internal/plugins/bot-detection/schema"
	correlationid "github.com/kong/kong-istio-gateway/internal/plugins/correlation-id/schema"
	cors "github.com/kong/kong-istio-gateway/internal/plugins/cors/schema"
	filelog "github.com/kong/kong-istio-gateway/internal/plugins/file-log/schema"
	hmacauth "github.com/kong/kong-istio-gateway/internal/plugins/hmac-auth/schema"
	httplog "github.com/kong/kong-istio-gateway/internal/plugins/http-log/schema"
	iprestriction "github.com/kong/kong-istio-gateway/internal/plugins/ip-restriction/schema"
	jwt "github.com/kong/kong-istio-gateway/internal/plugins/jwt/schema"
	keyauth "github.com/kong/kong-istio-gateway/internal/plugins/key-auth/schema"
	loggly "github.com/kong/kong-istio-gateway/internal/plugins/loggly/schema"
	prometheus "github.com/kong/kong-istio-gateway/internal/plugins/prometheus/schema"
	proxycache "github.com/kong/kong-istio-gateway/internal/plugins/proxy-cache/schema"
	ratelimiting "github.com/kong/kong-istio-gateway/internal/plugins/rate-limiting/schema"
	redirect "github.com/kong/kong-istio-gateway/internal/plugins/redirect/schema"
	requestsizelimiting "github.com/kong/kong-istio-gateway/internal/plugins/request-size-limiting/schema"
	requesttermination "github.com/kong/kong-istio-gateway/internal/plugins/request-termination/schema"
	requesttransformer "github.com/kong/kong-istio-gateway/internal/plugins/request-transformer/schema"
	responseratelimiting "github.com/kong/kong-istio-gateway/internal/plugins/response-ratelimiting/schema"
	responsetransformer "github.com/kong/kong-istio-gateway/internal/plugins/response-transformer/schema"
	syslog "github.com/kong/kong-istio-gateway/internal/plugins/syslog/schema"
	tcplog "github.com/kong/kong-istio-gateway/internal/plugins/tcp-log/schema"
	udplog "github.com/kong/kong-istio-gateway/internal/plugins/udp-log/schema"
	unusable "github.com/kong/kong-istio-gateway/internal/plugins/unusable/schema"
)

var all = func() entity.SchemaSet {
	s, err := entity.NewSchemaSet(
		acl.Plugin,
		basicauth.Plugin,
		botdetection.Plugin,
		correlationid.Plugin,
		cors.Plugin,
		filelog.Plugin,
		hmacauth.Plugin,
		httplog.Plugin,
		iprestriction.Plugin,
		jwt.Plugin,
		keyauth.Plugin,
		loggly.Plugin,
		prometheus.Plugin,
		proxycache.Plugin,
		ratelimiting.Plugin,
		redirect.Plugin,
		requestsizelimiting.Plugin,
		requesttermination.Plugin,
		requesttransformer.Plugin,
		responseratelimiting.Plugin,
		responsetransformer.Plugin,
		syslog.Plugin,
		tcplog.Plugin,
		udplog.Plugin,
		unusable.Plugin,
	)
	if err != nil {
		panic(err) //nolint:forbidigo // two schemas of this list collide: a programming error
	}
	return s
}()

// All returns the schemas of all plugins.
func All() entity.SchemaSet { return all }

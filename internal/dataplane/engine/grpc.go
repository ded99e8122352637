// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// contentTypeGRPC starts the content type of every gRPC request.
const contentTypeGRPC = "application/grpc"

// overTLS reports whether a service's scheme is one over TLS.
func overTLS(scheme string) bool { return scheme == "https" || scheme == upstream.ProtoGRPCS }

// overHTTP2 reports whether a service's scheme is one over HTTP/2.
func overHTTP2(scheme string) bool {
	return scheme == upstream.ProtoGRPC || scheme == upstream.ProtoGRPCS
}

// knownScheme reports whether a service can have the scheme.
func knownScheme(scheme string) bool {
	return scheme == "http" || scheme == "https" || overHTTP2(scheme)
}

// typedGRPC reports whether the request says that it is gRPC.
func (ex *exchange) typedGRPC() bool {
	contentType, _ := ex.req.Header.GetID(http1.HeaderContentType)
	return strings.HasPrefix(view(contentType), contentTypeGRPC)
}

// isGRPC reports whether the client understands answers in gRPC.
func (ex *exchange) isGRPC() bool { return ex.http2 && ex.typedGRPC() }

// refusedGRPC answers requests that matched a route for gRPC and are not what it
// takes.
func (ex *exchange) refusedGRPC(plan *pipeline.Plan) bool {
	secure := !ex.route.HTTPSRequired() || ex.x.ClientFacts.ForwardedScheme == "https"
	if ex.isGRPC() && secure {
		return false
	}
	ex.x.Collect(plan)
	switch {
	case !ex.typedGRPC():
		ex.answerError(415, "Non-gRPC request matched gRPC route")
	case !ex.http2:
		ex.local.Add("Upgrade", http1.View("HTTP/2"))
		ex.answerError(426, "Please use HTTP2 protocol")
	default:
		ex.local.SetID(http1.HeaderContentType, http1.View(contentTypeGRPC))
		ex.local.SetID(http1.HeaderGrpcStatus, http1.View("1"))
		ex.local.SetID(http1.HeaderGrpcMessage, http1.View("gRPC request matched gRPCs route"))
		ex.answer(200, nil, plugin.SourceError)
	}
	return true
}

// cancelled reports whether the upstream cancelled a gRPC call: that is how a
// server ends one whose deadline has passed, and for the client to understand.
func (ex *exchange) cancelled() bool {
	return ex.isGRPC() && ex.up == &ex.overHTTP2 && ex.overHTTP2.cancelled
}

// passCancel ends a call that the upstream cancelled before it answered.
func (ex *exchange) passCancel() {
	ex.abandon()
	ex.x.Answer.Status = 502
}

// answerGRPC answers a gRPC request with an error: without a body, the status
// and the message in headers.
func (ex *exchange) answerGRPC(status int, message string, source plugin.Source) {
	ex.local.SetID(http1.HeaderContentType, http1.View(errorpage.GRPC.ContentType()))
	ex.local.SetID(http1.HeaderGrpcStatus, ex.decimal(int64(errorpage.GRPCStatus(status))))
	ex.local.SetID(http1.HeaderGrpcMessage, ex.arena.Copy(appendGRPCMessage(ex.whole[:0], message)))
	ex.answer(status, nil, source)
}

// appendGRPCMessage appends a message percent-encoded, as the gRPC protocol asks:
// anything but visible ASCII and blanks, and the percent sign.
func appendGRPCMessage(dst []byte, message string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(message) {
		if c := message[i]; c < ' ' || c > '~' || c == '%' {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

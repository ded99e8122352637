// SPDX-License-Identifier: Apache-2.0

package http1

// HeaderID names a well-known field without its spelling. HeaderOther stands for every name that is not listed.
type HeaderID uint8

// The well-known names. Those up to lastNoted steer the parser.
const (
	HeaderOther HeaderID = iota
	HeaderHost
	HeaderContentLength
	HeaderTransferEncoding
	HeaderConnection
	HeaderUpgrade
	HeaderTE
	HeaderExpect
	HeaderKeepAlive
	HeaderProxyConnection
	HeaderProxy
	HeaderHTTP2Settings
	HeaderTrailer
	HeaderXForwardedClientCert

	HeaderContentType
	HeaderContentEncoding
	HeaderContentLanguage
	HeaderContentRange
	HeaderContentDisposition
	HeaderAccept
	HeaderAcceptCharset
	HeaderAcceptEncoding
	HeaderAcceptLanguage
	HeaderAcceptRanges
	HeaderAccessControlAllowCredentials
	HeaderAccessControlAllowHeaders
	HeaderAccessControlAllowMethods
	HeaderAccessControlAllowOrigin
	HeaderAccessControlExposeHeaders
	HeaderAccessControlMaxAge
	HeaderAccessControlRequestHeaders
	HeaderAccessControlRequestMethod
	HeaderAccessControlRequestPrivateNetwork
	HeaderAge
	HeaderAllow
	HeaderAltSvc
	HeaderAuthorization
	HeaderCacheControl
	HeaderCookie
	HeaderDate
	HeaderETag
	HeaderExpires
	HeaderForwarded
	HeaderIfMatch
	HeaderIfModifiedSince
	HeaderIfNoneMatch
	HeaderIfUnmodifiedSince
	HeaderLastModified
	HeaderLink
	HeaderLocation
	HeaderMaxForwards
	HeaderOrigin
	HeaderPragma
	HeaderPriority
	HeaderProxyAuthenticate
	HeaderProxyAuthorization
	HeaderRange
	HeaderReferer
	HeaderRefresh
	HeaderRetryAfter
	HeaderSecWebSocketAccept
	HeaderSecWebSocketExtensions
	HeaderSecWebSocketKey
	HeaderSecWebSocketProtocol
	HeaderSecWebSocketVersion
	HeaderServer
	HeaderSetCookie
	HeaderStrictTransportSecurity
	HeaderUserAgent
	HeaderVary
	HeaderVia
	HeaderWWWAuthenticate
	HeaderXAccelBuffering
	HeaderXAccelCharset
	HeaderXAccelExpires
	HeaderXAccelLimitRate
	HeaderXAccelRedirect
	HeaderXForwardedFor
	HeaderXForwardedHost
	HeaderXForwardedPath
	HeaderXForwardedPort
	HeaderXForwardedPrefix
	HeaderXForwardedProto
	HeaderXRealIP
	HeaderXRequestID
	HeaderTraceparent
	HeaderTracestate
	HeaderB3
	HeaderApikey
	HeaderKongDebug
	HeaderXKongRequestId
	HeaderXKongUpstreamLatency
	HeaderXKongProxyLatency
	HeaderXKongResponseLatency
	HeaderXKongUpstreamStatus
	HeaderXConsumerID
	HeaderXConsumerUsername
	HeaderXConsumerCustomID
	HeaderXConsumerGroups
	HeaderXCredentialIdentifier
	HeaderXAnonymousConsumer
	HeaderXAuthenticatedUserid
	HeaderRateLimitLimit
	HeaderRateLimitRemaining
	HeaderRateLimitReset
	HeaderXRateLimitLimitMinute
	HeaderXRateLimitRemainingMinute
	HeaderGrpcStatus
	HeaderGrpcMessage
	HeaderGrpcTimeout
	headerCount

	lastNoted = HeaderXForwardedClientCert
)

// canonicalNames holds the spelling used for fields that are added by id.
var canonicalNames = [headerCount]string{
	HeaderHost:                               "Host",
	HeaderContentLength:                      "Content-Length",
	HeaderTransferEncoding:                   "Transfer-Encoding",
	HeaderConnection:                         "Connection",
	HeaderUpgrade:                            "Upgrade",
	HeaderTE:                                 "TE",
	HeaderExpect:                             "Expect",
	HeaderKeepAlive:                          "Keep-Alive",
	HeaderProxyConnection:                    "Proxy-Connection",
	HeaderProxy:                              "Proxy",
	HeaderHTTP2Settings:                      "HTTP2-Settings",
	HeaderTrailer:                            "Trailer",
	HeaderXForwardedClientCert:               "X-Forwarded-Client-Cert",
	HeaderContentType:                        "Content-Type",
	HeaderContentEncoding:                    "Content-Encoding",
	HeaderContentLanguage:                    "Content-Language",
	HeaderContentRange:                       "Content-Range",
	HeaderContentDisposition:                 "Content-Disposition",
	HeaderAccept:                             "Accept",
	HeaderAcceptCharset:                      "Accept-Charset",
	HeaderAcceptEncoding:                     "Accept-Encoding",
	HeaderAcceptLanguage:                     "Accept-Language",
	HeaderAcceptRanges:                       "Accept-Ranges",
	HeaderAccessControlAllowCredentials:      "Access-Control-Allow-Credentials",
	HeaderAccessControlAllowHeaders:          "Access-Control-Allow-Headers",
	HeaderAccessControlAllowMethods:          "Access-Control-Allow-Methods",
	HeaderAccessControlAllowOrigin:           "Access-Control-Allow-Origin",
	HeaderAccessControlExposeHeaders:         "Access-Control-Expose-Headers",
	HeaderAccessControlMaxAge:                "Access-Control-Max-Age",
	HeaderAccessControlRequestHeaders:        "Access-Control-Request-Headers",
	HeaderAccessControlRequestMethod:         "Access-Control-Request-Method",
	HeaderAccessControlRequestPrivateNetwork: "Access-Control-Request-Private-Network",
	HeaderAge:                                "Age",
	HeaderAllow:                              "Allow",
	HeaderAltSvc:                             "Alt-Svc",
	HeaderAuthorization:                      "Authorization",
	HeaderCacheControl:                       "Cache-Control",
	HeaderCookie:                             "Cookie",
	HeaderDate:                               "Date",
	HeaderETag:                               "ETag",
	HeaderExpires:                            "Expires",
	HeaderForwarded:                          "Forwarded",
	HeaderIfMatch:                            "If-Match",
	HeaderIfModifiedSince:                    "If-Modified-Since",
	HeaderIfNoneMatch:                        "If-None-Match",
	HeaderIfUnmodifiedSince:                  "If-Unmodified-Since",
	HeaderLastModified:                       "Last-Modified",
	HeaderLink:                               "Link",
	HeaderLocation:                           "Location",
	HeaderMaxForwards:                        "Max-Forwards",
	HeaderOrigin:                             "Origin",
	HeaderPragma:                             "Pragma",
	HeaderPriority:                           "Priority",
	HeaderProxyAuthenticate:                  "Proxy-Authenticate",
	HeaderProxyAuthorization:                 "Proxy-Authorization",
	HeaderRange:                              "Range",
	HeaderReferer:                            "Referer",
	HeaderRefresh:                            "Refresh",
	HeaderRetryAfter:                         "Retry-After",
	HeaderSecWebSocketAccept:                 "Sec-WebSocket-Accept",
	HeaderSecWebSocketExtensions:             "Sec-WebSocket-Extensions",
	HeaderSecWebSocketKey:                    "Sec-WebSocket-Key",
	HeaderSecWebSocketProtocol:               "Sec-WebSocket-Protocol",
	HeaderSecWebSocketVersion:                "Sec-WebSocket-Version",
	HeaderServer:                             "Server",
	HeaderSetCookie:                          "Set-Cookie",
	HeaderStrictTransportSecurity:            "Strict-Transport-Security",
	HeaderUserAgent:                          "User-Agent",
	HeaderVary:                               "Vary",
	HeaderVia:                                "Via",
	HeaderWWWAuthenticate:                    "WWW-Authenticate",
	HeaderXAccelBuffering:                    "X-Accel-Buffering",
	HeaderXAccelCharset:                      "X-Accel-Charset",
	HeaderXAccelExpires:                      "X-Accel-Expires",
	HeaderXAccelLimitRate:                    "X-Accel-Limit-Rate",
	HeaderXAccelRedirect:                     "X-Accel-Redirect",
	HeaderXForwardedFor:                      "X-Forwarded-For",
	HeaderXForwardedHost:                     "X-Forwarded-Host",
	HeaderXForwardedPath:                     "X-Forwarded-Path",
	HeaderXForwardedPort:                     "X-Forwarded-Port",
	HeaderXForwardedPrefix:                   "X-Forwarded-Prefix",
	HeaderXForwardedProto:                    "X-Forwarded-Proto",
	HeaderXRealIP:                            "X-Real-IP",
	HeaderXRequestID:                         "X-Request-ID",
	HeaderTraceparent:                        "Traceparent",
	HeaderTracestate:                         "Tracestate",
	HeaderB3:                                 "B3",
	HeaderApikey:                             "Apikey",
	HeaderKongDebug:                          "Kong-Debug",
	HeaderXKongRequestId:                     "X-Kong-Request-Id",
	HeaderXKongUpstreamLatency:               "X-Kong-Upstream-Latency",
	HeaderXKongProxyLatency:                  "X-Kong-Proxy-Latency",
	HeaderXKongResponseLatency:               "X-Kong-Response-Latency",
	HeaderXKongUpstreamStatus:                "X-Kong-Upstream-Status",
	HeaderXConsumerID:                        "X-Consumer-ID",
	HeaderXConsumerUsername:                  "X-Consumer-Username",
	HeaderXConsumerCustomID:                  "X-Consumer-Custom-ID",
	HeaderXConsumerGroups:                    "X-Consumer-Groups",
	HeaderXCredentialIdentifier:              "X-Credential-Identifier",
	HeaderXAnonymousConsumer:                 "X-Anonymous-Consumer",
	HeaderXAuthenticatedUserid:               "X-Authenticated-Userid",
	HeaderRateLimitLimit:                     "RateLimit-Limit",
	HeaderRateLimitRemaining:                 "RateLimit-Remaining",
	HeaderRateLimitReset:                     "RateLimit-Reset",
	HeaderXRateLimitLimitMinute:              "X-RateLimit-Limit-Minute",
	HeaderXRateLimitRemainingMinute:          "X-RateLimit-Remaining-Minute",
	HeaderGrpcStatus:                         "Grpc-Status",
	HeaderGrpcMessage:                        "Grpc-Message",
	HeaderGrpcTimeout:                        "Grpc-Timeout",
}

// Name returns the usual spelling of a well-known name, "" for HeaderOther.
func (id HeaderID) Name() string { return canonicalNames[id] }

// nameSlots is the size of the lookup table, a power of two.
const nameSlots = 1024

// slot hashes a non-empty name without case. The factors make it free of collisions among the well-known names.
func slot[T ~[]byte | ~string](n T) uint32 {
	l := len(n)
	h := uint32(n[0]|0x20)*36101 + uint32(n[l-1]|0x20)*47589 + uint32(n[l>>1]|0x20)*42017 + uint32(n[l*3>>2]|0x20)*15393 + uint32(l)*17225
	return h >> 6 % nameSlots
}

var nameTable, lowerNames = buildNames()

func buildNames() (table [nameSlots]HeaderID, names [headerCount]string) {
	for id := HeaderOther + 1; id < headerCount; id++ {
		b := []byte(canonicalNames[id])
		for i := range b {
			b[i] = lower[b[i]]
		}
		names[id] = string(b)
		table[slot(b)] = id
	}
	return table, names
}

// LookupID returns the id of a field name, in any case; HeaderOther if it is not a well-known one.
func LookupID[T ~[]byte | ~string](name T) HeaderID {
	if len(name) == 0 {
		return HeaderOther
	}
	id := nameTable[slot(name)]
	known := lowerNames[id]
	if len(known) != len(name) {
		return HeaderOther
	}
	// Mostly a name is spelled in one of two ways.
	if string(name) == canonicalNames[id] || string(name) == known {
		return id
	}
	for i := range len(name) {
		if lower[name[i]] != known[i] {
			return HeaderOther
		}
	}
	return id
}

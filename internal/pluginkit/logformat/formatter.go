// SPDX-License-Identifier: Apache-2.0

// Package logformat renders an exchange as Kong's log record: the object that
// http-log, file-log, tcp-log and their like send
// (https://docs.konghq.com/hub/kong-inc/http-log/#log-format).
package logformat

import (
	"strconv"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Kong without a database keeps everything in one workspace with a fixed id.
const (
	workspaceID   = "0dc6f45b-8f8d-40d2-a504-473544ee190b"
	workspaceName = "default"
)

// Formatter renders records. It remembers the rendered form of routes,
// services and consumers. It is safe for concurrent use.
type Formatter struct {
	loaded int64 // stands for the creation time of entities that have none
	mu     sync.RWMutex
	known  map[any][]byte
}

// New returns a Formatter. now is the time of the configuration's load.
func New(now time.Time) *Formatter {
	return &Formatter{loaded: now.Unix(), known: map[any][]byte{}}
}

// Append appends the record of x, one JSON object without a newline. It is
// called from the log phase and keeps nothing of the exchange.
func (f *Formatter) Append(dst []byte, x plugin.Exchange) []byte {
	start := len(dst)
	dst = f.append(dst, x)
	if changes := changesOf(x); len(changes) > 0 {
		return append(dst[:start], apply(dst[start:], changes)...)
	}
	return dst
}

func (f *Formatter) append(dst []byte, x plugin.Exchange) []byte {
	marks, client := x.Marks(), x.Client()
	dst = append(dst, `{"request":`...)
	dst = appendRequest(dst, x)
	dst = append(dst, `,"upstream_uri":`...)
	dst = appendUpstreamURI(dst, x)
	dst = append(dst, `,"upstream_status":`...)
	dst = appendUpstreamStatus(dst, x)
	dst = append(dst, `,"response":`...)
	dst = appendResponse(dst, x.Response())
	dst = append(dst, `,"latencies":`...)
	dst = appendLatencies(dst, x)
	dst = append(dst, `,"tries":`...)
	dst = appendTries(dst, x.Tries(), func(i int) int { return code(x, i) })
	dst = f.appendEntities(dst, x)
	dst = append(dst, `,"client_ip":"`...)
	dst = client.IP.Unmap().AppendTo(dst)
	dst = append(dst, `","started_at":`...)
	dst = strconv.AppendInt(dst, marks.Start.UnixMilli(), 10)
	source := "kong"
	if x.Response().Source == plugin.SourceUpstream {
		source = "upstream"
	}
	dst = append(dst, `,"source":"`...)
	dst = append(dst, source...)
	return append(dst, `","workspace":"`+workspaceID+`","workspace_name":"`+workspaceName+`"}`...)
}

func appendRequest(dst []byte, x plugin.Exchange) []byte {
	r, client := x.Request(), x.Client()
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, x.ID())
	dst = append(dst, `,"method":`...)
	dst = appendString(dst, r.Method)
	dst = append(dst, `,"uri":`...)
	uri := len(dst)
	dst = appendString(dst, requestURI(r))
	rendered := dst[uri+1 : len(dst)-1]
	dst = append(dst, `,"url":"`...)
	dst = append(dst, r.Scheme...)
	dst = append(dst, "://"...)
	host := len(dst)
	dst = appendString(dst, r.Host)
	dst = append(dst[:host], dst[host+1:len(dst)-1]...)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(client.Local.Port()), 10)
	dst = append(dst, rendered...)
	dst = append(dst, `","querystring":`...)
	dst = appendQuery(dst, r.Query)
	dst = append(dst, `,"headers":`...)
	dst = appendHeaders(dst, x.Header(), true)
	dst = append(dst, `,"size":`...)
	dst = strconv.AppendInt(dst, r.Size, 10)
	if client.TLS != nil {
		dst = append(dst, `,"tls":`...)
		dst = appendTLS(dst, client.TLS)
	}
	return append(dst, '}')
}

// requestURI returns path and query as received, without scheme and authority
// of the absolute form.
func requestURI(r *plugin.Request) string {
	if len(r.Target) > 0 && r.Target[0] == '/' {
		return r.Target
	}
	if r.HasQuery {
		return r.Path + "?" + r.Query
	}
	return r.Path
}

func appendUpstreamURI(dst []byte, x plugin.Exchange) []byte {
	u := x.Upstream()
	if u.Query == "" && !u.HasQuery {
		return appendString(dst, u.Path)
	}
	return appendString(dst, u.Path+"?"+u.Query)
}

func appendResponse(dst []byte, r *plugin.Response) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, `,"size":`...)
	dst = strconv.AppendInt(dst, r.Size, 10)
	dst = append(dst, `,"headers":`...)
	if r.Header == nil {
		dst = append(dst, "{}"...)
	} else {
		dst = appendHeaders(dst, r.Header, false)
	}
	return append(dst, '}')
}

// appendLatencies renders milliseconds: kong is what the gateway itself took,
// proxy the wait for the upstream's answer (-1 without one), receive the time
// that its body took, request all of it.
func appendLatencies(dst []byte, x plugin.Exchange) []byte {
	m := x.Marks()
	sent, first := m.AccessDone, m.FirstByte
	if first.IsZero() {
		first = m.End
	}
	proxy, receive := int64(-1), int64(0)
	kong := m.End.Sub(m.Start)
	if len(x.Tries()) > 0 && !sent.IsZero() {
		proxy, receive = millis(first.Sub(sent)), millis(m.End.Sub(first))
		kong = sent.Sub(m.Start) + m.End.Sub(first)
	}
	dst = append(dst, `{"kong":`...)
	dst = strconv.AppendInt(dst, millis(kong), 10)
	dst = append(dst, `,"proxy":`...)
	dst = strconv.AppendInt(dst, proxy, 10)
	dst = append(dst, `,"request":`...)
	dst = strconv.AppendInt(dst, millis(m.End.Sub(m.Start)), 10)
	dst = append(dst, `,"receive":`...)
	dst = strconv.AppendInt(dst, receive, 10)
	return append(dst, '}')
}

func millis(d time.Duration) int64 { return max(d.Milliseconds(), 0) }

// code returns the status of a try as Kong logs it: that of the upstream, or
// the gateway's own where it got none.
func code(x plugin.Exchange, i int) int {
	tries, r := x.Tries(), x.Response()
	switch {
	case tries[i].Status != 0:
		return tries[i].Status
	case i == len(tries)-1 && r.Source == plugin.SourceError:
		return r.Status
	default:
		return 502
	}
}

func appendUpstreamStatus(dst []byte, x plugin.Exchange) []byte {
	dst = append(dst, '"')
	for i := range x.Tries() {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = strconv.AppendInt(dst, int64(code(x, i)), 10)
	}
	return append(dst, '"')
}

func appendTries(dst []byte, tries []plugin.Try, code func(i int) int) []byte {
	dst = append(dst, '[')
	for i, t := range tries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"balancer_start":`...)
		dst = strconv.AppendInt(dst, t.Started.UnixMilli(), 10)
		dst = append(dst, `,"balancer_start_ns":`...)
		dst = strconv.AppendInt(dst, t.Started.UnixNano(), 10)
		dst = append(dst, `,"balancer_latency":`...)
		dst = strconv.AppendInt(dst, millis(t.Latency), 10)
		dst = append(dst, `,"balancer_latency_ns":`...)
		dst = strconv.AppendInt(dst, max(t.Latency.Nanoseconds(), 0), 10)
		dst = append(dst, `,"ip":"`...)
		dst = t.Address.Addr().Unmap().AppendTo(dst)
		dst = append(dst, `","port":`...)
		dst = strconv.AppendUint(dst, uint64(t.Address.Port()), 10)
		if t.Failure != "" {
			dst = append(dst, `,"state":`...)
			dst = appendString(dst, t.Failure)
			dst = append(dst, `,"code":`...)
			dst = strconv.AppendInt(dst, int64(code(i)), 10)
		}
		if t.Reused {
			dst = append(dst, `,"keepalive":true`...)
		}
		if t.TargetID != "" {
			dst = append(dst, `,"target_id":`...)
			dst = appendString(dst, string(t.TargetID))
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// SPDX-License-Identifier: Apache-2.0

package logformat

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// AppendSession appends the record of a session, one JSON object without a
// newline: what Kong's stream subsystem logs. It is called from the log phase
// and keeps nothing of the session.
func (f *Formatter) AppendSession(dst []byte, s plugin.Session) []byte {
	start := len(dst)
	dst = f.appendSession(dst, s)
	if changes := changesOf(s); len(changes) > 0 {
		return append(dst[:start], apply(dst[start:], changes)...)
	}
	return dst
}

func (f *Formatter) appendSession(dst []byte, s plugin.Session) []byte {
	client, marks := s.Client(), s.Marks()
	dst = append(dst, `{"session":{`...)
	if client.TLS != nil {
		dst = appendTLS(append(dst, `"tls":`...), client.TLS)
		dst = append(dst, ',')
	}
	dst = appendCount(append(dst, `"received":`...), s.Received())
	dst = appendCount(append(dst, `,"sent":`...), s.Sent())
	dst = appendCount(append(dst, `,"status":`...), int64(s.Status()))
	dst = appendCount(append(dst, `,"server_port":`...), int64(cmp.Or(client.ForwardedPort, client.Local.Port())))
	dst = appendCount(append(dst, `},"upstream":{"received":`...), s.UpstreamReceived())
	dst = appendCount(append(dst, `,"sent":`...), s.UpstreamSent())
	dst = appendCount(append(dst, `},"latencies":{"kong":`...), sessionLatency(s))
	dst = appendCount(append(dst, `,"session":`...), millis(marks.End.Sub(marks.Start)))
	tries := s.Tries()
	dst = appendTries(append(dst, `},"tries":`...), tries, func(i int) int { return cmp.Or(tries[i].Status, http.StatusBadGateway) })
	dst = f.appendRoute(dst, s.Route(), s.Service())
	dst = append(dst, `,"client_ip":"`...)
	dst = client.IP.Unmap().AppendTo(dst)
	dst = appendCount(append(dst, `","started_at":`...), marks.Start.UnixMilli())
	return append(dst, `,"workspace":"`+workspaceID+`","workspace_name":"`+workspaceName+`"}`...)
}

func appendCount(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// sessionLatency is what the gateway took in milliseconds: until a peer was
// chosen for the last attempt, or all of it without one.
func sessionLatency(s plugin.Session) int64 {
	marks, tries := s.Marks(), s.Tries()
	if len(tries) == 0 {
		return millis(marks.End.Sub(marks.Start))
	}
	last := tries[len(tries)-1]
	return millis(last.Started.Add(last.Latency).Sub(marks.Start))
}

// SPDX-License-Identifier: Apache-2.0

// Package probe asks addresses of upstreams how they are, for active health
// checks.
package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
)

// New returns a probe that connects through dialer. Each question has a
// connection of its own, as Kong's checks do.
func New(dialer upstream.Dialer) balancer.Probe {
	return func(ctx context.Context, q *balancer.Question) (int, error) {
		if q.Type == "tcp" {
			c, err := dialer.DialContext(ctx, "tcp", q.Addr.String())
			if err != nil {
				return 0, err
			}
			return 0, c.Close()
		}
		return ask(ctx, dialer, q)
	}
}

// ask sends a request and returns the status of the answer; its body is not
// looked at.
func ask(ctx context.Context, dialer upstream.Dialer, q *balancer.Question) (int, error) {
	target, err := url.Parse(q.Type + "://" + q.Addr.String() + q.Path)
	if err != nil {
		return 0, err
	}
	request := (&http.Request{Method: http.MethodGet, URL: target, Host: q.Host, Header: http.Header{}}).WithContext(ctx)
	request.Header.Set("User-Agent", "") // Kong sends none, unless it is among the headers
	for name, values := range q.Headers {
		request.Header.Del(name)
		for _, v := range values {
			request.Header.Add(name, v)
		}
	}
	secure := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: q.ServerName, InsecureSkipVerify: !q.Verify, //nolint:gosec // https_verify_certificate
	}
	if q.Certificate != nil {
		secure.Certificates = []tls.Certificate{*q.Certificate}
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, q.Addr.String())
		},
		TLSClientConfig:   secure,
		DisableKeepAlives: true, DisableCompression: true,
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

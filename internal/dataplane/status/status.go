// SPDX-License-Identifier: Apache-2.0

// Package status serves the gateway's Status API: liveness, readiness and
// metrics (https://docs.konghq.com/gateway/latest/production/monitoring/healthcheck-probes/).
package status

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server answers the Status API. Its methods are safe for concurrent use.
type Server struct {
	facts    Facts
	draining atomic.Bool
	http     http.Server
}

// Facts are what the Status API reports.
type Facts struct {
	// Ready returns an error that says why the gateway cannot serve yet.
	Ready func() error
	// Describe returns the body of /status, with amounts of memory as bytes
	// formats them.
	Describe func(bytes Bytes) any
	// Metrics are exposed under /metrics.
	Metrics prometheus.Gatherer
}

const headTimeout = 10 * time.Second

// New returns a server that is not listening yet.
func New(facts Facts) *Server {
	s := &Server{facts: facts}
	s.http = http.Server{Handler: s.handler(), ReadHeaderTimeout: headTimeout}
	return s
}

// handler answers as Kong does what there is not.
func (s *Server) handler() http.Handler {
	paths := map[string]http.HandlerFunc{"/status": s.status, "/status/ready": s.ready, "/metrics": metrics(s.facts.Metrics)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := paths[strings.TrimSuffix(r.URL.Path, "/")]
		switch {
		case answer == nil:
			write(w, http.StatusNotFound, message{"Not found"})
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", allowed)
			write(w, http.StatusMethodNotAllowed, message{"Method not allowed"})
		default:
			answer(w, r)
		}
	})
}

const allowed = "GET, HEAD, OPTIONS"

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(l) }

// Drain makes the gateway report that it is not ready.
func (s *Server) Drain() { s.draining.Store(true) }

// Close ends the server.
func (s *Server) Close(ctx context.Context) error { return s.http.Shutdown(ctx) }

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	bytes, err := bytesIn(query.Get("unit"), query.Get("scale"))
	if err != nil {
		write(w, http.StatusBadRequest, message{err.Error()})
		return
	}
	write(w, http.StatusOK, s.facts.Describe(bytes))
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		write(w, http.StatusServiceUnavailable, message{"draining"})
		return
	}
	if err := s.facts.Ready(); err != nil {
		write(w, http.StatusServiceUnavailable, message{err.Error()})
		return
	}
	write(w, http.StatusOK, message{"ready"})
}

// metrics answers in the format that a scraper asks for; one that asks for none
// is told the media type as Kong tells it.
func metrics(from prometheus.Gatherer) http.HandlerFunc {
	negotiated := promhttp.HandlerFor(from, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "" {
			w = &kongText{w}
		}
		negotiated.ServeHTTP(w, r)
	}
}

// kongText names the text format as Kong does.
type kongText struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *kongText) WriteHeader(code int) {
	if code == http.StatusOK {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *kongText) Write(p []byte) (int, error) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	return w.ResponseWriter.Write(p)
}

type message struct {
	Message string `json:"message"`
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

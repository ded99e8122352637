// SPDX-License-Identifier: Apache-2.0

// Package status serves the gateway's Status API: liveness, readiness and
// metrics (https://docs.konghq.com/gateway/latest/production/monitoring/healthcheck-probes/).
package status

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
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
	// Describe returns the body of /status.
	Describe func() any
	// Metrics are exposed under /metrics.
	Metrics prometheus.Gatherer
}

const headTimeout = 10 * time.Second

// New returns a server that is not listening yet.
func New(facts Facts) *Server {
	s := &Server{facts: facts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /status/ready", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(facts.Metrics, promhttp.HandlerOpts{}))
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: headTimeout}
	return s
}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(l) }

// Drain makes the gateway report that it is not ready.
func (s *Server) Drain() { s.draining.Store(true) }

// Close ends the server.
func (s *Server) Close(ctx context.Context) error { return s.http.Shutdown(ctx) }

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, s.facts.Describe())
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

type message struct {
	Message string `json:"message"`
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

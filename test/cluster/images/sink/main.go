// SPDX-License-Identifier: Apache-2.0

// Command http-sink keeps what is sent to it, so that a test can look at it.
//
//	http-sink [PORT]
//
// Any POST, PUT or PATCH is answered 200 and kept; GET /received returns what was
// kept as a JSON array, oldest first; DELETE /received forgets it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	maxKept = 1000
	maxBody = 10 << 20
)

// received is one kept request.
type received struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Headers http.Header `json:"headers"`
	// Body is the JSON value that was sent, or a string if it was something else.
	Body json.RawMessage `json:"body"`
	At   time.Time       `json:"at"`
}

// sink keeps the newest requests. It is safe for concurrent use.
type sink struct {
	now  func() time.Time
	mu   sync.Mutex
	kept []received
}

func main() {
	port := "8080"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	server := &http.Server{Addr: ":" + port, Handler: (&sink{now: time.Now}).handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func (s *sink) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /received", s.list)
	mux.HandleFunc("DELETE /received", s.forget)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
		mux.HandleFunc(method+" /", s.keep)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "http-sink") })
	return mux
}

func (s *sink) keep(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := json.RawMessage(data)
	if !json.Valid(data) {
		if body, err = json.Marshal(string(data)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, received{Method: r.Method, Path: r.URL.RequestURI(), Headers: r.Header, Body: body, At: s.now().UTC()})
	if len(s.kept) > maxKept {
		s.kept = s.kept[len(s.kept)-maxKept:]
	}
}

func (s *sink) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept
	if kept == nil {
		kept = []received{}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(kept); err != nil {
		log.Print(err)
	}
}

func (s *sink) forget(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
	w.WriteHeader(http.StatusNoContent)
}

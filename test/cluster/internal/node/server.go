// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"log"
	"net/http"
	"net/netip"
	"os"
)

func newHandler(s *supervisor, clientNet *os.File) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /components", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(s.list()); err != nil {
			log.Printf("answer: %v", err)
		}
	})
	mux.HandleFunc("PUT /components", func(w http.ResponseWriter, r *http.Request) {
		var spec Spec
		accept(w, r, &spec, func() error { return s.apply(spec) })
	})
	mux.HandleFunc("PUT /client/addresses", func(w http.ResponseWriter, r *http.Request) {
		var address netip.Addr
		accept(w, r, &address, func() error { return addClientAddress(clientNet, address) })
	})
	return mux
}

func accept(w http.ResponseWriter, r *http.Request, into any, do func() error) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := do(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

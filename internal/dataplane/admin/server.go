// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Options are what a Server shows.
type Options struct {
	Entities *Entities
	Schemas  entity.SchemaSet
	// Info returns the body of /, but for the plugins that are enabled; Status
	// that of /status.
	Info   func() map[string]any
	Status func() any
	// Plugins are those that can be configured.
	Plugins map[string]PluginInfo
	// Health returns what is known of the addresses of an upstream's targets, by
	// target; ok is false when the upstream is not in use.
	Health func(upstream entity.ID) (addresses map[string][]Address, ok bool)
	// NodeID is in answers about health, which each node sees for itself.
	NodeID string
	// Product is the value of the Server header.
	Product string
}

// PluginInfo is what / tells of a plugin.
type PluginInfo struct {
	Priority int    `json:"priority"`
	Version  string `json:"version"`
}

// Address is one address of a target.
type Address struct {
	netip.AddrPort
	Weight int
	// Health is HEALTHY, UNHEALTHY or HEALTHCHECKS_OFF.
	Health string
}

// Server answers the Admin API's questions.
type Server struct {
	options Options
	http    http.Server
}

// Bounds of a request and of the time for it.
const (
	headTimeout  = 10 * time.Second
	writeTimeout = 60 * time.Second
	maxHead      = 16 << 10
)

// New returns a server that is not listening yet.
func New(o Options) *Server {
	s := &Server{options: o}
	s.http = http.Server{Handler: s, ReadHeaderTimeout: headTimeout, ReadTimeout: headTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHead}
	return s
}

// CheckListen returns why an address cannot be listened on, nil if it can: it
// must be a loopback address with a port.
func CheckListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address with a port, as 127.0.0.1:8001", address)
	}
	a, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !a.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address; use 127.0.0.1 or [::1] and reach it from the machine itself, or with kubectl port-forward", address)
	}
	return nil
}

// Serve answers on l until Close. It refuses a listener that others than the
// machine itself reach.
func (s *Server) Serve(l net.Listener) error {
	if a, err := netip.ParseAddrPort(l.Addr().String()); err != nil || !a.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("admin: %s is not a loopback address", l.Addr())
	}
	return s.http.Serve(l)
}

// Close ends the server.
func (s *Server) Close(ctx context.Context) error { return s.http.Shutdown(ctx) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Server", s.options.Product)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if !local(r.Host) {
		write(w, r, http.StatusForbidden, message{"the Admin API answers for localhost and loopback addresses only"})
		return
	}
	answer := s.find(r)
	switch {
	case answer == nil:
		write(w, r, http.StatusNotFound, notFound)
	case r.Method == http.MethodOptions:
		h.Set("Allow", allowed)
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", allowed)
		write(w, r, http.StatusMethodNotAllowed, message{"Method not allowed"})
	default:
		code, body := answer()
		write(w, r, code, body)
	}
}

const allowed = "GET, HEAD, OPTIONS"

type message struct {
	Message string `json:"message"`
}

var notFound = message{"Not found"}

// local reports whether a Host header names the machine itself. A page of
// another site that has its name lead to loopback is told so apart.
func local(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil && a.IsLoopback()
}

func write(w http.ResponseWriter, r *http.Request, code int, body any) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		code = http.StatusInternalServerError
		text.Reset()
		text.WriteString(`{"message":"An unexpected error occurred"}`)
	}
	data := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
}

// answer makes the status and body of an answer.
type answer func() (code int, body any)

// steps returns the parts of a path, unescaped; ok is false for a malformed
// one.
func steps(u *url.URL) (out []string, ok bool) {
	path := strings.Trim(u.EscapedPath(), "/")
	if path == "" {
		return nil, true
	}
	for step := range strings.SplitSeq(path, "/") {
		text, err := url.PathUnescape(step)
		if err != nil || text == "" {
			return nil, false
		}
		out = append(out, text)
	}
	return out, true
}

// find returns what answers for a path, nil if there is nothing.
func (s *Server) find(r *http.Request) answer {
	at, ok := steps(r.URL)
	if !ok {
		return nil
	}
	query := r.URL.Query()
	switch {
	case len(at) == 0:
		return s.info
	case len(at) == 1 && at[0] == "status":
		return func() (int, any) { return http.StatusOK, s.options.Status() }
	case len(at) == 1 && at[0] == "endpoints":
		return endpoints
	case at[0] == "tags" && len(at) <= 2:
		return s.tags(at[1:], query)
	case at[0] == "schemas":
		return s.schemas(at[1:])
	}
	c := collectionAt(at[0])
	if c == nil {
		return nil
	}
	switch len(at) {
	case 1:
		return s.all(c, query)
	case 2:
		return func() (int, any) { return s.one(s.selected(c, at[1])) }
	}
	return s.below(c, at, query)
}

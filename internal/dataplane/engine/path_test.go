// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// The path as the client wrote it is told to the upstream, whatever the paths
// of earlier requests on the connection were.
func TestForwardedPathIsTheClients(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Path"))
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.plain)
	// Normal, but not to be written as it is; then one whose normal form is shorter.
	for range 3 {
		for _, path := range []string{"/\xff", "/a%20b//c/../d", "/%41%7e"} {
			if _, body := w.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); body != path {
				t.Errorf("told %q of %q", body, path)
			}
		}
	}
}

// A target begins with "/" whatever plugins make of it.
func TestTargetsBeginWithSlash(t *testing.T) {
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		target, _, _ := strings.Cut(readHead(in), " HTTP/1.1")
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(target), target)
	})
	become := probes{"become": func() *plugin.Phases {
		return &plugin.Phases{Access: func(x plugin.Exchange) {
			if x.Header().Has("Path") {
				x.Upstream().Path = x.Header().Get("Path")
			}
			if method := x.Header().Get("Method"); method != "" {
				x.Upstream().Method = method
			}
		}}
	}}
	r := startRig(t, "services: [{url: "+up.url+", routes: [{hosts: [h]}], plugins: [{name: become}]}]\n", rigOptions{plugins: become})
	for _, c := range []struct{ request, more, want string }{
		{"GET /", "Path: http:/int/x\r\n", "GET /http:/int/x"},
		{"GET /", "Path: http://int/x\r\n", "GET /http://int/x"},
		{"GET /", "Path: *\r\n", "GET /*"},
		{"GET /", "Path: \r\n", "GET /"},
		{"GET /", "Path: int:80\r\n", "GET /int:80"},
		{"OPTIONS /", "Path: *\r\n", "OPTIONS /*"},
		{"OPTIONS *", "Path: *\r\n", "OPTIONS *"},
		{"OPTIONS *", "Path: *\r\nMethod: GET\r\n", "GET /*"},
		{"GET /a", "", "GET /a"},
	} {
		w := dialRig(t, r.plain)
		if _, body := w.send(c.request + " HTTP/1.1\r\nHost: h\r\n" + c.more + "\r\n").answer("GET"); body != c.want {
			t.Errorf("%s with %q: upstream got %q, want %q", c.request, c.more, body, c.want)
		}
	}
}

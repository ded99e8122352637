// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

func TestAccessLog(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := dialRig(t, r.plain).send("GET /a?b=\"c\" HTTP/1.1\r\nHost: h\r\nReferer: r\"\\\r\nUser-Agent: u\xff\r\n\r\n")
	first, _ := w.answer("GET")
	w = dialRig(t, r.plain).send("GET / HTTP/1.1\r\n\r\n")
	second, _ := w.answer("GET")
	if err := r.drain(patience); err != nil {
		t.Error(err)
	}
	r.accessLog.Close()
	lines := r.access.String()
	// The log phase follows the answer: the two connections' lines come in either order.
	for _, want := range []string{
		`(?m)^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\?b=\\x22c\\x22 HTTP/1\.1" 200 \d+ "r\\x22\\x5c" "u\\xff" kong_request_id: "` + first.Header.Get("X-Kong-Request-Id") + `"$`,
		`(?m)" 400 \d+ "-" "-" kong_request_id: "` + second.Header.Get("X-Kong-Request-Id") + `"$`,
	} {
		if !regexp.MustCompile(want).MatchString(lines) {
			t.Errorf("%q does not match %s", lines, want)
		}
	}
	if n := strings.Count(lines, "\n"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	r.accessLog = engine.NewAccessLog(io.Discard)
}

// stuck is a writer that waits.
type stuck chan struct{}

func (s stuck) Write(p []byte) (int, error) { <-s; return len(p), nil }

// A log that cannot be written stops nobody.
func TestAccessLogThatIsStuck(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	hold := make(stuck)
	l := engine.NewAccessLog(hold)
	r := startRig(t, service(up.URL, ""), rigOptions{accessLog: l})
	path := "/" + strings.Repeat("x", 7000)
	w := dialRig(t, r.plain)
	for n := 0; l.Dropped() == 0; n++ {
		if a, _ := w.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || n > 5000 {
			t.Fatalf("request %d: got %d", n, a.StatusCode)
		}
	}
	close(hold)
}

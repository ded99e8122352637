// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// TestPluginBodyLimit: a plugin bounds a body whose size nobody knew when it
// ran, in memory and beyond.
func TestPluginBodyLimit(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		_, _ = fmt.Fprint(w, n)
	})
	const limit = 40 << 10 // more than is read ahead of the connection
	r := startRig(t, service(up.URL, "plugins: [{name: probe-1}]\n"), rigOptions{plugins: probes{"probe-1": func() *plugin.Phases {
		return &plugin.Phases{Access: func(x plugin.Exchange) { x.Upstream().BodyLimit = limit }}
	}}})
	for size, want := range map[int]int{10: 200, limit: 200, limit + 1: 413, 10 * limit: 413} {
		w := dialRig(t, r.plain)
		w.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		w.send(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size)))
		a, body := w.answer("POST")
		if a.StatusCode != want || want == 200 && body != fmt.Sprint(size) || want == 413 && !strings.Contains(body, "Request size limit exceeded") {
			t.Errorf("%d bytes: %d %q, want %d", size, a.StatusCode, body, want)
		}
	}
}

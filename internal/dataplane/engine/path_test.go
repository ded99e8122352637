// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"io"
	"net/http"
	"testing"
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

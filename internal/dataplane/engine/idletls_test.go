// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"
)

// Over TLS a request is read whole, however its bytes are spread over records.
func TestTLSRecords(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	r := startRig(t, service(up.URL, ""), rigOptions{})
	c, err := tls.Dial("tcp", r.secure, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	w := wrap(t, c)
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	for _, size := range []int{1, 2, len(request) - 1, len(request)} {
		for rest := request; rest != ""; {
			n := min(size, len(rest))
			w.send(rest[:n])
			rest = rest[n:]
		}
		if _, body := w.answer("POST"); body != "abc" {
			t.Errorf("in pieces of %d bytes: %q", size, body)
		}
	}
	w.send(request + request)
	for range 2 {
		if _, body := w.answer("POST"); body != "abc" {
			t.Errorf("two at once: %q", body)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// A mistake of the engine's own costs a connection, and nothing that others
// share. The dialer's fails in its stead.
func TestCrash(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	var broken atomic.Bool
	broken.Store(true)
	dialer := &net.Dialer{Control: func(string, string, syscall.RawConn) error {
		if broken.Load() {
			panic("a mistake")
		}
		return nil
	}}
	r := startRig(t, service(up.URL, ""), rigOptions{dialer: dialer})
	r.crashes = true
	body := strings.Repeat("x", 100<<10)
	post := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 102400\r\n\r\n" + body
	w := dialRig(t, r.plain).send(post)
	if _, err := w.in.ReadByte(); err == nil {
		t.Error("the connection goes on")
	}
	until(t, "the end of the connection", func() bool { return r.Connections() == 0 })
	if n := r.Buffering(); n != 0 {
		t.Errorf("%d bytes stay reserved", n)
	}
	if !strings.Contains(r.log.String(), "a mistake") {
		t.Error("nothing is logged")
	}
	broken.Store(false)
	if a, got := dialRig(t, r.plain).send(post).answer("POST"); a.StatusCode != 200 || got != "102400" {
		t.Errorf("afterwards: %d %q", a.StatusCode, got)
	}
}

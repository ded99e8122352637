// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// access returns a plugin with an access phase only.
func access(phase func(plugin.Exchange)) func() *plugin.Phases {
	return func() *plugin.Phases { return &plugin.Phases{Access: phase} }
}

// What a plugin makes of the forwarded headers in its access phase is not what
// the upstream gets: they are built from what the client sent.
func TestForwardedHeadersAreTheGateways(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Real-Ip", "Via", "X-Other"} {
			_, _ = fmt.Fprintf(w, "%s=%q ", name, r.Header.Values(name))
		}
	})
	meddle := access(func(x plugin.Exchange) {
		h := x.Header()
		h.Del("X-Forwarded-For")
		h.Del("X-Real-IP")
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Prefix", "Via", "X-Other"} {
			h.Set(name, "mine")
		}
		h.Add("X_Forwarded_For", "6.6.6.6")
	})
	r := startRig(t, service(up.URL, enabled("meddle-1")), rigOptions{plugins: probes{"meddle-1": meddle}})
	for _, c := range []struct{ sent, want string }{
		{"", `X-Forwarded-For=["127.0.0.1"] X-Forwarded-Proto=["http"] X-Forwarded-Prefix=[] X-Real-Ip=["127.0.0.1"] Via=["1.1 kong/test"] X-Other=["mine"] `},
		{"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\nVia: 1.0 a\r\n",
			`X-Forwarded-For=["9.9.9.9, 8.8.8.8, 127.0.0.1"] X-Forwarded-Proto=["http"] X-Forwarded-Prefix=[] X-Real-Ip=["127.0.0.1"] Via=["1.0 a, 1.1 kong/test"] X-Other=["mine"] `},
	} {
		_, body := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: x\r\n" + c.sent + "\r\n").answer("GET")
		if body != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.sent, body, c.want)
		}
	}
}

// A header filter may say how long the answer is.
func TestFilteredLength(t *testing.T) {
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	length := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	cases := []struct {
		name, answer string
		set          string // Content-Length that the filter sets, "-" to delete it, "" to leave it
		body         string // what the body filter makes of it, "=" to leave it
		need         int64  // bytes that the body filter needs at once
		wantLength   int64
		want         string
		cut          bool // the client sees that the answer is incomplete
	}{
		{"untouched", length, "", "=", 0, 5, "hello", false},
		{"deleted", length, "-", "longer than before", 0, -1, "longer than before", false},
		{"emptied", length, "0", "", 0, 0, "", false},
		{"emptied in chunks", chunked, "0", "", 0, 0, "", false},
		{"shortened", length, "2", "=", 0, 2, "he", false},
		{"known at last", chunked, "5", "=", 0, 5, "hello", false},
		{"promised too much", length, "9", "=", 0, 9, "hello", true},
		{"no number", length, "many", "=", 0, -1, "hello", false},
		{"whole", length, "", "longer than before", 100, 18, "longer than before", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			up := script(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				for readHead(in) != "" {
					_, _ = io.WriteString(conn, c.answer)
				}
			})
			filter := func() *plugin.Phases {
				return &plugin.Phases{
					Needs: plugin.Needs{ResponseBody: c.need},
					HeaderFilter: func(x plugin.Exchange) {
						switch h := x.Response().Header; c.set {
						case "":
						case "-":
							h.Del("Content-Length")
						default:
							h.Set("Content-Length", c.set)
						}
					},
					BodyFilter: func(_ plugin.Exchange, chunk []byte, last bool) []byte {
						switch {
						case c.body == "=":
							return chunk
						case last:
							return []byte(c.body)
						}
						return nil
					},
				}
			}
			r := startRig(t, service(up.url, enabled("filter-1")), rigOptions{plugins: probes{"filter-1": filter}})
			w := dialRig(t, r.plain)
			for range 2 {
				w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				a, err := http.ReadResponse(w.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(a.Body)
				if a.ContentLength != c.wantLength || string(body) != c.want || (err != nil) != c.cut {
					t.Errorf("length %d, body %q, %v", a.ContentLength, body, err)
				}
				if c.cut {
					return
				}
			}
		})
	}
}

// Failed tries have the status that their failure stands for.
func TestFailedTriesHaveAStatus(t *testing.T) {
	up := script(t, func(_ int, _ net.Conn, in *bufio.Reader) { readHead(in) })
	silent := script(t, func(_ int, _ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) })
	d := &diary{}
	note := func() *plugin.Phases {
		return &plugin.Phases{Log: func(x plugin.Exchange) {
			for _, try := range x.Tries() {
				d.add("%s %d", try.Failure, try.Status)
			}
		}}
	}
	config := fmt.Sprintf(`services:
- {name: s, url: %q, retries: 1, routes: [{name: r, paths: [/closed]}]}
- {name: q, url: %q, retries: 0, read_timeout: 50, routes: [{name: q, paths: [/silent]}]}
- {name: n, url: "http://127.0.0.1:1", retries: 0, routes: [{name: n, paths: [/refused]}]}
`, up.url, silent.url) + enabled("log-1")
	r := startRig(t, config, rigOptions{plugins: probes{"log-1": note}})
	for path, want := range map[string][]string{
		"/closed": {"failed 502", "failed 502"}, "/silent": {"failed 504"}, "/refused": {"failed 502"},
	} {
		r.get(path)
		var got []string
		until(t, "the log phase", func() bool { got = append(got, d.take()...); return len(got) >= len(want) })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s", path, strings.Join(got, ", "))
		}
	}
}

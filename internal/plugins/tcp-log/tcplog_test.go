// SPDX-License-Identifier: Apache-2.0

package tcplog

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/tcp-log/schema"
)

const patience = 10 * time.Second

// line is one that a server got, and the number of its connection.
type line struct {
	conn int
	text string
	name string // of the server, that the client asked for
}

// collect starts a server. Connections that it gets number end by its hand after
// their first line.
func collect(t *testing.T, secure *tls.Config, ends ...int) (*net.TCPAddr, chan line) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan line, 100)
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			name := ""
			if secure != nil {
				secured := tls.Server(c, secure)
				if secured.Handshake() != nil {
					continue
				}
				c, name = secured, secured.ConnectionState().ServerName
			}
			go func() {
				defer func() { _ = c.Close() }()
				for in := bufio.NewScanner(c); in.Scan(); {
					got <- line{n, in.Text(), name}
					for _, end := range ends {
						if n == end {
							return
						}
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr), got
}

func await(t *testing.T, got chan line) line {
	t.Helper()
	select {
	case l := <-got:
		return l
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		panic("unreachable")
	}
}

func instance(t *testing.T, host plugin.Host, config map[string]any) *plugin.Phases {
	return plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: config})
}

func request(p *plugin.Phases, target string) {
	plugintest.Serve(plugintest.New(time.Now(), "GET", target), plugintest.Answer{Status: 200}, p)
}

// uri returns the request target that a record is about.
func uri(t *testing.T, text string) string {
	t.Helper()
	var record struct {
		Request struct{ URI string }
	}
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return record.Request.URI
}

func TestRecordsAreLines(t *testing.T) {
	at, got := collect(t, nil)
	p := instance(t, &plugintest.Host{}, map[string]any{"host": "127.0.0.1", "port": at.Port})
	for _, target := range []string{"/a", "/b", "/c"} {
		request(p, target)
		if l := await(t, got); uri(t, l.text) != target || l.conn != 1 {
			t.Errorf("%s: %+v", target, l)
		}
	}
	s := plugintest.NewSession(time.Now())
	s.FromClient = 7
	if p.StreamLog(s); !strings.Contains(await(t, got).text, `"session":{"received":7`) {
		t.Error("not the record of the session")
	}
}

// A connection that the server ended is not used again.
func TestEndedConnection(t *testing.T) {
	at, got := collect(t, nil, 1, 2)
	host := &plugintest.Host{}
	p := instance(t, host, map[string]any{"host": "127.0.0.1", "port": at.Port})
	for n := 1; n <= 3; n++ {
		// The end may be on its way while the next record is sent, which is lost then.
		for l := (line{}); l.conn != n; {
			request(p, "/")
			select {
			case l = <-got:
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// One that idles for keepalive is closed, here: at once.
func TestKeepalive(t *testing.T) {
	at, got := collect(t, nil)
	p := instance(t, &plugintest.Host{}, map[string]any{"host": "127.0.0.1", "port": at.Port, "keepalive": 1})
	request(p, "/")
	await(t, got)
	for l := (line{}); l.conn < 2; l = await(t, got) {
		request(p, "/")
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	at, got := collect(t, &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12})
	p := instance(t, &plugintest.Host{}, map[string]any{"host": "127.0.0.1", "port": at.Port, "tls": true, "tls_sni": "logs.test"})
	request(p, "/a")
	if l := await(t, got); uri(t, l.text) != "/a" || l.name != "logs.test" {
		t.Errorf("%+v", l)
	}
}

// Failures are logged, and that is all.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	host := &plugintest.Host{}
	p := instance(t, host, map[string]any{"host": "127.0.0.1", "port": l.Addr().(*net.TCPAddr).Port})
	request(p, "/")
	asynctest.Until(t, "a word about the loss", func() bool { return strings.Contains(host.Logged(), "lost") })
}

func TestLuaIsRefused(t *testing.T) {
	conf := map[string]any{"host": "a", "port": 1, "custom_fields_by_lua": map[string]any{"a": "return 1"}}
	if _, err := configure(plugin.Config{Values: conf, Host: &plugintest.Host{}}); err == nil || !strings.Contains(err.Error(), "custom_fields_by_lua") {
		t.Error(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package httplog

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/http-log/schema"
)

// received is what a log server got.
type received struct {
	request *http.Request
	body    string
}

// collect starts a log server whose answers are made by status, in turn.
func collect(t *testing.T, secure bool, status func(n int) int) (string, chan received) {
	got := make(chan received, 100)
	var n atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status(int(n.Add(1))))
		got <- received{r, string(body)}
	}))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.URL, got
}

func always(status int) func(int) int { return func(int) int { return status } }

func await(t *testing.T, got chan received) received {
	t.Helper()
	select {
	case r := <-got:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived within 10 s")
		panic("unreachable")
	}
}

func instance(t *testing.T, host plugin.Host, config map[string]any) *plugin.Phases {
	return plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: config})
}

func request(p *plugin.Phases, target string) {
	x := plugintest.New(time.Now(), "GET", target)
	plugintest.Serve(x, plugintest.Answer{Status: 200}, p)
}

func TestOneRecordIsAnObject(t *testing.T) {
	url, got := collect(t, false, always(200))
	p := instance(t, &plugintest.Host{}, map[string]any{
		"http_endpoint": strings.Replace(url, "http://", "http://us%40er:pa%3Ass@", 1) + "/log?token=1",
		"method":        "PUT", "content_type": "application/json; charset=utf-8",
		"headers": map[string]any{"X-Own": "1"},
	})
	request(p, "/a")
	r := await(t, got)
	if r.request.Method != http.MethodPut || r.request.URL.String() != "/log?token=1" {
		t.Errorf("%s %s", r.request.Method, r.request.URL)
	}
	if user, password, _ := r.request.BasicAuth(); user != "us@er" || password != "pa:ss" {
		t.Errorf("credentials %q %q", user, password)
	}
	h := r.request.Header
	if h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("X-Own") != "1" || h.Get("User-Agent") != "kong/3.9.1" {
		t.Errorf("headers %v", h)
	}
	var record struct {
		Request struct {
			URI string `json:"uri"`
		} `json:"request"`
	}
	if err := json.Unmarshal([]byte(r.body), &record); err != nil || record.Request.URI != "/a" {
		t.Errorf("%v: %s", err, r.body)
	}
}

func TestSessionsAreLogged(t *testing.T) {
	url, got := collect(t, false, always(200))
	p := instance(t, &plugintest.Host{}, map[string]any{"http_endpoint": url})
	s := plugintest.NewSession(time.Now())
	s.FromClient, s.EndStatus = 7, 200
	p.StreamLog(s)
	var record struct {
		Session struct {
			Received, Status int
		} `json:"session"`
	}
	if err := json.Unmarshal([]byte(await(t, got).body), &record); err != nil || record.Session.Received != 7 || record.Session.Status != 200 {
		t.Errorf("%v: %+v", err, record)
	}
}

func TestBatchesAreLists(t *testing.T) {
	url, got := collect(t, false, always(204))
	for name, config := range map[string]map[string]any{
		"queue":  {"queue": map[string]any{"max_batch_size": 3, "max_coalescing_delay": 0.05}},
		"legacy": {"queue_size": 3, "flush_timeout": 0.05, "retry_count": 15},
	} {
		config["http_endpoint"] = url
		p := instance(t, &plugintest.Host{}, config)
		for _, size := range []int{3, 1} {
			for range size {
				request(p, "/")
			}
			var list []map[string]any
			if err := json.Unmarshal([]byte(await(t, got).body), &list); err != nil || len(list) != size {
				t.Errorf("%s: %d records (%v), want %d", name, len(list), err, size)
			}
		}
	}
}

func TestFailuresAreTriedAgain(t *testing.T) {
	url, got := collect(t, false, func(n int) int { return []int{500, 302, 404, 200}[n-1] })
	host := &plugintest.Host{}
	p := instance(t, host, map[string]any{"http_endpoint": url + "/secret-path", "queue": map[string]any{"initial_retry_delay": 0.001}})
	request(p, "/a")
	for range 4 {
		if r := await(t, got); r.request.URL.Path != "/secret-path" {
			t.Errorf("a redirect was followed to %s", r.request.URL)
		}
	}
	p.Close()
	if log := host.Logged(); strings.Contains(log, "secret-path") || !strings.Contains(log, "answered 302") {
		t.Errorf("log: %s", log)
	}
}

func TestAnUnreachableServerIsNamedWithoutSecrets(t *testing.T) {
	host := &plugintest.Host{}
	p := instance(t, host, map[string]any{"http_endpoint": "http://user:pass@127.0.0.1:1/secret-path?token=t", "queue": map[string]any{"max_retry_time": -1}})
	request(p, "/a")
	p.Close()
	log := host.Logged()
	if !strings.Contains(log, "http://127.0.0.1:1:") || strings.Contains(log, "pass") || strings.Contains(log, "secret-path") || strings.Contains(log, "token") {
		t.Errorf("log: %s", log)
	}
}

func TestTLSServerWithOwnCertificate(t *testing.T) {
	url, got := collect(t, true, always(200))
	p := instance(t, &plugintest.Host{}, map[string]any{"http_endpoint": url})
	request(p, "/a")
	if r := await(t, got); r.request.TLS == nil {
		t.Error("sent without TLS")
	}
}

func TestConnectionsAreKept(t *testing.T) {
	url, got := collect(t, false, always(200))
	p := instance(t, &plugintest.Host{}, map[string]any{"http_endpoint": url})
	ports := map[string]bool{}
	for range 3 {
		request(p, "/a")
		ports[await(t, got).request.RemoteAddr] = true
	}
	if len(ports) != 1 {
		t.Errorf("3 records came over %d connections", len(ports))
	}
}

func TestReloadKeepsWhatWaits(t *testing.T) {
	url, got := collect(t, false, always(200))
	host := &plugintest.Host{}
	config := map[string]any{"http_endpoint": url, "queue": map[string]any{"max_batch_size": 2, "max_coalescing_delay": 3600}}
	old := plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{ID: "old", Config: config})
	request(old, "/before")
	reloaded := instance(t, host, config)
	request(reloaded, "/after")
	if r := await(t, got); !strings.Contains(r.body, `"/before"`) || !strings.Contains(r.body, `"/after"`) {
		t.Errorf("%s", r.body)
	}
}

func TestLuaIsRefused(t *testing.T) {
	_, err := configure(plugin.Config{Plugin: &entity.Plugin{}, Host: &plugintest.Host{}, Values: map[string]any{
		"http_endpoint": "http://a", "custom_fields_by_lua": map[string]any{"a": "return 1"}}})
	if err == nil || !strings.Contains(err.Error(), "custom_fields_by_lua") {
		t.Errorf("%v", err)
	}
}

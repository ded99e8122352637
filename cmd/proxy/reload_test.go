// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/dataplane/status"
)

const reloadWait = asynctest.Patience

var until = asynctest.Until

// alone is a proxy that runs from a declarative file.
type alone struct {
	*process
	url    string
	client *http.Client
	logged asynctest.Log
}

func startAlone(t *testing.T, path string, more ...string) *alone {
	t.Helper()
	o, err := parseOptions(append([]string{"--declarative-config", path, "--proxy-listen", "127.0.0.1:0", "--status-listen", "off"}, more...),
		func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, o)
}

// startWith starts a proxy with one listener for requests, which is the first.
func startWith(t *testing.T, o *options) *alone {
	t.Helper()
	var err error
	a := &alone{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: reloadWait}}
	if a.process, err = newProcess(o, slog.New(slog.NewTextHandler(&a.logged, nil))); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, ctx) }()
	t.Cleanup(func() {
		a.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
	})
	until(t, "the listener", func() bool {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("the proxy did not start: %v", err)
		default:
		}
		return len(a.engine.Addresses()) == len(o.listen)
	})
	a.url = "http://" + a.engine.Addresses()[0].String()
	return a
}

// get returns the body of an answer with status 200, else what went wrong.
func (a *alone) get() string {
	resp, err := a.client.Get(a.url)
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Sprint(resp.Status, " ", err)
	}
	return string(body)
}

func (a *alone) metric(t *testing.T, name, result string) float64 {
	t.Helper()
	f, ok := a.source.(*file)
	if !ok {
		t.Fatal("not a file")
	}
	var m dto.Metric
	var err error
	switch name {
	case "reloads":
		err = f.metrics.reloads.WithLabelValues(result).Write(&m)
	case "successful":
		err = f.metrics.successful.Write(&m)
	default:
		t.Fatal(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// status returns configuration_hash and the problems of configuration_error.
func (a *alone) status(t *testing.T) (hash string, problems []string) {
	t.Helper()
	data, err := json.Marshal(a.describe(status.Mebibytes))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Hash  string `json:"configuration_hash"`
		Error *struct {
			Hash     string
			Count    int
			Problems []string
		} `json:"configuration_error"`
	}
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	if s.Error == nil {
		return s.Hash, nil
	}
	return s.Hash, s.Error.Problems
}

// backend answers with a word.
func backend(t *testing.T, word string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, word) }))
	t.Cleanup(s.Close)
	return s.URL
}

func config(url string) string {
	return "_format_version: \"3.0\"\nservices:\n- name: s\n  url: " + url + "\n  routes:\n  - {name: r, paths: [/]}\n"
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// swap puts a file in another's place in one step.
func swap(t *testing.T, path, text string) {
	t.Helper()
	put(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestReloadWays changes the file in each of the ways that are in use.
func TestReloadWays(t *testing.T) {
	words := []string{"one", "two", "three"}
	var configs []string
	for _, w := range words {
		configs = append(configs, config(backend(t, w)))
	}
	for name, way := range map[string]struct {
		path   string
		change func(t *testing.T, dir string, i int)
	}{
		"written in place": {"kong.yml", func(t *testing.T, dir string, i int) { put(t, filepath.Join(dir, "kong.yml"), configs[i]) }},
		"renamed":          {"kong.yml", func(t *testing.T, dir string, i int) { swap(t, filepath.Join(dir, "kong.yml"), configs[i]) }},
		"removed and written": {"kong.yml", func(t *testing.T, dir string, i int) {
			path := filepath.Join(dir, "kong.yml")
			if i > 0 {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			put(t, path, configs[i])
		}},
		"mounted ConfigMap": {"kong.yml", func(t *testing.T, dir string, i int) {
			// As the kubelet does: kong.yml -> ..data/kong.yml, ..data -> ..N.
			now := fmt.Sprintf("..%d", i)
			if err := os.Mkdir(filepath.Join(dir, now), 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, now, "kong.yml"), configs[i])
			link(t, now, filepath.Join(dir, "..data"))
			if i == 0 {
				link(t, "..data/kong.yml", filepath.Join(dir, "kong.yml"))
				return
			}
			if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", i-1))); err != nil {
				t.Fatal(err)
			}
		}},
		"link to a file elsewhere": {"kong.yml", func(t *testing.T, dir string, i int) {
			elsewhere := filepath.Join(dir, "elsewhere")
			if i == 0 {
				if err := os.Mkdir(elsewhere, 0o700); err != nil {
					t.Fatal(err)
				}
				link(t, "elsewhere/kong.yml", filepath.Join(dir, "kong.yml"))
			}
			swap(t, filepath.Join(elsewhere, "kong.yml"), configs[i])
		}},
		"linked directory": {"current/kong.yml", func(t *testing.T, dir string, i int) {
			now := filepath.Join(dir, fmt.Sprint("release-", i))
			if err := os.Mkdir(now, 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(now, "kong.yml"), configs[i])
			link(t, now, filepath.Join(dir, "current"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			way.change(t, dir, 0)
			a := startAlone(t, filepath.Join(dir, way.path))
			if got := a.get(); got != words[0] {
				t.Fatalf("at the start: %s", got)
			}
			first, _ := a.status(t)
			for i := 1; i < len(words); i++ {
				way.change(t, dir, i)
				until(t, words[i], func() bool { return a.get() == words[i] })
			}
			until(t, "the status", func() bool {
				hash, problems := a.status(t)
				return hash != first && len(hash) == 32 && len(problems) == 0
			})
			if a.metric(t, "successful", "") != 1 || a.metric(t, "reloads", "applied") < float64(len(words)) {
				t.Error("the metrics do not tell of the reloads")
			}
		})
	}
}

func TestReloadRefuses(t *testing.T) {
	good := config(backend(t, "good"))
	dir := t.TempDir()
	path := filepath.Join(dir, "kong.yml")
	put(t, path, good)
	a := startAlone(t, path)
	hash, _ := a.status(t)
	refused := a.metric(t, "reloads", "refused")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"several problems", "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://127.0.0.1:1\n  retries: many\n  routes:\n  - {name: r, paths: [nope]}\nplugins:\n- name: no-such-plugin\n",
			[]string{path + ":5: ", path + ":7: ", path + ":9: "}},
		{"not YAML", "services: [", []string{path + ":"}},
		{"what the engine cannot run", "_format_version: \"3.0\"\nservices:\n- {name: s, host: h, port: 1, protocol: tcp, routes: [{name: r, paths: [/]}]}\n", []string{path + ":3: services[0].routes[0] 'r': service: the service is missing or cannot be used"}},
		{"empty", "", []string{path}},
	} {
		swap(t, path, c.text)
		refused++
		until(t, c.name, func() bool { return a.metric(t, "reloads", "refused") == refused })
		now, problems := a.status(t)
		if now != hash || a.get() != "good" || a.metric(t, "successful", "") != 0 {
			t.Errorf("%s: it is served", c.name)
		}
		all := strings.Join(problems, "\n")
		for _, w := range c.want {
			if !strings.Contains(all, w) {
				t.Errorf("%s: no problem starts with %q:\n%s", c.name, w, all)
			}
			if !strings.Contains(a.logged.String(), w) {
				t.Errorf("%s: %q is not logged", c.name, w)
			}
		}
	}
	// A hangup looks again.
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	refused++
	until(t, "the hangup", func() bool { return a.metric(t, "reloads", "refused") == refused })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused++
	until(t, "the missing file", func() bool { return a.metric(t, "reloads", "refused") == refused })
	if _, problems := a.status(t); len(problems) != 1 || !strings.Contains(problems[0], "no such file") {
		t.Errorf("missing file: %q", problems)
	}
	put(t, path, good)
	until(t, "the good file", func() bool { _, problems := a.status(t); return len(problems) == 0 })
	if now, _ := a.status(t); now != hash || a.metric(t, "successful", "") != 1 || a.get() != "good" {
		t.Error("the good file is not served again")
	}
}

func TestStartRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kong.yml")
	for name, text := range map[string]string{"a problem": "services: 5", "nothing that can run": "_format_version: \"3.0\"\nservices:\n- {name: s, host: h, port: 1, protocol: tcp, routes: [{name: r, paths: [/]}]}\n"} {
		put(t, path, text)
		o, err := parseOptions([]string{"--declarative-config", path, "--proxy-listen", "off", "--status-listen", "off"}, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		p, err := newProcess(o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.run(t.Context(), t.Context()); !errors.Is(err, errReported) || p.source.ready() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReloadUnderLoad changes backends while clients ask all the time.
func TestReloadUnderLoad(t *testing.T) {
	configs := []string{config(backend(t, "one")), config(backend(t, "two"))}
	path := filepath.Join(t.TempDir(), "kong.yml")
	put(t, path, configs[0])
	a := startAlone(t, path)
	var answers [2]atomic.Int64
	var wrong atomic.Pointer[string]
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch got := a.get(); got {
				case "one":
					answers[0].Add(1)
				case "two":
					answers[1].Add(1)
				default:
					wrong.Store(&got)
				}
			}
		})
	}
	const reloads = 10
	for i := 1; i <= reloads; i++ {
		swap(t, path, configs[i%2])
		until(t, "the reload", func() bool { return a.metric(t, "reloads", "applied") == float64(1+i) })
		before := answers[i%2].Load()
		until(t, "answers of the new configuration", func() bool { return answers[i%2].Load() > before })
	}
	close(stop)
	clients.Wait()
	if w := wrong.Load(); w != nil {
		t.Errorf("a request was lost: %s", *w)
	}
	t.Logf("%d requests over %d reloads", answers[0].Load()+answers[1].Load(), reloads)
}

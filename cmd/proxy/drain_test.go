// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// A process that is told to end says so where it is asked, serves new
// connections for the delay, and is gone soon after.
func TestProcessDrains(t *testing.T) {
	for _, c := range []struct {
		readiness string
		during    int // status of the readiness probe during the delay
	}{{readinessFirst, 503}, {readinessLast, 200}} {
		t.Run(c.readiness, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kong.yml")
			put(t, path, config(backend(t, "good")))
			status := freeAddress(t)
			o, err := parseOptions([]string{"--declarative-config", path, "--proxy-listen", "127.0.0.1:0", "--status-listen", status,
				"--drain-delay-seconds", "3600", "--drain-readiness", c.readiness}, func(string) (string, bool) { return "", false })
			if err != nil {
				t.Fatal(err)
			}
			p, err := newProcess(o, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ctx, end := context.WithCancel(context.Background())
			hurry, now := context.WithCancel(context.Background())
			defer now()
			done := make(chan error, 1)
			go func() { done <- p.run(ctx, hurry) }()
			ask := func(url string) (code int, closes bool) {
				client := http.Client{Transport: &http.Transport{}, Timeout: reloadWait}
				defer client.CloseIdleConnections()
				a, err := client.Get(url)
				if err != nil {
					return 0, false
				}
				defer func() { _ = a.Body.Close() }()
				_, _ = io.Copy(io.Discard, a.Body)
				return a.StatusCode, a.Close
			}
			ready := func() int { code, _ := ask("http://" + status + "/status/ready"); return code }
			until(t, "readiness", func() bool { return ready() == 200 && len(p.engine.Addresses()) == 1 })
			url := "http://" + p.engine.Addresses()[0].String()
			if code, closes := ask(url); code != 200 || closes {
				t.Errorf("got %d, close %t before the end", code, closes)
			}
			end()
			until(t, "the announcement", func() bool { code, closes := ask(url); return code == 200 && closes })
			if code := ready(); code != c.during {
				t.Errorf("readiness is %d during the delay, want %d", code, c.during)
			}
			now()
			select {
			case err := <-done:
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("the process ended with %v", err)
				}
			case <-time.After(reloadWait):
				t.Fatal("the process does not end")
			}
			if code, _ := ask(url); code != 0 {
				t.Errorf("got %d behind the end", code)
			}
		})
	}
}

func TestReadinessDefault(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for want, args := range map[string][]string{
		readinessFirst: {"--declarative-config", "kong.yml"},
		readinessLast:  {"--control-plane", "dns:///m:8005", "--gateway", "ns/edge", "--token-file", "t", "--control-plane-ca-dir", "c"},
	} {
		if o, err := parseOptions(args, none); err != nil || o.drainReadiness != want {
			t.Errorf("%v: %v, %v; want %s", args, o, err, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Command soak runs the proxy under mixed traffic for some minutes, checks
// every answer, and fails when memory, goroutines or descriptors grow. It needs
// nothing but the proxy's binary and uses addresses of this machine only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds the time until the proxy is ready, stopTimeout the
	// time until it has ended.
	startTimeout = 20 * time.Second
	stopTimeout  = 20 * time.Second
	// warmUp is the part of the run that is not compared: pools and the heap
	// find their size.
	warmUp = 0.25
)

type options struct {
	proxy   string
	minutes float64
	workers int
	pause   time.Duration
	sample  time.Duration
	reload  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.proxy, "proxy", "bin/proxy", "the proxy's binary")
	flag.Float64Var(&o.minutes, "minutes", 30, "how long to run")
	flag.IntVar(&o.workers, "workers", 2, "clients of each kind")
	flag.DurationVar(&o.pause, "pause", 5*time.Millisecond, "pause of a client between two requests")
	flag.DurationVar(&o.sample, "sample", 5*time.Second, "how often the proxy is measured")
	flag.DurationVar(&o.reload, "reload", 500*time.Millisecond, "how often the configuration changes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to clean up
	}
}

func run(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := startBackend(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	config := filepath.Join(dir, "kong.yml")
	if err := replace(config, declarative(b, 0)); err != nil {
		return err
	}
	p, err := startProxy(ctx, o.proxy, config)
	if err != nil {
		return err
	}
	defer p.kill()

	ctx, end := context.WithTimeout(ctx, time.Duration(o.minutes*float64(time.Minute)))
	defer end()
	t := newTally()
	var running sync.WaitGroup
	startClients(ctx, &running, o, p, t)
	running.Go(func() { reloads(ctx, o.reload, config, b, t) })
	samples := p.follow(ctx, o.sample)
	running.Wait()
	problems := append(t.report(os.Stdout), judge(os.Stdout, samples)...)
	if err := p.stop(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// reloads changes the configuration again and again.
func reloads(ctx context.Context, every time.Duration, path string, b *backend, t *tally) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.note("reload", replace(path, declarative(b, n)))
		}
	}
}

// replace changes a file in one step.
func replace(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// declarative is the n-th configuration: services, plugins and a certificate
// stay, targets and a header change.
func declarative(b *backend, n int) string {
	return fmt.Sprintf(`_format_version: "3.0"
consumers:
- {username: soak, keyauth_credentials: [{key: soak-key}]}
upstreams:
- name: backends
  targets: [{target: %q, weight: 100}, {target: %q, weight: %d}]
services:
- name: backend
  host: backends
  port: 80
  routes: [{name: open, paths: [/]}]
- name: guarded
  host: backends
  port: 80
  routes: [{name: guarded, paths: [/guarded], strip_path: true}]
  plugins: [{name: key-auth}, {name: rate-limiting, config: {second: 1000000, policy: local}}]
- name: dead
  url: http://%s
  retries: 1
  routes: [{name: dead, paths: [/dead]}]
plugins:
- {name: correlation-id, config: {echo_downstream: true}}
- {name: response-transformer, config: {add: {headers: ["X-Version:%d"]}}}
`, b.addresses[0], b.addresses[1], 1+n%100, b.dead, n)
}

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// proxy is the process under test.
type proxy struct {
	command               *exec.Cmd
	plain, secure, status string
	ended                 chan error
}

func startProxy(ctx context.Context, binary, config string) (*proxy, error) {
	p := &proxy{ended: make(chan error, 1)}
	for _, into := range []*string{&p.plain, &p.secure, &p.status} {
		address, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		*into = address
	}
	p.command = exec.Command(binary, "--declarative-config", config, //nolint:gosec,noctx // the binary that was asked for; it is ended by a signal
		"--proxy-listen", p.plain+", "+p.secure+" ssl http2", "--status-listen", p.status, "--log-level", "error")
	p.command.Stderr = os.Stderr
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() { p.ended <- p.command.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startTimeout)
	for {
		if p.ready(ctx) {
			return p, nil
		}
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("the proxy did not start: %w", err)
		case <-limit:
			p.kill()
			return nil, errors.New("the proxy is not ready")
		case <-tick.C:
		}
	}
}

func (p *proxy) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.status+"/status/ready", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// stop ends the proxy as Kubernetes does.
func (p *proxy) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the proxy: %w", err)
	}
	select {
	case err := <-p.ended:
		p.ended <- nil
		if err != nil {
			return fmt.Errorf("the proxy ended with: %w", err)
		}
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the proxy does not end within %v", stopTimeout)
	}
}

// kill ends the proxy if it still runs.
func (p *proxy) kill() { _ = p.command.Process.Kill() }

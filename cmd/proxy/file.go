// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// file is a declarative file as the source of configuration. It is applied
// again when its content changes, and on SIGHUP.
type file struct {
	process *process
	path    string
	hangup  chan os.Signal
	metrics reloadMetrics

	mu sync.Mutex
	// running is the hash of the content that is served, "" before the first;
	// looked of the content that was looked at last, which may have been
	// refused, with what was wrong then.
	running, looked string
	problems        []string
}

func newFile(p *process, path string) *file {
	f := &file{process: p, path: path, hangup: make(chan os.Signal, 1), metrics: newReloadMetrics()}
	// From here on, a hangup is a request to reload and not the end.
	signal.Notify(f.hangup, syscall.SIGHUP)
	return f
}

// start refuses a file with any problem: a gateway that starts with half of
// its configuration is worse than one that does not.
func (f *file) start(context.Context) error {
	f.reload(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.problems) == 0 {
		return nil
	}
	for _, p := range f.problems {
		fmt.Fprintln(os.Stderr, p)
	}
	fmt.Fprintf(os.Stderr, "%s: refused with %d problem(s)\n", f.path, len(f.problems))
	return errReported
}

// run applies the file again whenever its content changes. A file that cannot
// be used is reported, and what runs goes on.
func (f *file) run(ctx context.Context) error {
	defer signal.Stop(f.hangup)
	watch := watchFile(f.path, f.process.log)
	defer watch.close()
	f.reload(false) // what changed before the watch began
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch.changed:
			f.reload(false)
		case <-f.hangup:
			f.reload(true)
		}
	}
}

// reload looks at the file and applies it if its content is new; with force a
// content that was refused is looked at again.
func (f *file) reload(force bool) {
	data, err := os.ReadFile(f.path)
	sum := ""
	if err == nil {
		digest := sha256.Sum256(data)
		sum = hex.EncodeToString(digest[:16])
	}
	f.mu.Lock()
	if sum == f.looked && sum != "" && (!force || sum == f.running) {
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	var set *entity.Set
	var problems []string
	if err != nil {
		problems = []string{fmt.Sprintf("%s: %v", f.path, unwrapPath(err))}
	} else {
		set, problems = f.apply(data)
	}
	f.note(sum, problems, set)
}

// unwrapPath takes the path off an error that names it.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("cannot %s the file: %w", p.Op, p.Err)
	}
	return err
}

// apply makes a file's content the running configuration, or says why not.
func (f *file) apply(data []byte) (set *entity.Set, problems []string) {
	doc, found := entity.DecodeDocument(data, schemas.All())
	if doc != nil {
		set = doc.Set
		found = rejections(doc, f.process.gateway.ApplyWhole(set))
	}
	for _, p := range found {
		problems = append(problems, shown(f.path, p))
	}
	if len(problems) == 0 {
		f.process.admin.entities.Replace(set)
	}
	return set, problems
}

// note records how a reload ended, for logs, the Status API and metrics.
func (f *file) note(sum string, problems []string, set *entity.Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first, stillGone := f.running == "", sum == "" && f.looked == "" && len(f.problems) > 0
	f.looked, f.problems = sum, problems
	if stillGone {
		return
	}
	if len(problems) == 0 {
		f.running = sum
		f.metrics.succeeded(time.Now())
		f.process.log.Info("declarative config applied", "path", f.path, "hash", sum, "entities", entityCount(set))
		return
	}
	f.metrics.failed()
	if first {
		return // start says so
	}
	for _, p := range problems {
		f.process.log.Error("declarative config refused; the last one goes on", "problem", p)
	}
}

func entityCount(s *entity.Set) int {
	return len(s.Services) + len(s.Routes) + len(s.Upstreams) + len(s.Targets) + len(s.Plugins) + len(s.Consumers) +
		len(s.ConsumerGroups) + len(s.Credentials) + len(s.Certificates) + len(s.SNIs) + len(s.CACertificates) + len(s.Vaults)
}

func (f *file) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running != ""
}

// shownProblems bounds what the Status API lists; the log has all.
const shownProblems = 20

// describe reports the content that is served, and what is wrong with the file
// if that is another.
func (f *file) describe() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]any{"configuration_hash": f.running, "configuration_error": nil}
	if len(f.problems) > 0 {
		out["configuration_error"] = map[string]any{
			"hash": f.looked, "count": len(f.problems), "problems": f.problems[:min(len(f.problems), shownProblems)],
		}
	}
	return out
}

// reloadMetrics tell how reloads of the file ended.
type reloadMetrics struct {
	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
	last       prometheus.Gauge
}

func newReloadMetrics() reloadMetrics {
	return reloadMetrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kong_istio_gateway_config_reloads_total", Help: "Declarative files that were looked at, by result: applied or refused.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kong_istio_gateway_config_last_reload_successful", Help: "1 if the declarative file as it is now is served, 0 if it was refused.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kong_istio_gateway_config_last_reload_success_timestamp_seconds", Help: "When the declarative file was last applied, in Unix time.",
		}),
	}
}

func (m *reloadMetrics) succeeded(now time.Time) {
	m.reloads.WithLabelValues("applied").Inc()
	m.successful.Set(1)
	m.last.Set(float64(now.UnixMilli()) / 1000)
}

func (m *reloadMetrics) failed() {
	m.reloads.WithLabelValues("refused").Inc()
	m.successful.Set(0)
}

// Describe implements prometheus.Collector.
func (f *file) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(f, out) }

// Collect implements prometheus.Collector.
func (f *file) Collect(out chan<- prometheus.Metric) {
	f.metrics.reloads.Collect(out)
	f.metrics.successful.Collect(out)
	f.metrics.last.Collect(out)
}

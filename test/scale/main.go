// SPDX-License-Identifier: Apache-2.0

// Command scale measures the manager and a proxy with a large ingress class: a
// real API server, the built programs, and as many objects as the project
// promises to bear. It writes docs/scale.md and fails when a bar is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/test/scale/population"
)

type options struct {
	manager, proxy, output string
	size                   population.Size
	changes                int
	settle                 time.Duration
	keep                   bool
	strict                 bool
}

func main() {
	o := options{size: population.Bar()}
	flag.StringVar(&o.manager, "manager", "bin/manager", "the manager's binary")
	flag.StringVar(&o.proxy, "proxy", "bin/proxy", "the proxy's binary")
	flag.StringVar(&o.output, "output", "", "file to write the figures to; standard output without it")
	flag.IntVar(&o.size.Ingresses, "ingresses", o.size.Ingresses, "Ingresses")
	flag.IntVar(&o.size.Services, "services", o.size.Services, "Services, each with an EndpointSlice")
	flag.IntVar(&o.size.Consumers, "consumers", o.size.Consumers, "KongConsumers, each with a key")
	flag.IntVar(&o.size.Certificates, "certificates", o.size.Certificates, "Ingresses with a certificate of their own")
	flag.IntVar(&o.changes, "changes", 40, "changes of each kind")
	flag.DurationVar(&o.settle, "settle", 30*time.Second, "how long to wait before memory counts as settled")
	flag.BoolVar(&o.keep, "keep", false, "keep the programs' logs")
	flag.BoolVar(&o.strict, "strict", true, "fail when a bar is missed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1) //nolint:gocritic // run has cleaned up
	}
}

func run(ctx context.Context, o *options) (err error) {
	dir, err := os.MkdirTemp("", "scale-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "logs are in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	var r results
	r.size = o.size
	if err := translateAll(&r); err != nil {
		return err
	}
	c, err := startCluster(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	say("creating %d Ingresses, %d Services, %d KongConsumers, %d certificates", o.size.Ingresses, o.size.Services, o.size.Consumers, o.size.Certificates)
	if err := c.populate(ctx, o.size); err != nil {
		return err
	}
	// Without a pod its routes are answered at once, with 503.
	if err := c.kube.Delete(ctx, o.size.EndpointSlice(o.size.Services-1, 0)); err != nil {
		return err
	}
	if err := c.gateway(ctx); err != nil {
		return err
	}
	if err := measure(ctx, o, c, &r); err != nil {
		return err
	}
	text := r.document()
	if o.output == "" {
		fmt.Print(text)
	} else if err := os.WriteFile(o.output, []byte(text), 0o644); err != nil { // #nosec G306 -- documentation
		return err
	}
	if missed := r.missed(); o.strict && len(missed) > 0 {
		return errors.Join(missed...)
	}
	return nil
}

// measure runs the manager and a proxy and changes things.
func measure(ctx context.Context, o *options, c *cluster, r *results) (err error) {
	stream, err := freeAddress()
	if err != nil {
		return err
	}
	config, err := c.kubeconfig()
	if err != nil {
		return err
	}
	say("starting the manager")
	began := time.Now()
	manager, err := start(c.dir, "manager", o.manager,
		[]string{"KUBECONFIG=" + config, "POD_NAMESPACE=" + managerNamespace, "POD_NAME=manager-1"},
		"--leader-elect", "--health-probe-bind-address=0", "--metrics-bind-address=0", "--config-stream-bind-address="+stream, "--proxy-image=proxy:scale")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.stop()) }()
	id, err := c.pod(ctx)
	if err != nil {
		return errors.Join(err, manager.alive())
	}
	p, err := startProxy(c.dir, o.proxy, stream, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	last := route{host: host(o.size.Ingresses - 1), path: "/api/v1"}
	if err := eventually(ctx, startTimeout, func() error {
		return errors.Join(manager.alive(), p.alive(), p.serves(ctx, last))
	}); err != nil {
		return fmt.Errorf("the first configuration: %w", err)
	}
	r.start, r.startCPU = time.Since(began), manager.cpu()
	say("the proxy serves after %v; waiting for the statuses", r.start.Round(time.Millisecond))
	if err := c.statuses(ctx, o.size); err != nil {
		return err
	}
	wait(ctx, o.settle)
	r.idle = idle(ctx, manager)
	r.managerRSS, r.managerPeak = manager.memory()
	r.proxyRSS, r.proxyPeak = p.memory()
	if err := r.change(ctx, o, c, manager, p); err != nil {
		return err
	}
	// The Secrets are written at most once a minute, and memory is given back then.
	wait(ctx, shard.NewSchedule().Interval+10*time.Second)
	r.managerAfter, r.managerPeak = manager.memory()
	r.proxyAfter, r.proxyPeak = p.memory()
	r.shards, r.shardBytes, err = c.shards(ctx)
	return err
}

// startProxy starts a proxy as the gateway's Deployment does.
func startProxy(dir, path, stream string, id identity) (*proxy, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	p, err := start(dir, "proxy", path,
		[]string{"POD_NAME=" + id.name, "POD_NAMESPACE=" + gatewayKey.Namespace, "POD_UID=" + id.uid},
		"--gateway="+gatewayKey.String(), "--control-plane="+stream, "--control-plane-server-name="+streamHost,
		"--control-plane-ca-dir="+id.caDir, "--token-file="+id.token, "--data-dir="+data,
		"--proxy-listen="+listen, "--status-listen=off")
	if err != nil {
		return nil, err
	}
	return &proxy{process: p, address: listen}, nil
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/test/scale/chain"
	"github.com/kong/kong-istio-gateway/test/scale/population"
)

// translateAll measures the translation of everything, on one core and without
// an API server. It is done a few times; the least counts, because on a busy
// machine caches are shared.
func translateAll(r *results) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	objects, err := chain.NewObjects(r.size)
	if err != nil {
		return err
	}
	for range 7 {
		runtime.GC()
		before := chain.CPU()
		t := chain.NewTranslation(objects, false)
		t.Feed()
		snap, err := t.Settle()
		if err != nil {
			return err
		}
		if took := chain.CPU() - before; r.full == 0 || took < r.full {
			r.full = took
		}
		r.records = snap.Records.Len()
		before = chain.CPU()
		if _, err := shard.Encode(t.Builder.Export(), shard.SecretLimits); err != nil {
			return err
		}
		if took := chain.CPU() - before; r.save == 0 || took < r.save {
			r.save = took
		}
	}
	return nil
}

// proxy is a proxy that runs.
type proxy struct {
	*process
	address string
}

// route is a host and a path.
type route struct{ host, path string }

func host(i int) string { return fmt.Sprintf("app-%d.example.com", i) }

// serves fails while the proxy has no route for a request.
func (p *proxy) serves(ctx context.Context, at route) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+at.path, http.NoBody)
	if err != nil {
		return err
	}
	req.Host = at.host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s%s: no route", at.host, at.path)
	}
	return nil
}

// cost is what changes of one kind cost.
type cost struct {
	name             string
	manager, proxy   time.Duration // processor time of one change
	median, slowest  time.Duration // until the proxy serves it
	routes, measured int
}

// idle returns the manager's processor time per second while nothing happens:
// the least of a few spans, for a lease is renewed and statuses may be late.
func idle(ctx context.Context, p *process) (least time.Duration) {
	const seconds = 5
	for i := range 4 {
		before := p.cpu()
		wait(ctx, seconds*time.Second)
		if took := (p.cpu() - before) / seconds; i == 0 || took < least {
			least = took
		}
	}
	return least
}

// change makes changes of each kind, one after the other.
func (r *results) change(ctx context.Context, o *options, c *cluster, manager *process, p *proxy) error {
	kinds := []struct {
		name   string
		count  int
		routes int
		do     func(i int) (client.Object, func() error)
	}{
		{"a path of one Ingress", o.changes, 1, func(i int) (client.Object, func() error) {
			at := route{host(o.size.Ingresses - 1), fmt.Sprintf("/api/v%d", 2+i)}
			return o.size.Ingress(o.size.Ingresses-1, 1+i), func() error { return p.serves(ctx, at) }
		}},
		{"a pod of one Service", o.changes, 5, func(i int) (client.Object, func() error) { return o.size.EndpointSlice(1, 1+i), nil }},
		{"the key of one consumer", o.changes, 0, func(i int) (client.Object, func() error) { return o.size.Key(1, 1+i), nil }},
		{"a KongPlugin of 1,000 Ingresses", max(1, o.changes/4), 1250, func(i int) (client.Object, func() error) {
			return population.Plugins(population.Namespace(0), 1+i)[0], nil
		}},
	}
	for _, k := range kinds {
		say("changing %s, %d times", k.name, k.count)
		cost, err := r.repeat(ctx, c, manager, p, k.count, k.do)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		cost.name, cost.routes = k.name, k.routes
		r.costs = append(r.costs, cost)
	}
	return nil
}

// pause between two changes lets what follows one end before the next: the
// acknowledgement, statuses, the gateway's own reconcile.
const pause = 250 * time.Millisecond

func (r *results) repeat(ctx context.Context, c *cluster, manager *process, p *proxy, count int, do func(int) (client.Object, func() error)) (cost, error) {
	var latencies []time.Duration
	began, cpu, other := time.Now(), manager.cpu(), p.cpu()
	for i := range count {
		o, served := do(i)
		if err := c.replace(ctx, o); err != nil {
			return cost{}, err
		}
		from := time.Now()
		if served != nil {
			if err := eventually(ctx, time.Minute, served); err != nil {
				return cost{}, errors.Join(err, manager.alive(), p.alive())
			}
			latencies = append(latencies, time.Since(from))
		}
		wait(ctx, pause)
	}
	wait(ctx, time.Second)
	took := manager.cpu() - cpu - time.Duration(time.Since(began).Seconds()*float64(r.idle))
	out := cost{manager: took / time.Duration(count), proxy: (p.cpu() - other) / time.Duration(count), measured: count}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		out.median, out.slowest = latencies[len(latencies)/2], latencies[len(latencies)-1]
	}
	return out, nil
}

// replace puts an object in the place of its earlier version.
func (c *cluster) replace(ctx context.Context, o client.Object) error {
	now, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", o)
	}
	if err := c.kube.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
		return err
	}
	o.SetResourceVersion(now.GetResourceVersion())
	return c.kube.Update(ctx, o)
}

// statuses waits until every KongConsumer is programmed.
func (c *cluster) statuses(ctx context.Context, size population.Size) error {
	return eventually(ctx, startTimeout, func() error {
		var list kongv1.KongConsumerList
		if err := c.kube.List(ctx, &list); err != nil {
			return err
		}
		programmed := 0
		for i := range list.Items {
			for _, condition := range list.Items[i].Status.Conditions {
				if condition.Type == string(kongv1.ConditionProgrammed) && condition.Status == "True" {
					programmed++
				}
			}
		}
		if programmed < size.Consumers {
			wait(ctx, time.Second)
			return fmt.Errorf("%d of %d KongConsumers are programmed", programmed, size.Consumers)
		}
		return nil
	})
}

// shards returns how many Secrets hold the snapshot, and their size.
func (c *cluster) shards(ctx context.Context) (count, bytes int, err error) {
	err = eventually(ctx, startTimeout, func() error {
		count, bytes = 0, 0
		for i := range shard.MaxShards {
			s := &corev1.Secret{}
			key := types.NamespacedName{Namespace: gatewayKey.Namespace, Name: shard.SecretName(gatewayKey.Name, i)}
			if err := c.kube.Get(ctx, key, s); err != nil {
				if i == 0 {
					return err
				}
				return client.IgnoreNotFound(err)
			}
			count++
			bytes += len(s.Data[shard.SecretKey])
		}
		return nil
	})
	return count, bytes, err
}

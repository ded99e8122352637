// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// scopeRows are the rows about the egress scope of the gateway's sidecar: what
// goes wrong in a mesh when traffic leads and the scope follows.
func (w *walk) scopeRows() []meshRow {
	return []meshRow{
		{"new backend ports under traffic", "only 200, then from the new backend with identity", w.newBackend},
		{"sidecar listens per address", "no shared listener for a backend port", w.listeners},
		{"Service with another ClusterIP", "200 from the new address", w.newAddress},
	}
}

// newBackend adds a backend on new ports while clients ask for its path. Until
// it is served, the route that matched before goes on; a request that left the
// mesh would be reset by STRICT and come back as 502 or 503.
func (w *walk) newBackend(ctx context.Context) (string, error) {
	type result struct {
		answers []answer
		err     error
	}
	done := make(chan result, 1)
	go func() {
		a, err := w.fetch(ctx, w.source, w.url("/new"), "-seconds", "5", "-parallel", "4", "-H", clientHost)
		done <- result{a, err}
	}()
	if err := w.apply(ctx, "12-new-backend.yaml"); err != nil {
		<-done
		return "", err
	}
	r := <-done
	if r.err != nil {
		return "", r.err
	}
	before, after := 0, 0
	for _, a := range r.answers {
		switch {
		case a.Status == 200 && strings.Contains(a.Body, "one says OK"):
			before++
		case a.Status == 200 && uriOf(line(a.Body, "X-Forwarded-Client-Cert")) == gatewayIdentity:
			after++
		default:
			return fmt.Sprintf("%d before, %d after", before, after), fmt.Errorf("an answer was %s", a)
		}
	}
	got := fmt.Sprintf("%d before, %d after, none lost", before, after)
	if after == 0 {
		return got, errors.New("the new backend never answered")
	}
	_, err := w.expect(ctx, "/new80", 200, "two says OK")
	return got, err
}

// listeners looks at the gateway's sidecar: a listener that several Services
// share routes by Host, and an unknown Host would leave the mesh.
func (w *walk) listeners(ctx context.Context) (string, error) {
	pod, err := w.kubectl(ctx, "-n", gatewayNamespace, "get", "pods", "-l", "gateway.konghq.com/gateway="+gatewayName,
		"--field-selector=status.phase=Running", "--sort-by=.metadata.creationTimestamp", "-o", "name")
	if err != nil {
		return "", err
	}
	pods := strings.Fields(pod)
	if len(pods) == 0 {
		return "", errors.New("no gateway pod")
	}
	addresses, err := w.kubectl(ctx, "-n", "echo", "get", "services", "http-echo", "http-echo-2", "http-echo-new",
		"-o", `jsonpath={range .items[*]}{.spec.clusterIP}{" "}{end}`)
	if err != nil {
		return "", err
	}
	ips := strings.Fields(addresses)
	if len(ips) != 3 {
		return addresses, errors.New("want three ClusterIPs")
	}
	want := []string{ips[0] + "_8080::", ips[1] + "_8080::", ips[2] + "_9191::", ips[2] + "_80::"}
	var found int
	err = eventually(ctx, 20*time.Second, func() error {
		out, err := w.kubectl(ctx, "-n", gatewayNamespace, "exec", pods[len(pods)-1], "-c", "istio-proxy", "--",
			"/usr/local/bin/pilot-agent", "request", "GET", "listeners")
		if err != nil {
			return err
		}
		found = 0
		for l := range strings.Lines(out) {
			for _, port := range []string{"80", "8080", "9191"} {
				if strings.HasPrefix(l, "0.0.0.0_"+port+"::") {
					return fmt.Errorf("shared listener %s", strings.TrimSpace(l))
				}
			}
		}
		for _, name := range want {
			if !strings.Contains(out, name) {
				return fmt.Errorf("no listener %s", name)
			}
			found++
		}
		return nil
	})
	return fmt.Sprintf("%d listeners of 4", found), err
}

// newAddress makes the Service anew. Requests that come while there is none are
// refused; afterwards every request reaches the new address.
func (w *walk) newAddress(ctx context.Context) (string, error) {
	address := func() (string, error) {
		return w.kubectl(ctx, "-n", "echo", "get", "service", "http-echo-new", "-o", "jsonpath={.spec.clusterIP}")
	}
	old, err := address()
	if err != nil {
		return "", err
	}
	if _, err := w.kubectl(ctx, "-n", "echo", "delete", "service", "http-echo-new"); err != nil {
		return "", err
	}
	if err := w.apply(ctx, "12-new-backend.yaml"); err != nil {
		return "", err
	}
	if _, err := w.expect(ctx, "/new", 200, "two says OK"); err != nil {
		return "", err
	}
	answers, err := w.fetch(ctx, w.source, w.url("/new"), "-count", "100", "-parallel", "4", "-H", clientHost)
	if err != nil {
		return "", err
	}
	for _, a := range answers {
		if a.Status != 200 || uriOf(line(a.Body, "X-Forwarded-Client-Cert")) != gatewayIdentity {
			return a.String(), errors.New("not through the mesh")
		}
	}
	now, err := address()
	if err == nil && now == old {
		err = errors.New("the Service got the same address again")
	}
	if err != nil {
		return now, err
	}
	_, err = w.kubectl(ctx, "-n", "echo", "delete", "ingress/new-backend", "service/http-echo-new")
	return old + " → " + now + ", 100 of 100", err
}

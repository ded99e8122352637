// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ownKinds are the kinds that the operator makes objects of.
const ownKinds = "deployments,services,serviceaccounts,poddisruptionbudgets,configmaps,secrets,controllerrevisions," +
	"peerauthentications.security.istio.io,destinationrules.networking.istio.io,sidecars.networking.istio.io"

// removal is step 8: plugins off, then the gateway away.
func (w *walk) removal(ctx context.Context) {
	if err := w.apply(ctx, "03-ingress.yaml"); err != nil {
		w.check("apply the Ingresses", "applied", "", err)
		return
	}
	a, err := w.expectWithout(ctx, "/", "X-RateLimit-Limit-Minute")
	w.check("/ without annotation", "200", a.String(), err)
	a, err = w.expect(ctx, "/v2", 200, "two says OK")
	w.check("/v2 without annotation", "200", a.String(), err)

	before, err := w.objects(ctx)
	if err != nil {
		w.check("objects before", "listed", "", err)
		return
	}
	if _, err := w.kubectl(ctx, "-n", gatewayNamespace, "delete", "kongistiogateways", gatewayName, "--timeout=90s"); err != nil {
		w.check("delete the gateway", "deleted", "", err)
		return
	}
	var left []string
	err = eventually(ctx, 60*time.Second, func() error {
		after, err := w.objects(ctx)
		if err != nil {
			return err
		}
		left = nil
		for name, ours := range after {
			if ours {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		if len(left) > 0 {
			return fmt.Errorf("still there: %s", strings.Join(left, " "))
		}
		return nil
	})
	made := 0
	for _, ours := range before {
		if ours {
			made++
		}
	}
	if err == nil && made < 7 {
		err = fmt.Errorf("only %d objects had been made", made)
	}
	w.check("deleting removes all it made", "no object left", fmt.Sprintf("%d made, %d left", made, len(left)), err)
	after, err := w.objects(ctx)
	var lost []string
	for name, ours := range before {
		if _, there := after[name]; !ours && !there {
			lost = append(lost, name)
		}
	}
	if err == nil && len(lost) > 0 {
		slices.Sort(lost)
		err = errors.New(strings.Join(lost, " "))
	}
	w.check("and nothing else", "other objects stay", fmt.Sprintf("%d others", len(before)-made), err)
}

// objects lists the objects of the kinds that the operator makes, and whether
// they were made for a gateway.
func (w *walk) objects(ctx context.Context) (map[string]bool, error) {
	const format = `jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.labels.gateway\.konghq\.com/gateway-uid}{.metadata.ownerReferences[?(@.kind=="KongIstioGateway")].name}{"\n"}{end}`
	out, err := w.kubectl(ctx, "get", ownKinds, "-A", "-o", format)
	if err != nil {
		return nil, err
	}
	classes, err := w.kubectl(ctx, "get", "ingressclasses", "-o", format)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for l := range strings.Lines(out + classes) {
		name, owner, _ := strings.Cut(strings.TrimSpace(l), " ")
		if name == "" {
			continue
		}
		found[name] = owner != ""
	}
	return found, nil
}

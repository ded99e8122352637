// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// manyHosts is an Ingress with so many routes, which the KongPlugin p is
// attached to.
func manyHosts(name, created string, hosts int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %s, namespace: a, creationTimestamp: %q, annotations: {konghq.com/plugins: p}}
spec:
  ingressClassName: kong
  rules:
`, name, created)
	for i := range hosts {
		fmt.Fprintf(&b, "  - {host: h%d.%s.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: w, port: {number: 80}}}}]}}\n", i, name)
	}
	return b.String()
}

// plugins counts an Ingress's plugins by name.
func (l *live) plugins(ingress string) map[string]int {
	counts := make(map[string]int)
	for _, e := range l.units[fragment.Owner{Kind: fragment.OwnerIngress, Namespace: "a", Name: ingress}] {
		if p, ok := e.(*entity.Plugin); ok {
			counts[p.Name]++
		}
	}
	return counts
}

// TestRoutesTimesConsumersIsBounded holds that a plugin on many routes and many
// consumers costs those of its routes that came last, which are not open then,
// and that it is usable there once there is room.
func TestRoutesTimesConsumersIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: p, namespace: a}
plugin: ip-restriction
config: {allow: [10.0.0.0/8]}
---
apiVersion: v1
kind: Service
metadata: {name: w, namespace: a}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
`)
	const consumers = 200
	for i := range consumers {
		fmt.Fprintf(&b, `---
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: c%d, namespace: a, annotations: {kubernetes.io/ingress.class: kong, konghq.com/plugins: p}}
username: c%d
`, i, i)
	}
	b.WriteString(manyHosts("newer", "2026-01-02T00:00:00Z", 20))
	b.WriteString(manyHosts("older", "2026-01-01T00:00:00Z", 40))
	b.WriteString(manyHosts("huge", "2025-01-01T00:00:00Z", 51))
	objects, _, err := Decode(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(fragment.Settings{Class: "kong"}, schemas.All())
	for _, o := range objects[:len(objects)-1] {
		l.Set(o)
	}
	l.settle()
	older, huge := objects[len(objects)-2], objects[len(objects)-1]
	expect := func(when, ingress, plugin string, count int) {
		t.Helper()
		if got := l.plugins(ingress); len(got) != 1 || got[plugin] != count {
			t.Errorf("%s: %s has %v, want %d of %s", when, ingress, got, count, plugin)
		}
	}
	expect("too many together", "older", "ip-restriction", 40*consumers)
	expect("too many together", "newer", "unusable", 20)
	told := false
	for _, p := range l.Problems(liveGateway) {
		told = told || p.Object.Name == "newer" && strings.Contains(p.Message, "would become 12000 plugins") && strings.Contains(p.Message, "500")
	}
	if !told {
		t.Errorf("the newer is not told: %v", l.Problems(liveGateway))
	}
	l.remove(older)
	expect("the older is gone", "newer", "ip-restriction", 20*consumers)
	l.put(huge)
	expect("too many alone", "huge", "unusable", 51)
	expect("another has too many alone", "newer", "ip-restriction", 20*consumers)
}

// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/controllers/routes"
)

// manifest fills the test's namespace into YAML.
func manifest(namespace, text string) string { return strings.ReplaceAll(text, "NAMESPACE", namespace) }

const walkthrough = `
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: Service
metadata: {name: http-echo, namespace: NAMESPACE}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: kong-ingress
  namespace: NAMESPACE
  annotations: {konghq.com/plugins: "rate-limit,NAMESPACE-ips"}
spec:
  ingressClassName: NAMESPACE
  rules: [{http: {paths: [{path: /, pathType: ImplementationSpecific, backend: {service: {name: http-echo, port: {number: 8080}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: foreign, namespace: NAMESPACE, annotations: {konghq.com/methods: "B@D"}}
spec:
  ingressClassName: somebody-else
  rules: [{http: {paths: [{path: /, pathType: Exact, backend: {service: {name: nowhere, port: {number: 80}}}}]}}]
`

const plugins = `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: rate-limit, namespace: NAMESPACE}
plugin: rate-limiting
config: {minute: 1, policy: local}
---
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata:
  name: NAMESPACE-ips
  namespace: NAMESPACE
  annotations: {kubernetes.io/ingress.class: NAMESPACE}
plugin: ip-restriction
config: {allow: [54.13.21.1]}
`

func programmed(list []metav1.Condition) string {
	c := apimeta.FindStatusCondition(list, "Programmed")
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s/%s: %s", c.Status, c.Reason, c.Message)
}

// condition waits for the Programmed condition of a KongPlugin.
func (s *system) condition(name, prefix string) *kongv1.KongPlugin {
	s.t.Helper()
	p := &kongv1.KongPlugin{}
	eventually(s.t, "condition of KongPlugin "+name, func() error {
		if err := kube.Get(context.Background(), types.NamespacedName{Namespace: s.gateway.Namespace, Name: name}, p); err != nil {
			return err
		}
		if got := programmed(p.Status.Conditions); !strings.HasPrefix(got, prefix) {
			return fmt.Errorf("%q, want %q", got, prefix)
		}
		return nil
	})
	return p
}

func (s *system) wantPlugins(names ...string) {
	s.t.Helper()
	eventually(s.t, "published plugins", func() error { return want("list", s.plugins(), names, slices.Equal[[]string]) })
}

// TestKindsComeAndGo begins without the CRDs of plugins.
func TestKindsComeAndGo(t *testing.T) {
	const ns = "kinds"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	kubectl(t, "", "delete", "crd", "kongplugins.configuration.konghq.com", "kongclusterplugins.configuration.konghq.com", "--ignore-not-found", "--wait=true")
	kubectl(t, manifest(ns, walkthrough), "apply", "-f", "-")
	s := start(t, ns)
	s.wantPlugins("unusable" + route)

	installKongCRDs(t)
	kubectl(t, manifest(ns, plugins), "apply", "-f", "-")
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)

	kubectl(t, "", "delete", "crd", "kongplugins.configuration.konghq.com", "--wait=true")
	s.wantPlugins("ip-restriction"+route, "unusable"+route)

	installKongCRDs(t)
	kubectl(t, manifest(ns, plugins), "apply", "-f", "-")
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
}

func TestWalkthrough(t *testing.T) {
	const ns = "walkthrough"
	ctx := context.Background()
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)

	t.Run("facts", func(t *testing.T) {
		f := s.cp.Facts(s.gateway)
		if !f.Synced || f.AttachedRoutes != 1 || len(f.Problems) != 0 || len(f.Backends) != 1 || f.Backends[0].ClusterIP == "" {
			t.Errorf("facts are %+v", f)
		}
		s.server.mu.Lock()
		count := s.server.count[s.stream()]
		s.server.mu.Unlock()
		if count != 1 {
			t.Errorf("the first configuration was published in %d parts", count)
		}
	})

	ingress := func() *networkingv1.Ingress {
		ing := &networkingv1.Ingress{}
		if err := kube.Get(ctx, types.NamespacedName{Namespace: ns, Name: "kong-ingress"}, ing); err != nil {
			t.Fatal(err)
		}
		return ing
	}
	t.Run("nothing is claimed before proxies acknowledged it", func(t *testing.T) {
		s.condition("rate-limit", "False/Pending: Object is pending configuration in Kong.")
		spec := s.spec()
		spec.Addresses = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.7"}}
		s.cp.SetGateway(spec)
		if got := ingress().Status.LoadBalancer.Ingress; len(got) != 0 {
			t.Errorf("addresses are %v", got)
		}
	})
	t.Run("acknowledged", func(t *testing.T) {
		eventually(t, "address of the Ingress", func() error {
			s.acknowledge()
			if got := ingress().Status.LoadBalancer.Ingress; len(got) != 1 || got[0].IP != "192.0.2.7" {
				return fmt.Errorf("addresses are %v", got)
			}
			return nil
		})
		s.condition("rate-limit", "True/Programmed: Object was successfully configured in Kong.")
		eventually(t, "condition of the KongClusterPlugin", func() error {
			p := &kongv1.KongClusterPlugin{}
			if err := kube.Get(ctx, types.NamespacedName{Name: ns + "-ips"}, p); err != nil {
				return err
			}
			if got := programmed(p.Status.Conditions); !strings.HasPrefix(got, "True/") {
				return fmt.Errorf("%q", got)
			}
			return nil
		})
	})
	test := t
	t.Run("a restart writes nothing", func(t *testing.T) {
		plugin, ing := s.condition("rate-limit", "True/"), ingress()
		s.stop()
		again := start(test, ns)
		again.cp.SetGateway(func() routes.GatewaySpec {
			spec := again.spec()
			spec.Addresses = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.7"}}
			return spec
		}())
		again.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
		again.acknowledge()
		// A change that is written afterwards shows that all before it is done.
		kubectl(t, manifest(ns, `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: later, namespace: NAMESPACE}
plugin: cors
`), "apply", "-f", "-")
		kubectl(t, "", "-n", ns, "annotate", "service", "http-echo", "konghq.com/plugins=later")
		again.condition("later", "False/Pending")
		if now := again.condition("rate-limit", "True/"); now.ResourceVersion != plugin.ResourceVersion {
			t.Errorf("the KongPlugin was written: %v", now.Status)
		}
		if now := ingress(); now.ResourceVersion != ing.ResourceVersion {
			t.Errorf("the Ingress was written: %v", now.Status)
		}
		s = again
	})
	t.Run("annotation removed", func(t *testing.T) {
		kubectl(t, "", "-n", ns, "annotate", "ingress", "kong-ingress", "konghq.com/plugins-")
		s.wantPlugins()
	})
	t.Run("what is not of our class is not touched", func(t *testing.T) {
		ing := &networkingv1.Ingress{}
		if err := kube.Get(ctx, types.NamespacedName{Namespace: ns, Name: "foreign"}, ing); err != nil {
			t.Fatal(err)
		}
		if len(ing.Status.LoadBalancer.Ingress) != 0 || slices.ContainsFunc(ing.ManagedFields, func(m metav1.ManagedFieldsEntry) bool {
			return strings.Contains(m.Manager, "kong-istio-gateway")
		}) {
			t.Errorf("it was written to: %+v", ing)
		}
		if list := warnings(t, ns, "foreign"); len(list) != 0 {
			t.Errorf("events: %v", list)
		}
	})
	t.Run("gateway removed", func(t *testing.T) {
		if got := ingress().Status.LoadBalancer.Ingress; len(got) != 1 {
			t.Fatalf("addresses are %v", got)
		}
		s.cp.RemoveGateway(s.gateway)
		eventually(t, "the gateway's addresses go with it", func() error {
			if got := ingress().Status.LoadBalancer.Ingress; len(got) != 0 {
				return fmt.Errorf("addresses are %v", got)
			}
			return nil
		})
		if f := s.cp.Facts(s.gateway); f.Synced {
			t.Errorf("facts are %+v", f)
		}
		if _, list := s.entities(); len(list) != 0 {
			t.Errorf("still published: %v", list)
		}
	})
}

// warnings returns the texts of the Warning events about an object.
func warnings(t *testing.T, namespace, name string) []string {
	t.Helper()
	var list eventsv1.EventList
	if err := kube.List(context.Background(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list.Items {
		if e.Type == "Warning" && e.Regarding.Name == name {
			out = append(out, fmt.Sprintf("%s %s %s: %s", e.Regarding.Kind, e.Reason, e.Action, e.Note))
		}
	}
	slices.Sort(out)
	return out
}

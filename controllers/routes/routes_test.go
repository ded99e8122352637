// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/entity"
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

// TestKindsComeAndGo runs first: it begins without Kong's CRDs.
func TestKindsComeAndGo(t *testing.T) {
	const ns = "kinds"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
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

func TestBadInput(t *testing.T) {
	const ns = "bad-input"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
	s.acknowledge()
	s.condition("rate-limit", "True/")

	t.Run("a bad configuration", func(t *testing.T) {
		kubectl(t, "", "-n", ns, "patch", "kongplugin", "rate-limit", "--type=merge", "-p", `{"config":{"minute":"many"}}`)
		s.condition("rate-limit", "False/Invalid: The last valid version goes on serving: config.minute: ")
		s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
		eventually(t, "event", func() error {
			return want("list", warnings(t, ns, "rate-limit"), []string{
				"KongPlugin KongConfigurationTranslationFailed PluginConfigInvalid: config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)",
			}, slices.Equal[[]string])
		})
		f := s.cp.Facts(s.gateway)
		if len(f.Problems) != 1 || f.Problems[0].Object.Name != "rate-limit" || f.Problems[0].Field != "config.minute" {
			t.Errorf("problems are %v", f.Problems)
		}
	})
	t.Run("put right", func(t *testing.T) {
		kubectl(t, "", "-n", ns, "patch", "kongplugin", "rate-limit", "--type=merge", "-p", `{"config":{"minute":2}}`)
		eventually(t, "condition", func() error {
			s.acknowledge()
			p := &kongv1.KongPlugin{}
			if err := kube.Get(context.Background(), types.NamespacedName{Namespace: ns, Name: "rate-limit"}, p); err != nil {
				return err
			}
			if got := programmed(p.Status.Conditions); !strings.HasPrefix(got, "True/") {
				return fmt.Errorf("%q", got)
			}
			return nil
		})
		if f := s.cp.Facts(s.gateway); len(f.Problems) != 0 {
			t.Errorf("problems are %v", f.Problems)
		}
	})
	t.Run("rejected by a proxy", func(t *testing.T) {
		_, list := s.entities()
		i := slices.IndexFunc(list, func(e entity.Entity) bool { p, ok := e.(*entity.Plugin); return ok && p.Name == "rate-limiting" })
		s.server.mu.Lock()
		s.server.rejections[s.stream()] = []server.Rejection{{Rejection: configsync.Rejection{
			Key: entity.KeyOf(list[i]), Name: "rate-limiting", Field: "config.policy", Reason: "no such policy here",
		}, Proxies: 1}}
		s.server.mu.Unlock()
		s.cp.FleetChanged(context.Background(), s.gateway)
		s.condition("rate-limit", "False/Invalid: config.policy: proxies cannot run the plugins")
		f := s.cp.Facts(s.gateway)
		if len(f.Problems) != 1 || f.Problems[0].Object.Kind != "KongPlugin" {
			t.Errorf("problems are %v", f.Problems)
		}
	})
	t.Run("not known to an older proxy", func(t *testing.T) {
		_, list := s.entities()
		i := slices.IndexFunc(list, func(e entity.Entity) bool { p, ok := e.(*entity.Plugin); return ok && p.Name == "rate-limiting" })
		s.server.mu.Lock()
		s.server.rejections[s.stream()] = nil
		s.server.omissions[s.stream()] = []server.Omission{{Key: entity.KeyOf(list[i]), Reason: "the proxy's version does not know it", Proxies: 1}}
		s.server.mu.Unlock()
		s.cp.FleetChanged(context.Background(), s.gateway)
		s.condition("rate-limit", "False/Invalid: proxies cannot run the plugins")
	})
}

func TestSecretDeletedTakesEffect(t *testing.T) {
	const ns = "secret-config"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins)+manifest(ns, `---
apiVersion: v1
kind: Secret
metadata: {name: limits, namespace: NAMESPACE}
stringData: {config: "minute: 5"}
`), "apply", "-f", "-")
	kubectl(t, "", "-n", ns, "patch", "kongplugin", "rate-limit", "--type=json", "-p",
		`[{"op":"remove","path":"/config"},{"op":"add","path":"/configFrom","value":{"secretKeyRef":{"name":"limits","key":"config"}}}]`)
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
	kubectl(t, "", "-n", ns, "delete", "secret", "limits")
	s.wantPlugins("ip-restriction"+route, "unusable"+route)
	s.condition("rate-limit", "False/Invalid: configFrom.secretKeyRef.name: Secret "+ns+"/limits does not exist")
	kubectl(t, "", "-n", ns, "create", "secret", "generic", "limits", "--from-literal=config=minute: 9")
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
}

func TestForeignConditionIsLeftAlone(t *testing.T) {
	const ns = "foreign-condition"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	kubectl(t, manifest(ns, `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: rate-limit, namespace: NAMESPACE}
status:
  conditions: [{type: Programmed, status: "Unknown", reason: Theirs, message: hands off, lastTransitionTime: "2026-01-01T00:00:00Z"}]
`), "apply", "--server-side", "--subresource=status", "--field-manager=another-controller", "--force-conflicts", "-f", "-")
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
	s.acknowledge()
	eventually(t, "condition of the KongClusterPlugin", func() error {
		p := &kongv1.KongClusterPlugin{}
		if err := kube.Get(context.Background(), types.NamespacedName{Name: ns + "-ips"}, p); err != nil {
			return err
		}
		if got := programmed(p.Status.Conditions); !strings.HasPrefix(got, "True/") {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	s.condition("rate-limit", "Unknown/Theirs: hands off")
}

func TestEgressScopeTravels(t *testing.T) {
	const ns = "egress"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	var address string
	eventually(t, "backends", func() error {
		f := s.cp.Facts(s.gateway)
		if len(f.Backends) != 1 {
			return fmt.Errorf("facts are %+v", f)
		}
		address = f.Backends[0].Addresses[0]
		return nil
	})
	s.cp.SetEgress(s.gateway, map[string]string{address: "h1"})
	s.wantScope(address, configsync.ScopeEntry{EgressHash: "h1"})

	// Paused, and the scope in force does not cover the backend.
	paused := s.spec()
	paused.ScopeFrozen = true
	s.cp.SetGateway(paused)
	s.cp.SetEgress(s.gateway, nil)
	s.wantScope(address, configsync.ScopeEntry{Held: true})
	s.wantProblems("Service http-echo ScopeFrozen")
	s.wantEvent("http-echo", "KongConfigurationApplyFailed", "the gateway is paused")

	s.cp.SetEgress(s.gateway, map[string]string{address: "h1"})
	s.wantScope(address, configsync.ScopeEntry{EgressHash: "h1"})
	s.wantProblems()
}

// TestFleetReportsAreTold holds that what proxies report reaches the gateway's
// problems and, once, the events.
func TestFleetReportsAreTold(t *testing.T) {
	const ns = "fleet-reports"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	eventually(t, "backends", func() error {
		if f := s.cp.Facts(s.gateway); len(f.Backends) != 1 || !f.Synced {
			return fmt.Errorf("facts are %+v", f)
		}
		return nil
	})
	address := netip.MustParseAddrPort(s.cp.Facts(s.gateway).Backends[0].Addresses[0])
	s.acknowledge()
	report := func(r configsync.Report) {
		s.server.mu.Lock()
		s.server.reports[s.stream()] = r
		s.server.mu.Unlock()
		s.cp.FleetChanged(context.Background(), s.gateway)
	}
	pending := configsync.Report{
		ScopePending: []configsync.ScopePending{{Address: address, Since: time.Now()}}, Errors: []string{"the disk is full"},
	}
	report(pending)
	s.wantProblems("KongIstioGateway edge ProxyError", "Service http-echo ScopePending")
	s.wantEvent("http-echo", "KongConfigurationApplyFailed", address.String())
	s.wantEvent("edge", "KongConfigurationApplyFailed", "the disk is full")
	pending.ScopePending[0].Since = time.Now().Add(time.Second)
	report(pending)
	s.wantProblems("KongIstioGateway edge ProxyError", "Service http-echo ScopePending")
	list := &eventsv1.EventList{}
	if err := kube.List(t.Context(), list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range list.Items {
		if e.Action == "ScopePending" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d events about the pending address, want 1", told)
	}
	report(configsync.Report{})
	s.wantProblems()
}

// wantScope waits until the newest configuration says so of an address.
func (s *system) wantScope(address string, want configsync.ScopeEntry) {
	s.t.Helper()
	eventually(s.t, "scope", func() error {
		s.server.mu.Lock()
		snap := s.server.published[s.stream()]
		s.server.mu.Unlock()
		r, ok := snap.Records.Get(configsync.KeyDigest(configsync.ScopeKey(netip.MustParseAddrPort(address))))
		if !ok {
			return fmt.Errorf("no entry for %s", address)
		}
		got, err := configsync.DecodeSetting(r.Value)
		if err != nil {
			return err
		}
		if scope, ok := got.(*configsync.ScopeEntry); !ok || *scope != want {
			return fmt.Errorf("the entry of %s is %+v, want %+v", address, got, want)
		}
		return nil
	})
}

// wantProblems waits for the gateway's problems, each as "Kind name Reason".
func (s *system) wantProblems(problems ...string) {
	s.t.Helper()
	eventually(s.t, "problems", func() error {
		var got []string
		for _, p := range s.cp.Facts(s.gateway).Problems {
			got = append(got, p.Object.Kind+" "+p.Object.Name+" "+p.Reason)
		}
		slices.Sort(got)
		return want("list of problems", got, problems, slices.Equal)
	})
}

// wantEvent waits for an event about an object.
func (s *system) wantEvent(name, reason, text string) {
	s.t.Helper()
	eventually(s.t, "event", func() error {
		list := &eventsv1.EventList{}
		if err := kube.List(s.t.Context(), list, client.InNamespace(s.gateway.Namespace)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Regarding.Name == name && e.Reason == reason && strings.Contains(e.Note, text) {
				return nil
			}
		}
		return fmt.Errorf("no event %s with %q about %s", reason, text, name)
	})
}

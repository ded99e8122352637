// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/kong/kong-istio-gateway/controllers/routes"
)

// TestRevokedAtOnce holds that what is deleted or withdrawn has no effect any
// more, whatever last good versions there are.
func TestRevokedAtOnce(t *testing.T) {
	authority := `
apiVersion: v1
kind: ConfigMap
metadata: {name: authority, namespace: $NS, labels: {konghq.com/ca-cert: "true"}}
data: {ca.crt: $TEXT, id: 2b3c1c4e-0000-4000-8000-000000000009}
`
	rows := []row{{
		name: "objects", ingress: on("plugins", "cors,default:shared-revoke"),
		service: with(with(on("protocol", "https"), "tls-verify", "true"), "ca-certificates-configmaps", "authority"),
		objects: corsPlugin + "---" + consumer("alice", "credentials: [key]") + credential("key", "key-auth", "key: k-$NS") + authority + `---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: shared-revoke, namespace: default}
plugin: correlation-id
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: let-revoke, namespace: default}
spec:
  from: [{group: networking.k8s.io, kind: Ingress, namespace: $NS}]
  to: [{group: configuration.konghq.com, kind: KongPlugin, name: shared-revoke}]
---
` + vault("$NS", "$NS", "{prefix: a}"),
	}}
	tb := startTable(t, "revoke", rows)
	ns := tb.namespace(0)
	says := func(what string, wants ...string) {
		t.Helper()
		eventually(t, what, func() error { return tb.published(ns, 0, wants) })
	}
	says("all", `plugins {"name":"cors"}`, `plugins {"name":"correlation-id"}`, `credentials {}`, `ca_certificates {}`, `vaults {}`, `!plugins {"name":"unusable"}`)

	kubectl(t, "", "-n", ns, "delete", "secret", "key")
	says("the credential is gone", `!credentials {}`, `consumers {"username":"alice-$NS"}`)
	kubectl(t, "", "-n", "default", "delete", "referencegrant", "let-revoke")
	says("the grant is withdrawn", `!plugins {"name":"correlation-id"}`, `plugins {"name":"cors"}`, broken)
	kubectl(t, "", "-n", ns, "delete", "kongplugin", "cors")
	says("the plugin is gone", `!plugins {"name":"cors"}`, broken)
	kubectl(t, "", "-n", ns, "label", "configmap", "authority", "konghq.com/ca-cert-")
	says("the CA certificate is none any more", `!ca_certificates {}`)
	kubectl(t, "", "delete", "kongvault", ns)
	says("the vault is gone", `!vaults {}`)
	kubectl(t, "", "-n", ns, "delete", "kongconsumer", "alice")
	says("the consumer is gone", `!consumers {}`)
	kubectl(t, "", "-n", ns, "delete", "ingress", "web")
	says("nothing is left", `!routes {}`, `!services {}`, `!upstreams {}`, `!targets {}`)
}

// TestLastGoodGoesOn holds that an object whose newest version is invalid goes on
// as it was and says so, and that everything else changes meanwhile.
func TestLastGoodGoesOn(t *testing.T) {
	tb := startTable(t, "last-good", []row{{
		name: "objects", ingress: on("plugins", "limit"),
		objects: plugin("limit", "plugin: rate-limiting\nconfig: {minute: 5, policy: local}") + "---" + vault("$NS", "$NS", "{prefix: good}") + "---" +
			ingressTo("edited", "/good", "ImplementationSpecific", toWeb, ""),
	}})
	ns := tb.namespace(0)
	good := []string{`plugins {"config":{"minute":5}}`, `vaults {"config":{"prefix":"good"}}`, `routes {"paths":["/good"]}`}
	eventually(t, "all", func() error { return tb.published(ns, 0, good) })
	kubectl(t, "", "-n", ns, "patch", "kongplugin", "limit", "--type=merge", "-p", `{"config":{"minute":"many"}}`)
	kubectl(t, "", "patch", "kongvault", ns, "--type=merge", "-p", `{"spec":{"config":{"prefix":7}}}`)
	kubectl(t, "", "-n", ns, "patch", "ingress", "edited", "--type=json", "-p", `[{"op":"replace","path":"/spec/rules/0/http/paths/0/path","value":"/~/a("}]`)
	eventually(t, "told", func() error {
		tb.acknowledge()
		for _, status := range []string{
			"KongPlugin limit: Programmed=False/Invalid: The last valid version goes on serving: config.minute: ",
			"KongVault " + ns + ": Programmed=False/Invalid: The last valid version goes on serving: spec.config.prefix: ",
			"Ingress edited: 192.0.2.7",
		} {
			if err := tb.hasStatus(ns, status); err != nil {
				return err
			}
		}
		list, err := tb.warnings(ns)
		if err == nil && len(list) != 3 {
			err = fmt.Errorf("events are %q", list)
		}
		return err
	})
	kubectl(t, "", "-n", ns, "annotate", "service", "web", "konghq.com/retries=9")
	eventually(t, "the rest goes on", func() error { return tb.published(ns, 0, append(good, `services {"retries":9}`)) })
	kubectl(t, "", "-n", ns, "delete", "kongplugin", "limit")
	eventually(t, "what is deleted does not", func() error { return tb.published(ns, 0, []string{`!plugins {"name":"rate-limiting"}`, broken}) })
}

// TestConditionIsWithdrawn holds that an object that nothing refers to any more
// does not go on saying that it is programmed.
func TestConditionIsWithdrawn(t *testing.T) {
	tb := startTable(t, "withdrawn", []row{{name: "objects", ingress: on("plugins", "cors"), objects: corsPlugin}})
	ns := tb.namespace(0)
	says := func(status string) {
		t.Helper()
		eventually(t, status, func() error {
			tb.acknowledge()
			return tb.hasStatus(ns, "KongPlugin cors: "+status)
		})
	}
	says("Programmed=True/Programmed: ")
	kubectl(t, "", "-n", ns, "annotate", "ingress", "web", "konghq.com/plugins-")
	says("Programmed=False/Pending: Object is pending configuration in Kong.")
	kubectl(t, "", "-n", ns, "annotate", "ingress", "web", "konghq.com/plugins=cors")
	says("Programmed=True/Programmed: ")
}

// TestForeignAddressesAreLeftAlone holds that of the routes that leave our class
// only our own addresses are taken back: not those of the controller that has
// them now.
func TestForeignAddressesAreLeftAlone(t *testing.T) {
	tb := startTable(t, "addresses", []row{{
		name: "objects", objects: ingressTo("ours", "/ours", "ImplementationSpecific", toWeb, "") + "---" + ingressTo("theirs", "/theirs", "ImplementationSpecific", toWeb, ""),
	}})
	ns := tb.namespace(0)
	says := func(statuses ...string) {
		t.Helper()
		eventually(t, strings.Join(statuses, ", "), func() error {
			for _, s := range statuses {
				if err := tb.hasStatus(ns, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	// Before the proxies acknowledge anything, nothing is written.
	eventually(t, "both", func() error {
		return tb.published(ns, 0, []string{`routes {"paths":["/ours"]}`, `routes {"paths":["/theirs"]}`})
	})
	kubectl(t, "", "-n", ns, "patch", "ingress", "theirs", "--field-manager=nginx", "--subresource=status", "--type=merge",
		"-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.3"}]}}}`)
	leave := []string{"--type=merge", "-p", `{"spec":{"ingressClassName":"nginx"}}`}
	kubectl(t, "", append([]string{"-n", ns, "patch", "ingress", "theirs"}, leave...)...)
	eventually(t, "theirs has left", func() error { return tb.published(ns, 0, []string{`!routes {"paths":["/theirs"]}`}) })
	tb.acknowledge()
	says("Ingress ours: 192.0.2.7")
	kubectl(t, "", append([]string{"-n", ns, "patch", "ingress", "ours"}, leave...)...)
	says("Ingress ours: none", "Ingress theirs: 198.51.100.3")
	theirs := &networkingv1.Ingress{}
	if err := kube.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "theirs"}, theirs); err != nil {
		t.Fatal(err)
	}
	for _, e := range theirs.ManagedFields {
		if e.Manager == routes.FieldOwner {
			t.Errorf("we have written to a status that was never ours: %s", e.FieldsV1)
		}
	}
}

// TestEventsAreQuiet holds that an event tells of each problem once for as long
// as it lasts: not of one that is over at once, and not again by the next
// manager.
func TestEventsAreQuiet(t *testing.T) {
	bad := with(on("methods", "B@D"), "plugins", "cors")
	tb := startTable(t, "quiet", []row{{name: "objects", ingress: bad}})
	ns := tb.namespace(0)
	kubectl(t, strings.ReplaceAll(corsPlugin, "$NS", ns), "apply", "-f", "-") // after the Ingress that names it
	tb.quiet(t)
	events := func() (out []string) {
		t.Helper()
		var list eventsv1.EventList
		if err := kube.List(context.Background(), &list, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.ReportingController == "kong-istio-gateway" {
				count := int32(1)
				if e.Series != nil {
					count = e.Series.Count
				}
				out = append(out, fmt.Sprintf("%d × %s %s", count, e.Action, e.Regarding.FieldPath))
			}
		}
		slices.Sort(out)
		return out
	}
	once := []string{"1 × AnnotationIgnored metadata.annotations[konghq.com/methods]"}
	if got := events(); !slices.Equal(got, once) {
		t.Errorf("events are %q, want %q", got, once)
	}

	kubectl(t, "", "-n", ns, "annotate", "ingress", "web", "--overwrite", "konghq.com/methods=GET")
	eventually(t, "put right", func() error { return tb.published(ns, 0, []string{`routes {"methods":["GET"]}`}) })
	kubectl(t, "", "-n", ns, "annotate", "ingress", "web", "--overwrite", "konghq.com/methods=B@D")
	twice := []string{"2 × AnnotationIgnored metadata.annotations[konghq.com/methods]"}
	eventually(t, "the same again", func() error { return want("events", events(), twice, slices.Equal) })

	tb.stop()
	tb.system = start(t, tb.class)
	eventually(t, "the next manager", func() error { return tb.published(ns, 0, []string{`routes {}`}) })
	kubectl(t, "", "-n", tb.class+"-last", "delete", "event,ingress", "--all")
	tb.quiet(t)
	if got := events(); !slices.Equal(got, twice) {
		t.Errorf("after a restart events are %q, want %q", got, twice)
	}
}

// TestListenerComesAndGoes holds that a stream route says whether the gateway
// listens at its port, whichever of the two changes.
func TestListenerComesAndGoes(t *testing.T) {
	tb := startTable(t, "listeners", []row{{name: "objects", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: TCPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {rules: [{port: 9000, backend: {serviceName: web, servicePort: 80}}]}
`}})
	ns := tb.namespace(0)
	eventually(t, "published", func() error { return tb.published(ns, 0, []string{`routes {"name":"$NS.stream.0"}`}) })
	tb.wantProblems()
	spec := tb.spec()
	spec.MeshMode = "none"
	tb.cp.SetGateway(spec)
	tb.wantProblems("TCPIngress stream ListenerNotFound")
	spec.StreamPorts.TCP = []int32{9001}
	tb.cp.SetGateway(spec)
	tb.wantProblems("TCPIngress stream ListenerNotFound")
	kubectl(t, "", "-n", ns, "patch", "tcpingress", "stream", "--type=json", "-p", `[{"op":"replace","path":"/spec/rules/0/port","value":9001}]`)
	tb.wantProblems()
	kubectl(t, "", "-n", ns, "patch", "tcpingress", "stream", "--type=json", "-p", `[{"op":"replace","path":"/spec/rules/0/port","value":9002}]`)
	tb.wantProblems("TCPIngress stream ListenerNotFound")
	kubectl(t, "", "-n", ns, "delete", "tcpingress", "stream")
	tb.wantProblems()
}

// TestAncestors holds that the ancestors of others stay as they are, that ours
// come and go with the Services, and that nothing is written when nothing
// changes.
func TestAncestors(t *testing.T) {
	policy := `
apiVersion: configuration.konghq.com/v1beta1
kind: KongUpstreamPolicy
metadata: {name: hash, namespace: $NS}
spec: {algorithm: consistent-hashing, hashOn: {header: X-User}}
`
	tb := startTable(t, "ancestors", []row{{name: "objects", objects: policy}})
	ns := tb.namespace(0)
	key := types.NamespacedName{Namespace: ns, Name: "hash"}
	live := func() *kongv1beta1.KongUpstreamPolicy {
		t.Helper()
		p := &kongv1beta1.KongUpstreamPolicy{}
		if err := kube.Get(context.Background(), key, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	theirs := gatewayv1.PolicyAncestorStatus{
		AncestorRef: gatewayv1.ParentReference{Name: "their-gateway"}, ControllerName: "example.com/theirs",
		Conditions: []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: metav1.Now()}},
	}
	p := live()
	p.Status.Ancestors = []gatewayv1.PolicyAncestorStatus{theirs}
	if err := kube.Status().Update(context.Background(), p, client.FieldOwner("theirs")); err != nil {
		t.Fatal(err)
	}
	says := func(what string, ours ...string) *kongv1beta1.KongUpstreamPolicy {
		t.Helper()
		eventually(t, what, func() error {
			tb.acknowledge()
			var got []string
			for _, a := range live().Status.Ancestors {
				if a.ControllerName == theirs.ControllerName {
					got = append(got, "theirs")
					continue
				}
				for _, c := range a.Conditions {
					got = append(got, fmt.Sprintf("%s %s=%s/%s", a.AncestorRef.Name, c.Type, c.Status, c.Reason))
				}
			}
			return want("ancestors", got, append([]string{"theirs"}, ours...), slices.Equal)
		})
		return live()
	}
	kubectl(t, "", "-n", ns, "annotate", "service", "web", "konghq.com/upstream-policy=hash")
	before := says("ours", "web Accepted=True/Accepted", "web Programmed=True/Programmed")
	kubectl(t, "", "-n", ns, "annotate", "service", "web", "konghq.com/retries=7")
	eventually(t, "another change", func() error { return tb.published(ns, 0, []string{`services {"retries":7}`}) })
	tb.acknowledge()
	tb.quiet(t) // what is written comes after this
	if after := live(); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written for nothing: %+v", after.Status)
	}
	kubectl(t, "", "-n", ns, "annotate", "service", "web", "konghq.com/upstream-policy-")
	says("without the annotation")
	kubectl(t, "", "-n", ns, "annotate", "service", "web", "konghq.com/upstream-policy=hash")
	says("again", "web Accepted=True/Accepted", "web Programmed=True/Programmed")

	// In the mesh the policy is accepted, and the mesh does its work.
	spec := tb.spec()
	tb.cp.SetGateway(spec)
	says("in the mesh", "web Accepted=True/Accepted", "web Programmed=False/DelegatedToMesh")
	tb.cp.RemoveGateway(tb.gateway)
	says("without the gateway")
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

func istioObject(kind istioKind, key types.NamespacedName, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(kind.gvk)
	u.SetName(key.Name)
	u.SetNamespace(key.Namespace)
	return u
}

func deploymentKey(key types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-blue"}
}

// TestPauseFreezesTheScope holds that the control plane is told, from the Sidecar object in force, what a paused gateway
// can reach; also by a manager that starts during the pause.
func TestPauseFreezesTheScope(t *testing.T) {
	op := startOperator(t)
	ns := namespace(t, nil)
	key := types.NamespacedName{Namespace: ns, Name: "edge"}
	web := mesh.Backend{Namespace: "shop", Service: "web", ClusterIPs: []string{"10.96.0.7"}, Port: 80}
	api := mesh.Backend{Namespace: "pay", Service: "api", ClusterIPs: []string{"10.96.0.8"}, Port: 80}
	op.routes.tell(key, RouteFacts{Synced: true, Backends: []mesh.Backend{web}})
	must(t, kube.Create(t.Context(), newGateway(ns, "edge", ns)))
	covered := func(want ...string) func() error {
		return func() error {
			if got := slices.Sorted(maps.Keys(op.routes.egressOf(key))); !slices.Equal(got, want) {
				return fmt.Errorf("covered %v, want %v", got, want)
			}
			return nil
		}
	}
	apiserver.Eventually(t, "covered", covered("10.96.0.7:80"))
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Paused = true })
	apiserver.Eventually(t, "frozen", func() error {
		if r, _ := op.routes.gateway(key); !r.ScopeFrozen {
			return fmt.Errorf("routing %+v", r)
		}
		return nil
	})
	op.routes.SetEgress(key, nil) // as after a restart
	op.routes.tell(key, RouteFacts{Synced: true, Backends: []mesh.Backend{web, api}})
	apiserver.Eventually(t, "what the Sidecar in force covers", covered("10.96.0.7:80"))
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Paused = false })
	apiserver.Eventually(t, "everything", covered("10.96.0.7:80", "10.96.0.8:80"))
	if r, _ := op.routes.gateway(key); r.ScopeFrozen {
		t.Error("still frozen")
	}
}

func TestEgressScopeLeads(t *testing.T) {
	op := startOperator(t)
	ns := namespace(t, nil)
	key := types.NamespacedName{Namespace: ns, Name: "edge"}

	op.routes.tell(key, RouteFacts{Synced: false})
	must(t, kube.Create(t.Context(), newGateway(ns, "edge", ns)))
	apiserver.Eventually(t, "held", hasCondition(t, key, "RolledOut", "False", v1alpha1.ReasonProgressing))
	if err := get(t, deploymentKey(key), &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
		t.Fatalf("proxies were started before their egress scope was known: %v", err)
	}

	web := mesh.Backend{Namespace: "shop", Service: "web", ClusterIPs: []string{"10.96.0.7"}, Port: 80}
	op.routes.tell(key, RouteFacts{Synced: true, Backends: []mesh.Backend{web}})
	d := &appsv1.Deployment{}
	apiserver.Eventually(t, "Deployment", func() error { return get(t, deploymentKey(key), d) })
	scope := istioObject(sidecarKind, key, nil)
	must(t, get(t, key, scope))
	if !older(scope.GetResourceVersion(), d.ResourceVersion) {
		t.Errorf("the Sidecar (%s) was written after the Deployment (%s)", scope.GetResourceVersion(), d.ResourceVersion)
	}
	apiserver.Eventually(t, "the control plane knows the hash", func() error {
		if op.routes.egressOf(key)["10.96.0.7:80"] == "" {
			return fmt.Errorf("egress %v", op.routes.egressOf(key))
		}
		return nil
	})
	hash := op.routes.egressOf(key)["10.96.0.7:80"]

	api := mesh.Backend{Namespace: "pay", Service: "api", ClusterIPs: []string{"10.96.0.8"}, Port: 80}
	op.routes.tell(key, RouteFacts{Synced: true, Backends: []mesh.Backend{web, api}})
	apiserver.Eventually(t, "the scope follows the routes", func() error {
		must(t, get(t, key, scope))
		egress, _, _ := unstructured.NestedSlice(scope.Object, "spec", "egress")
		if text := fmt.Sprint(egress); !strings.Contains(text, "pay/api.pay.svc.cluster.local shop/web.shop.svc.cluster.local") {
			return errors.New(text)
		}
		return nil
	})
	apiserver.Eventually(t, "hashes", func() error {
		if e := op.routes.egressOf(key); e["10.96.0.8:80"] == "" || e["10.96.0.7:80"] != hash {
			return fmt.Errorf("egress %v, the hash of the first was %s", e, hash)
		}
		return nil
	})
}

func older(a, b string) bool { return len(a) < len(b) || (len(a) == len(b) && a < b) }

func TestPoliciesOfOthers(t *testing.T) {
	startOperator(t)
	ns := namespace(t, nil)
	key := types.NamespacedName{Namespace: ns, Name: "edge"}
	theirs := types.NamespacedName{Namespace: ns, Name: "aaa-theirs"}
	selector := map[string]any{"app": "edge"}
	pa := istioObject(peerAuthenticationKind, theirs, map[string]any{
		"selector": map[string]any{"matchLabels": selector}, "mtls": map[string]any{"mode": "STRICT"},
	})
	must(t, kube.Create(t.Context(), pa))
	must(t, kube.Create(t.Context(), newGateway(ns, "edge", ns)))
	settle(t, key)
	apiserver.Eventually(t, "shadowed", hasCondition(t, key, "MeshReady", "False", v1alpha1.ReasonPeerAuthenticationShadowed))
	must(t, kube.Delete(t.Context(), pa))
	apiserver.Eventually(t, "not shadowed", hasCondition(t, key, "MeshReady", "True", v1alpha1.ReasonMeshReady))
	scope := istioObject(sidecarKind, theirs, map[string]any{
		"workloadSelector": map[string]any{"labels": selector}, "egress": []any{map[string]any{"hosts": []any{"./*"}}},
	})
	must(t, kube.Create(t.Context(), scope))
	apiserver.Eventually(t, "conflict", hasCondition(t, key, "MeshReady", "False", v1alpha1.ReasonEgressScopeShadowed))
	must(t, kube.Delete(t.Context(), scope))
	apiserver.Eventually(t, "no conflict", hasCondition(t, key, "MeshReady", "True", v1alpha1.ReasonMeshReady))

	t.Run("the namespace's own outbound policy is carried over", func(t *testing.T) {
		whole := istioObject(sidecarKind, types.NamespacedName{Namespace: ns, Name: "default"}, map[string]any{
			"egress": []any{map[string]any{"hosts": []any{"./*"}}}, "outboundTrafficPolicy": map[string]any{"mode": "REGISTRY_ONLY"},
		})
		must(t, kube.Create(t.Context(), whole))
		ours := istioObject(sidecarKind, key, nil)
		apiserver.Eventually(t, "policy", func() error {
			must(t, get(t, key, ours))
			if mode, _, _ := unstructured.NestedString(ours.Object, "spec", "outboundTrafficPolicy", "mode"); mode != "REGISTRY_ONLY" {
				return fmt.Errorf("mode %q", mode)
			}
			return nil
		})
		must(t, kube.Delete(t.Context(), whole))
		apiserver.Eventually(t, "and given up", func() error {
			must(t, get(t, key, ours))
			if _, there, _ := unstructured.NestedMap(ours.Object, "spec", "outboundTrafficPolicy"); there {
				return errors.New("still there")
			}
			return nil
		})
	})
}

func TestOldPortsStayUntilRolledOut(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Listeners[0].ContainerPort = 8080 })
	pa := istioObject(peerAuthenticationKind, key, nil)
	ports := func() map[string]any {
		must(t, get(t, key, pa))
		p, _, _ := unstructured.NestedMap(pa.Object, "spec", "portLevelMtls")
		return p
	}
	apiserver.Eventually(t, "old and new", func() error {
		if p := ports(); p["8080"] == nil || p["8000"] == nil {
			return fmt.Errorf("ports %v", p)
		}
		return nil
	})
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace = "edge-blue-0", key.Namespace
	must(t, kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
	apiserver.Eventually(t, "only new", func() error {
		if p := ports(); p["8080"] == nil || p["8000"] != nil {
			return fmt.Errorf("ports %v", p)
		}
		return nil
	})
}

func TestNamespaceInjection(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, func(gw *v1alpha1.KongIstioGateway) { gw.Spec.Mesh.NamespaceInjection.Mode = v1alpha1.Managed })
	ns := &corev1.Namespace{}
	label := func(want string) func() error {
		return func() error {
			must(t, get(t, types.NamespacedName{Name: key.Namespace}, ns))
			if got := ns.Labels[mesh.LabelNamespaceInject]; got != want {
				return fmt.Errorf("label is %q", got)
			}
			return nil
		}
	}
	must(t, label("enabled")())
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Mesh.NamespaceInjection.Mode = v1alpha1.Unmanaged })
	apiserver.Eventually(t, "released", label(""))
	if ns.DeletionTimestamp != nil {
		t.Error("the namespace is being deleted")
	}
}

func TestInjectionBlocked(t *testing.T) {
	startOperator(t)
	ns := namespace(t, map[string]string{mesh.LabelNamespaceInject: "disabled"})
	gw := newGateway(ns, "edge", ns)
	gw.Spec.Mesh.Mode = v1alpha1.MeshSidecar
	must(t, kube.Create(t.Context(), gw))
	key := client.ObjectKeyFromObject(gw)
	apiserver.Eventually(t, "blocked", hasCondition(t, key, "MeshReady", "False", v1alpha1.ReasonInjectionBlockedByNamespace))
	if err := get(t, deploymentKey(key), &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
		t.Errorf("pods were started that Istio does not inject: %v", err)
	}
	live := &corev1.Namespace{}
	must(t, get(t, types.NamespacedName{Name: ns}, live))
	delete(live.Labels, mesh.LabelNamespaceInject)
	must(t, kube.Update(t.Context(), live))
	apiserver.Eventually(t, "not blocked", hasCondition(t, key, "MeshReady", "False", v1alpha1.ReasonNoProxies))
}

// TestRunningPodsStayInTheMesh: while no injector is there, a change does not replace meshed pods by others.
func TestRunningPodsStayInTheMesh(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	c := injector()
	must(t, kube.Delete(t.Context(), c))
	apiserver.Eventually(t, "no injector", hasCondition(t, key, "MeshReady", "False", v1alpha1.ReasonIstioNotFound))
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Deployment.Image = "proxy:2" })
	apiserver.Eventually(t, "held", hasCondition(t, key, "RolledOut", "False", v1alpha1.ReasonProgressing))
	image := func() string {
		d := &appsv1.Deployment{}
		must(t, get(t, deploymentKey(key), d))
		return d.Spec.Template.Spec.Containers[0].Image
	}
	if image() == "proxy:2" {
		t.Error("meshed pods were replaced")
	}
	must(t, kube.Create(t.Context(), injector()))
	apiserver.Eventually(t, "goes on", func() error {
		if image() != "proxy:2" {
			return errors.New("old image")
		}
		return nil
	})
}

func TestWithoutMesh(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, func(gw *v1alpha1.KongIstioGateway) { gw.Spec.Mesh.Mode = v1alpha1.MeshNone })
	must(t, hasCondition(t, key, "MeshReady", "True", v1alpha1.ReasonNotRequired)())
	for _, k := range istioKinds {
		if err := get(t, key, istioObject(k, key, nil)); !apierrors.IsNotFound(err) {
			t.Errorf("%s exists: %v", k.gvk.Kind, err)
		}
	}
	t.Run("joining and leaving", func(t *testing.T) {
		change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Mesh.Mode = v1alpha1.MeshSidecar })
		for _, k := range istioKinds {
			apiserver.Eventually(t, "joined", func() error { return get(t, key, istioObject(k, key, nil)) })
		}
		change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Mesh.Mode = v1alpha1.MeshNone })
		for _, k := range istioKinds {
			apiserver.Eventually(t, "left", func() error {
				if err := get(t, key, istioObject(k, key, nil)); !apierrors.IsNotFound(err) {
					return fmt.Errorf("%s is still there: %w", k.gvk.Kind, err)
				}
				return nil
			})
		}
	})
}

// TestIstioComesAndGoes takes the definition of a kind away and brings it back while the operator runs.
func TestIstioComesAndGoes(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	crd := &apiextensionsv1.CustomResourceDefinition{}
	must(t, get(t, types.NamespacedName{Name: destinationRuleKind.crd}, crd))
	again := crd.DeepCopy()
	again.ResourceVersion, again.UID, again.Status = "", "", apiextensionsv1.CustomResourceDefinitionStatus{}
	must(t, kube.Delete(t.Context(), crd))
	apiserver.Eventually(t, "missing", hasCondition(t, key, "MeshReady", "False", v1alpha1.ReasonIstioNotFound))
	// The rest goes on being kept right.
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Deployment.Image = "proxy:2" })
	apiserver.Eventually(t, "image", func() error {
		d := &appsv1.Deployment{}
		must(t, get(t, deploymentKey(key), d))
		if d.Spec.Template.Spec.Containers[0].Image != "proxy:2" {
			return errors.New("old image")
		}
		return nil
	})
	apiserver.Eventually(t, "definition is gone", func() error {
		if err := get(t, types.NamespacedName{Name: again.Name}, crd); !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %w", err)
		}
		return nil
	})
	must(t, kube.Create(t.Context(), again))
	apiserver.Eventually(t, "back", func() error { return get(t, key, istioObject(destinationRuleKind, key, nil)) })
	apiserver.Eventually(t, "mesh ready", hasCondition(t, key, "MeshReady", "True", v1alpha1.ReasonMeshReady))
	t.Run("and is watched again", func(t *testing.T) {
		rule := istioObject(destinationRuleKind, key, nil)
		must(t, get(t, key, rule))
		must(t, unstructured.SetNestedField(rule.Object, "elsewhere.example", "spec", "host"))
		must(t, kube.Update(t.Context(), rule))
		apiserver.Eventually(t, "drift", func() error {
			must(t, get(t, key, rule))
			if host, _, _ := unstructured.NestedString(rule.Object, "spec", "host"); !strings.HasPrefix(host, "edge.") {
				return fmt.Errorf("host %s", host)
			}
			return nil
		})
	})
}

// TestRolloutStory records everything that happens to one gateway, from its creation to its deletion, as the Events that
// its user sees.
func TestRolloutStory(t *testing.T) {
	op := startOperator(t)
	ns := namespace(t, nil)
	key := types.NamespacedName{Namespace: ns, Name: "edge"}
	var story strings.Builder
	// chapter waits for the Event that ends it.
	chapter := func(title, last string) {
		t.Helper()
		text := "# " + title + "\n"
		apiserver.Eventually(t, title, func() error {
			for _, e := range op.events.take(ns) {
				if before, _, found := strings.Cut(e, "ControllerRevision edge-"); found {
					e = before + "ControllerRevision edge-<hash>"
				}
				text += strings.ReplaceAll(e, ns, "<namespace>") + "\n"
			}
			if !strings.Contains(text, last) {
				return fmt.Errorf("no %q in:\n%s", last, text)
			}
			return nil
		})
		story.WriteString(text)
	}
	must(t, kube.Create(t.Context(), newGateway(ns, "edge", ns)))
	chapter("created", "NoProxies Ready is False")
	d := &appsv1.Deployment{}
	must(t, get(t, deploymentKey(key), d))
	pod := startPod(t, key, d)
	chapter("a pod starts", "SidecarNotReady MeshReady is False")
	readyPod(t, pod)
	chapter("the pod is ready", "Available is True")
	completeDeployment(t, key)
	chapter("the Deployment is complete", "RolledOut is True")
	settleService(t, key)
	chapter("the load balancer has an address", "AddressReady is True")
	op.fleet.tell(key, FleetFacts{Known: true, Connected: 1, Programmed: 1})
	chapter("the proxy acknowledged", "Ready Ready is True")
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Deployment.Image = "proxy:2" })
	chapter("a new image", "Progressing Ready is False")
	completeDeployment(t, key)
	chapter("rolled out", "Ready Ready is True")
	op.fleet.tell(key, FleetFacts{Known: true, Connected: 1, Programmed: 1, Rejected: []string{"plugin rate-limit: config.minute: must be a number"}})
	chapter("a proxy rejects a plugin", "Rejected Ready is False")
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Mesh.Mode = v1alpha1.MeshAmbient })
	chapter("an unsupported spec", "UnsupportedField Accepted is False")
	must(t, kube.Delete(t.Context(), newGateway(ns, "edge", "")))
	chapter("deleted, its pod drains", "deleted Deployment edge-blue")
	must(t, kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
	chapter("the pod is gone", "deleted Sidecar edge")

	golden := filepath.Join("testdata", "rollout.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, []byte(story.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if story.String() != string(want) {
		t.Errorf("the story changed (UPDATE_GOLDEN=1 accepts it):\n%s", story.String())
	}
}

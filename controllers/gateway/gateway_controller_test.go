// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

func newGateway(ns, name, class string) *v1alpha1.KongIstioGateway {
	gw := &v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace = name, ns
	gw.Spec.IngressClassName = class
	return gw
}

// create makes a gateway in a namespace of its own, whose class has the namespace's name, and waits until it is ready.
func create(t *testing.T, op *operator, change func(*v1alpha1.KongIstioGateway)) types.NamespacedName {
	t.Helper()
	ns := namespace(t, nil)
	gw := newGateway(ns, "edge", ns)
	if change != nil {
		change(gw)
	}
	must(t, kube.Create(t.Context(), gw))
	key := client.ObjectKeyFromObject(gw)
	settle(t, key)
	op.fleet.tell(key, FleetFacts{Known: true, Connected: 1, Programmed: 1, Version: "v1"})
	apiserver.Eventually(t, "Ready", hasCondition(t, key, "Ready", "True", "Ready"))
	return key
}

// hasCondition checks one condition of a gateway at its current generation.
func hasCondition(t *testing.T, key types.NamespacedName, kind, status, reason string) func() error {
	t.Helper()
	return func() error {
		gw := &v1alpha1.KongIstioGateway{}
		if err := get(t, key, gw); err != nil {
			return err
		}
		c := apimeta.FindStatusCondition(gw.Status.Conditions, kind)
		if c == nil {
			return fmt.Errorf("no condition %s in %v", kind, gw.Status.Conditions)
		}
		if string(c.Status) != status || c.Reason != reason || c.ObservedGeneration != gw.Generation {
			return fmt.Errorf("%s is %s/%s (%s), want %s/%s; all: %+v", kind, c.Status, c.Reason, c.Message, status, reason, gw.Status.Conditions)
		}
		return nil
	}
}

// change edits a gateway's spec as a user does.
func change(t *testing.T, key types.NamespacedName, edit func(*v1alpha1.KongIstioGatewaySpec)) {
	t.Helper()
	apiserver.Eventually(t, "edit", func() error {
		gw := &v1alpha1.KongIstioGateway{}
		if err := get(t, key, gw); err != nil {
			return err
		}
		edit(&gw.Spec)
		return kube.Update(t.Context(), gw)
	})
}

// lists are all kinds that a gateway may have children of.
func lists() []client.ObjectList {
	all := inventory()
	for _, k := range istioKinds {
		l := &unstructured.UnstructuredList{}
		l.SetGroupVersionKind(k.gvk)
		all = append(all, l)
	}
	return all
}

// versions returns the resource version of every object in a namespace and of every IngressClass, without those that the
// test itself writes.
func versions(t *testing.T, ns string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, l := range append(lists(), &v1alpha1.KongIstioGatewayList{}, &corev1.NamespaceList{}) {
		must(t, kube.List(t.Context(), l))
		must(t, apimeta.EachListItem(l, func(o runtime.Object) error {
			obj, ok := o.(client.Object)
			if ok && (obj.GetNamespace() == ns || obj.GetName() == ns) {
				out[fmt.Sprintf("%T/%s/%s", obj, obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName())] = obj.GetResourceVersion()
			}
			return nil
		}))
	}
	return out
}

func TestRestartWritesNothing(t *testing.T) {
	op := startOperator(t)
	backends := RouteFacts{Synced: true, AttachedRoutes: 2, Backends: []mesh.Backend{
		{Namespace: "shop", Service: "web", ClusterIPs: []string{"10.96.0.7"}, Port: 80},
	}}
	ns := namespace(t, nil)
	key := types.NamespacedName{Namespace: ns, Name: "edge"}
	op.routes.tell(key, backends)
	gw := newGateway(ns, "edge", ns)
	gw.Spec.Service.Annotations = map[string]string{"example.com/lb": "fast"}
	gw.Spec.Deployment.PodTemplate = &v1alpha1.PodTemplateOverlay{Spec: &v1alpha1.PodSpecOverlay{}}
	gw.Spec.Deployment.PodTemplate.Spec.Raw = []byte(`{"volumes":[{"name":"info","projected":{"sources":[{"downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}}]}}]}}],"tolerations":[{"key":"edge","operator":"Exists"}],"containers":[{"name":"proxy","resources":{"limits":{"cpu":"1000m","memory":"1024Mi"}}},{"name":"extra","image":"extra:1","ports":[{"containerPort":9999}],"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]}`)
	must(t, kube.Create(t.Context(), gw))
	settle(t, key)
	fleet := FleetFacts{Known: true, Connected: 1, Programmed: 1, Version: "v1"}
	op.fleet.tell(key, fleet)
	apiserver.Eventually(t, "Ready", hasCondition(t, key, "Ready", "True", "Ready"))
	op.stop()

	before := versions(t, ns)
	if len(before) < 11 {
		t.Fatalf("only %d objects: %v", len(before), before)
	}
	again := startOperator(t)
	again.routes.tell(key, backends)
	again.fleet.tell(key, fleet)
	// A change that needs no write, and one that does, show that the second manager has made its passes.
	apiserver.Eventually(t, "the second manager knows the gateway", func() error {
		if _, ok := again.routes.gateway(key); !ok {
			return errors.New("not told yet")
		}
		return nil
	})
	for range 20 {
		again.fleet.tell(key, fleet)
	}
	probe := create(t, again, nil)
	if after := versions(t, ns); !maps.Equal(before, after) {
		t.Errorf("the restart wrote:\n%s", difference(before, after))
	}
	if probe.Namespace == ns {
		t.Fatal("the probe gateway must be another one")
	}
}

func difference(before, after map[string]string) string {
	var b strings.Builder
	for k, v := range after {
		if before[k] != v {
			fmt.Fprintf(&b, "%s: %s → %s\n", k, before[k], v)
		}
	}
	return b.String()
}

func TestDriftIsCorrected(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, func(gw *v1alpha1.KongIstioGateway) {
		gw.Spec.Service.Annotations = map[string]string{"example.com/lb": "fast", "example.com/other": "x"}
	})

	t.Run("a changed field comes back", func(t *testing.T) {
		s := &corev1.Service{}
		must(t, get(t, key, s))
		s.Annotations["example.com/lb"] = "slow"
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
		must(t, kube.Update(t.Context(), s))
		apiserver.Eventually(t, "drift", func() error {
			must(t, get(t, key, s))
			if s.Annotations["example.com/lb"] != "fast" || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
				return fmt.Errorf("still %v, %s", s.Annotations, s.Spec.ExternalTrafficPolicy)
			}
			return nil
		})
	})
	t.Run("what others add stays", func(t *testing.T) {
		s := &corev1.Service{}
		must(t, get(t, key, s))
		s.Annotations["cloud.example/id"] = "42"
		must(t, kube.Update(t.Context(), s))
		change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) {
			spec.Service.Annotations = map[string]string{"example.com/lb": "fast"}
		})
		apiserver.Eventually(t, "removed annotation disappears", func() error {
			must(t, get(t, key, s))
			if _, there := s.Annotations["example.com/other"]; there {
				return fmt.Errorf("still %v", s.Annotations)
			}
			return nil
		})
		if s.Annotations["cloud.example/id"] != "42" {
			t.Errorf("a foreign annotation is gone: %v", s.Annotations)
		}
	})
	t.Run("a field dropped from an atomic value disappears", func(t *testing.T) {
		tolerate := func(text string) {
			change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) {
				spec.Deployment.PodTemplate = &v1alpha1.PodTemplateOverlay{Spec: &v1alpha1.PodSpecOverlay{}}
				spec.Deployment.PodTemplate.Spec.Raw = []byte(text)
			})
		}
		effect := func(want corev1.TaintEffect) func() error {
			return func() error {
				d := &appsv1.Deployment{}
				must(t, get(t, deploymentKey(key), d))
				if n := d.Spec.Template.Spec.Tolerations; len(n) != 1 || n[0].Effect != want {
					return fmt.Errorf("tolerations %v", n)
				}
				return nil
			}
		}
		tolerate(`{"tolerations":[{"key":"edge","operator":"Exists","effect":"NoSchedule"}]}`)
		apiserver.Eventually(t, "set", effect(corev1.TaintEffectNoSchedule))
		tolerate(`{"tolerations":[{"key":"edge","operator":"Exists"}]}`)
		apiserver.Eventually(t, "dropped", effect(""))
	})
	t.Run("a deleted child is made again", func(t *testing.T) {
		pdb := &policyv1.PodDisruptionBudget{}
		must(t, get(t, key, pdb))
		old := pdb.UID
		must(t, kube.Delete(t.Context(), pdb))
		apiserver.Eventually(t, "made again", func() error {
			if err := get(t, key, pdb); err != nil {
				return err
			}
			if pdb.UID == old {
				return errors.New("not deleted yet")
			}
			return nil
		})
	})
	t.Run("a removed inventory label comes back", func(t *testing.T) {
		sa := &corev1.ServiceAccount{}
		must(t, get(t, key, sa))
		delete(sa.Labels, render.LabelGatewayUID)
		delete(sa.Labels, "app.kubernetes.io/managed-by")
		must(t, kube.Update(t.Context(), sa))
		apiserver.Eventually(t, "label", func() error {
			must(t, get(t, key, sa))
			if sa.Labels[render.LabelGatewayUID] == "" || sa.Labels["app.kubernetes.io/managed-by"] == "" {
				return fmt.Errorf("labels %v", sa.Labels)
			}
			return nil
		})
	})
}

func TestForeignObjectIsRefused(t *testing.T) {
	op := startOperator(t)
	ns := namespace(t, nil)
	theirs := &corev1.Service{}
	theirs.Name, theirs.Namespace = "edge", ns
	theirs.Labels = map[string]string{"app": "theirs", render.LabelGatewayUID: "copied"}
	theirs.Spec.Ports = []corev1.ServicePort{{Port: 1234}}
	must(t, kube.Create(t.Context(), theirs))
	key := types.NamespacedName{Namespace: ns, Name: "edge"}
	must(t, kube.Create(t.Context(), newGateway(ns, "edge", ns)))
	apiserver.Eventually(t, "refused", hasCondition(t, key, "RolledOut", "False", v1alpha1.ReasonApplyFailed))

	gw := &v1alpha1.KongIstioGateway{}
	must(t, get(t, key, gw))
	message := apimeta.FindStatusCondition(gw.Status.Conditions, "RolledOut").Message
	if want := "Service " + ns + "/edge exists and was not created for this gateway"; !strings.Contains(message, want) {
		t.Errorf("message %q does not say %q", message, want)
	}
	now := &corev1.Service{}
	must(t, get(t, key, now))
	if now.ResourceVersion != theirs.ResourceVersion {
		t.Error("the foreign Service was written")
	}

	must(t, kube.Delete(t.Context(), theirs))
	op.routes.tell(key, RouteFacts{Synced: true})
	apiserver.Eventually(t, "the Service is made once the foreign one is gone", func() error {
		if err := get(t, key, now); err != nil {
			return err
		}
		if now.Labels[render.LabelGatewayUID] != string(gw.UID) {
			return fmt.Errorf("labels %v", now.Labels)
		}
		return nil
	})
}

func TestContestedField(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	contest := func() {
		d := &appsv1.Deployment{}
		d.Name, d.Namespace = key.Name+"-blue", key.Namespace
		must(t, kube.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":7}}`)), client.FieldOwner("autoscaler")))
	}
	replicas := func(want int32) func() error {
		return func() error {
			d := &appsv1.Deployment{}
			if err := get(t, types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-blue"}, d); err != nil {
				return err
			}
			if *d.Spec.Replicas != want {
				return fmt.Errorf("replicas are %d", *d.Spec.Replicas)
			}
			return nil
		}
	}
	for range 3 {
		contest()
		apiserver.Eventually(t, "retaken", replicas(1))
	}
	contest()
	apiserver.Eventually(t, "contested", hasCondition(t, key, "RolledOut", "False", v1alpha1.ReasonFieldContested))
	gw := &v1alpha1.KongIstioGateway{}
	must(t, get(t, key, gw))
	if m := apimeta.FindStatusCondition(gw.Status.Conditions, "RolledOut").Message; !strings.Contains(m, `"autoscaler"`) || !strings.Contains(m, ".spec.replicas") {
		t.Errorf("message %q names neither the manager nor the field", m)
	}
	must(t, replicas(7)())

	t.Run("other fields are kept right all the same", func(t *testing.T) {
		change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Deployment.Image = "proxy:2" })
		apiserver.Eventually(t, "image", func() error {
			d := &appsv1.Deployment{}
			if err := get(t, types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-blue"}, d); err != nil {
				return err
			}
			if d.Spec.Template.Spec.Containers[0].Image != "proxy:2" {
				return errors.New(d.Spec.Template.Spec.Containers[0].Image)
			}
			return nil
		})
		must(t, replicas(7)())
	})
	t.Run("after ten minutes it is taken back", func(t *testing.T) {
		op.clock.SetTime(op.clock.Now().Add(10*time.Minute + time.Second))
		op.fleet.tell(key, FleetFacts{Known: true, Connected: 1, Programmed: 1, Version: "v1"})
		apiserver.Eventually(t, "retaken", replicas(1))
	})
}

func TestDeleteRemovesAllAndNothingElse(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	ns := key.Namespace
	gw := &v1alpha1.KongIstioGateway{}
	must(t, get(t, key, gw))
	// Two objects that copied labels: nobody's objects are deleted because of a label.
	copied := &corev1.ConfigMap{}
	copied.Name, copied.Namespace = "copied", ns
	copied.Labels = map[string]string{render.LabelGatewayUID: string(gw.UID), "app.kubernetes.io/managed-by": render.ManagedBy}
	must(t, kube.Create(t.Context(), copied))
	class := &networkingv1.IngressClass{}
	class.Name = ns + "-theirs"
	class.Labels, class.Spec.Controller = copied.Labels, "example.com/other"
	must(t, kube.Create(t.Context(), class))

	must(t, kube.Delete(t.Context(), gw))
	apiserver.Eventually(t, "the Deployment goes first", func() error {
		d := &appsv1.Deployment{}
		if err := get(t, types.NamespacedName{Namespace: ns, Name: "edge-blue"}, d); !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %w", err)
		}
		return nil
	})
	must(t, get(t, key, &corev1.Service{})) // while the pod drains, the rest stays
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace = "edge-blue-0", ns
	must(t, kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
	apiserver.Eventually(t, "gone", func() error {
		if err := get(t, key, gw); !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %w", err)
		}
		return nil
	})
	for name := range versions(t, ns) {
		switch {
		case strings.HasSuffix(name, "/copied"), strings.Contains(name, "Namespace"), strings.HasSuffix(name, "/default"):
		case strings.HasSuffix(name, "kube-root-ca.crt"):
		default:
			t.Errorf("left over: %s", name)
		}
	}
	must(t, get(t, types.NamespacedName{Name: class.Name}, class))
	if _, known := op.routes.gateway(key); known {
		t.Error("the control plane still knows the gateway")
	}
}

func TestPause(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Paused, spec.Deployment.Image = true, "proxy:2" })
	apiserver.Eventually(t, "paused", hasCondition(t, key, "Paused", "True", "Paused"))
	apiserver.Eventually(t, "not rolled out", hasCondition(t, key, "RolledOut", "False", "Progressing"))
	d := &appsv1.Deployment{}
	must(t, get(t, types.NamespacedName{Namespace: key.Namespace, Name: "edge-blue"}, d))
	if d.Spec.Template.Spec.Containers[0].Image == "proxy:2" {
		t.Error("a paused gateway was written")
	}
	s := &corev1.Service{}
	must(t, get(t, key, s))
	must(t, kube.Delete(t.Context(), s))
	op.fleet.tell(key, FleetFacts{Known: true, Connected: 0, Programmed: 0})
	apiserver.Eventually(t, "status goes on", hasCondition(t, key, "AddressReady", "False", "AddressPending"))
	if err := get(t, key, s); !apierrors.IsNotFound(err) {
		t.Errorf("a paused gateway made a Service: %v", err)
	}
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.Paused = false })
	apiserver.Eventually(t, "goes on", func() error {
		if err := get(t, key, s); err != nil {
			return err
		}
		must(t, get(t, types.NamespacedName{Namespace: key.Namespace, Name: "edge-blue"}, d))
		if d.Spec.Template.Spec.Containers[0].Image != "proxy:2" {
			return errors.New("old image")
		}
		return nil
	})
}

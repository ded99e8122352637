// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
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

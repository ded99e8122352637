// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

func TestRefusedSpecKeepsLastGood(t *testing.T) {
	op := startOperator(t)
	key := create(t, op, nil)
	d := &appsv1.Deployment{}
	dKey := types.NamespacedName{Namespace: key.Namespace, Name: "edge-blue"}
	must(t, get(t, dKey, d))
	change(t, key, func(spec *v1alpha1.KongIstioGatewaySpec) {
		spec.Mesh.Mode, spec.Deployment.Image, spec.IngressClassName = v1alpha1.MeshAmbient, "proxy:2", key.Namespace+"-new"
	})
	apiserver.Eventually(t, "not accepted", hasCondition(t, key, "Accepted", "False", v1alpha1.ReasonUnsupportedField))
	after := &appsv1.Deployment{}
	must(t, get(t, dKey, after))
	if after.Generation != d.Generation {
		t.Error("a spec that is not accepted changed the Deployment")
	}
	if r, _ := op.routes.gateway(key); r.IngressClassName != key.Namespace {
		t.Errorf("the control plane was told class %q", r.IngressClassName)
	}
	t.Run("drift is corrected to the last good spec, also after a restart", func(t *testing.T) {
		op.stop()
		must(t, kube.Patch(t.Context(), after, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":5}}`)), client.FieldOwner("someone")))
		startOperator(t)
		apiserver.Eventually(t, "replicas", func() error {
			must(t, get(t, dKey, after))
			if *after.Spec.Replicas != 1 || after.Spec.Template.Spec.Containers[0].Image == "proxy:2" {
				return fmt.Errorf("%d replicas of %s", *after.Spec.Replicas, after.Spec.Template.Spec.Containers[0].Image)
			}
			return nil
		})
	})
}

func TestFirstSpecRefused(t *testing.T) {
	startOperator(t)
	ns := namespace(t, nil)
	gw := newGateway(ns, "edge", ns)
	gw.Spec.Mesh.Mode = v1alpha1.MeshAmbient
	must(t, kube.Create(t.Context(), gw))
	key := client.ObjectKeyFromObject(gw)
	apiserver.Eventually(t, "not accepted", hasCondition(t, key, "Accepted", "False", v1alpha1.ReasonUnsupportedField))
	apiserver.Eventually(t, "ready says why", hasCondition(t, key, "Ready", "False", v1alpha1.ReasonUnsupportedField))
	for name := range versions(t, ns) {
		if strings.HasSuffix(name, "/edge") && !strings.Contains(name, "KongIstioGateway") {
			t.Errorf("%s was created", name)
		}
	}
}

func TestClassClaim(t *testing.T) {
	op := startOperator(t)
	first := create(t, op, nil)
	class := first.Namespace
	second := namespace(t, nil)
	must(t, kube.Create(t.Context(), newGateway(second, "late", class)))
	late := types.NamespacedName{Namespace: second, Name: "late"}
	apiserver.Eventually(t, "refused", hasCondition(t, late, "Accepted", "False", v1alpha1.ReasonClassClaimed))
	gw := &v1alpha1.KongIstioGateway{}
	must(t, get(t, late, gw))
	if m := apimeta.FindStatusCondition(gw.Status.Conditions, "Accepted").Message; !strings.Contains(m, first.String()) {
		t.Errorf("message %q does not name the holder", m)
	}

	t.Run("it gets the class when the holder goes", func(t *testing.T) {
		pod := &corev1.Pod{}
		pod.Name, pod.Namespace = "edge-blue-0", first.Namespace
		must(t, kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
		must(t, kube.Delete(t.Context(), newGateway(first.Namespace, first.Name, "")))
		apiserver.Eventually(t, "accepted", hasCondition(t, late, "Accepted", "True", "Accepted"))
		apiserver.Eventually(t, "class names it", func() error {
			c := &networkingv1.IngressClass{}
			if err := get(t, types.NamespacedName{Name: class}, c); err != nil {
				return err
			}
			if c.Annotations[render.AnnotationOwner] != late.String() {
				return fmt.Errorf("owner is %q", c.Annotations[render.AnnotationOwner])
			}
			return nil
		})
	})
	t.Run("a class of another controller is left alone", func(t *testing.T) {
		theirs := &networkingv1.IngressClass{}
		theirs.Name, theirs.Spec.Controller = second+"-nginx", "example.com/nginx"
		must(t, kube.Create(t.Context(), theirs))
		change(t, late, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.IngressClassName = theirs.Name })
		apiserver.Eventually(t, "refused", hasCondition(t, late, "Accepted", "False", v1alpha1.ReasonClassClaimed))
		now := &networkingv1.IngressClass{}
		must(t, get(t, types.NamespacedName{Name: theirs.Name}, now))
		if now.ResourceVersion != theirs.ResourceVersion {
			t.Error("a foreign IngressClass was written")
		}
	})
	t.Run("a class that somebody made for our controller is claimed and given back", func(t *testing.T) {
		shared := &networkingv1.IngressClass{}
		shared.Name, shared.Spec.Controller = second+"-shared", render.IngressController
		shared.Labels = map[string]string{"team": "edge"}
		must(t, kube.Create(t.Context(), shared))
		change(t, late, func(spec *v1alpha1.KongIstioGatewaySpec) { spec.IngressClassName = shared.Name })
		owner := func(want string) func() error {
			return func() error {
				c := &networkingv1.IngressClass{}
				if err := get(t, types.NamespacedName{Name: shared.Name}, c); err != nil {
					return err
				}
				if c.Annotations[render.AnnotationOwner] != want || c.Labels["team"] != "edge" || c.Spec.Controller != render.IngressController {
					return fmt.Errorf("%v %v", c.Annotations, c.Labels)
				}
				return nil
			}
		}
		apiserver.Eventually(t, "claimed", owner(late.String()))
		apiserver.Eventually(t, "accepted", hasCondition(t, late, "Accepted", "True", "Accepted"))
		apiserver.Eventually(t, "the old class is gone", func() error {
			if err := get(t, types.NamespacedName{Name: class}, &networkingv1.IngressClass{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("still there: %w", err)
			}
			return nil
		})
		must(t, kube.Delete(t.Context(), newGateway(late.Namespace, late.Name, "")))
		apiserver.Eventually(t, "given back", owner(""))
	})
}

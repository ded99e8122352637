// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

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

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

func claimant(uid string, age time.Duration) v1alpha1.KongIstioGateway {
	gw := v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace, gw.UID = "gw-"+uid, "kong", types.UID(uid)
	gw.CreationTimestamp = metav1.NewTime(time.Unix(1_000_000, 0).Add(-age))
	v1alpha1.SetDefaults(&gw.Spec)
	return gw
}

func ingressClass(controller, owner, label string) *networkingv1.IngressClass {
	c := &networkingv1.IngressClass{}
	c.Name, c.Spec.Controller = "kong", controller
	if owner != "" {
		c.Annotations = map[string]string{render.AnnotationOwner: "kong/gw-" + owner, render.AnnotationOwnerUID: owner}
	}
	if label != "" {
		c.Labels = map[string]string{render.LabelGatewayUID: label}
		c.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: apply.FieldManager, Operation: metav1.ManagedFieldsOperationApply}}
	}
	return c
}

func TestJudgeClass(t *testing.T) {
	deleted, invalid := claimant("a", 2*time.Hour), claimant("a", 2*time.Hour)
	at := metav1.Now()
	deleted.DeletionTimestamp = &at
	invalid.Spec.Mesh.Mode = v1alpha1.MeshAmbient
	for _, c := range []struct {
		name      string
		class     *networkingv1.IngressClass
		ownerLive bool
		others    []v1alpha1.KongIstioGateway
		refusal   string
		shared    bool
		replace   bool
	}{
		{name: "nobody else"},
		{name: "an older gateway asks too", others: []v1alpha1.KongIstioGateway{claimant("a", 2*time.Hour)}, refusal: "KongIstioGateway kong/gw-a"},
		{name: "a younger gateway asks too", others: []v1alpha1.KongIstioGateway{claimant("a", time.Minute)}},
		{name: "of the same age, the UID decides", others: []v1alpha1.KongIstioGateway{claimant("a", time.Hour)}, refusal: "kong/gw-a"},
		{name: "an older one that is being deleted does not count", others: []v1alpha1.KongIstioGateway{deleted}},
		{name: "an older one that is not accepted does not count", others: []v1alpha1.KongIstioGateway{invalid}},
		{name: "ours", class: ingressClass(render.IngressController, "m", "m"), ownerLive: true},
		{name: "ours, annotation removed", class: ingressClass(render.IngressController, "", "m")},
		{name: "another controller's", class: ingressClass("example.com/nginx", "", ""), refusal: `"example.com/nginx"`},
		{name: "another gateway's", class: ingressClass(render.IngressController, "z", "z"), ownerLive: true, refusal: "kong/gw-z"},
		{name: "left over by a gateway that is gone", class: ingressClass(render.IngressController, "z", "z"), replace: true},
		{name: "made by hand", class: ingressClass(render.IngressController, "", ""), shared: true},
		{name: "made by hand, claimed by us", class: ingressClass(render.IngressController, "m", ""), shared: true, ownerLive: true},
		{name: "made by hand, claimed by another", class: ingressClass(render.IngressController, "z", ""), ownerLive: true, refusal: "kong/gw-z"},
		{name: "made by hand, claimed by one that is gone", class: ingressClass(render.IngressController, "z", ""), shared: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			me := claimant("m", time.Hour)
			got := judgeClass(&me, c.class, c.ownerLive, append(c.others, me))
			if (got.refusal == "") != (c.refusal == "") || !strings.Contains(got.refusal, c.refusal) || got.shared != c.shared || (got.replace != nil) != c.replace {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Pods are rolled once the account that their tokens are of was made anew, and not before.
func TestAccountUID(t *testing.T) {
	at := func(seconds int64) metav1.Time { return metav1.NewTime(time.Unix(1_000_000+seconds, 0)) }
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "new", CreationTimestamp: at(10)}}
	going := account.DeepCopy()
	now := at(11)
	going.DeletionTimestamp = &now
	pods := func(seconds ...int64) (out []corev1.Pod) {
		for _, s := range seconds {
			out = append(out, corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(s)}})
		}
		return out
	}
	marked := &appsv1.Deployment{}
	marked.Spec.Template.Annotations = map[string]string{render.AnnotationAccountUID: "old"}
	for _, c := range []struct {
		name       string
		account    *corev1.ServiceAccount
		deployment *appsv1.Deployment
		pods       []corev1.Pod
		want       types.UID
	}{
		{name: "at first"},
		{name: "before the pods", account: account},
		{name: "pods are younger", account: account, deployment: &appsv1.Deployment{}, pods: pods(10, 11)},
		{name: "a pod is older", account: account, deployment: &appsv1.Deployment{}, pods: pods(11, 9), want: "new"},
		{name: "rolled out since", account: account, deployment: marked, pods: pods(11), want: "new"},
		{name: "deleted", deployment: marked, pods: pods(11), want: "old"},
		{name: "being deleted", account: going, deployment: marked, pods: pods(9), want: "old"},
	} {
		if got := accountUID(c.account, c.deployment, c.pods); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLastAccepted(t *testing.T) {
	record := func(revision int64, data string) appsv1.ControllerRevision {
		r := appsv1.ControllerRevision{Revision: revision}
		r.Data.Raw = []byte(data)
		return r
	}
	spec, generation, ok := lastAccepted([]appsv1.ControllerRevision{
		record(2, `{"ingressClassName":"old"}`), record(10, `{"ingressClassName":"new"}`), record(9, `{"ingressClassName":"older"}`),
	})
	if !ok || generation != 10 || spec.IngressClassName != "new" {
		t.Errorf("got %v %d %t", spec, generation, ok)
	}
	if len(spec.Listeners) == 0 {
		t.Error("a record of an older operator gets the defaults that it lacks")
	}
	if _, _, ok := lastAccepted(nil); ok {
		t.Error("nothing was accepted")
	}
	if _, _, ok := lastAccepted([]appsv1.ControllerRevision{record(1, "{")}); ok {
		t.Error("a record that cannot be read is none")
	}
}

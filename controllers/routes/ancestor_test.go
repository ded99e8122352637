// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// TestAncestorsFit holds that there are never more than Gateway API permits,
// that those of others keep their place, and that what is there already is left
// as it is.
func TestAncestorsFit(t *testing.T) {
	policy := &kongv1beta1.KongUpstreamPolicy{}
	policy.Generation = 3
	for i := range 2 {
		policy.Status.Ancestors = append(policy.Status.Ancestors, gatewayv1.PolicyAncestorStatus{
			AncestorRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(fmt.Sprint("theirs-", i))}, ControllerName: "example.com/theirs",
		})
	}
	var followers []*follower
	for i := range 20 {
		s := &corev1.Service{}
		s.Namespace, s.Name = "shop", fmt.Sprintf("web-%02d", i)
		followers = append(followers, &follower{service: s, verdict: verdict{used: true, applied: true}})
	}
	first := metav1.NewTime(time.Unix(100, 0))
	got := ancestors(policy, followers, first)
	if len(got) != maxAncestors || got[1].AncestorRef.Name != "theirs-1" || got[2].AncestorRef.Name != "web-00" || got[15].AncestorRef.Name != "web-13" {
		t.Fatalf("%d ancestors: %+v", len(got), got)
	}
	policy.Status.Ancestors = got
	if again := ancestors(policy, followers, metav1.NewTime(time.Unix(200, 0))); !reflect.DeepEqual(again, got) {
		t.Errorf("written again: %+v", again[2])
	}
	if left := ancestors(policy, nil, first); len(left) != 2 {
		t.Errorf("without Services: %+v", left)
	}
}

func TestAncestorConditions(t *testing.T) {
	about := fragment.ObjectRef{Kind: "KongUpstreamPolicy", Namespace: "shop", Name: "hash"}
	for name, tc := range map[string]struct {
		verdict verdict
		want    string
	}{
		"programmed": {verdict{used: true, applied: true}, "True/Accepted True/Programmed"},
		"on its way": {verdict{used: true}, "True/Accepted False/Pending"},
		"the policy is wrong": {
			verdict{used: true, applied: true, problems: []fragment.Problem{{Object: about, Reason: fragment.ReasonPolicyInvalid}}},
			"False/Invalid False/Invalid",
		},
		"the mesh does it": {
			verdict{used: true, applied: true, problems: []fragment.Problem{{Object: about, Reason: fragment.ReasonDelegatedToMesh}}},
			"True/Accepted False/DelegatedToMesh",
		},
		"proxies refuse it": {
			verdict{used: true, applied: true, problems: []fragment.Problem{{Object: fragment.ObjectRef{Kind: "Service"}, Reason: reasonRejected}}},
			"True/Accepted False/Invalid",
		},
		"the Service has another problem": {
			verdict{used: true, applied: true, problems: []fragment.Problem{{Object: fragment.ObjectRef{Kind: "Service"}, Reason: fragment.ReasonAnnotationIgnored}}},
			"True/Accepted True/Programmed",
		},
	} {
		f := &follower{service: &corev1.Service{}, verdict: tc.verdict}
		c := f.conditions(1)
		if got := fmt.Sprintf("%s/%s %s/%s", c[0].Status, c[0].Reason, c[1].Status, c[1].Reason); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"slices"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// policyCase is a kind of policy, whose versions set an algorithm.
type policyCase struct {
	annotation, reason string
	of                 func(algorithm string) client.Object
}

var policyCases = map[string]policyCase{
	"KongUpstreamPolicy": {fragment.AnnotationUpstreamPolicy, fragment.ReasonPolicyInvalid, func(algorithm string) client.Object {
		p := &kongv1beta1.KongUpstreamPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy"}}
		p.Spec.Algorithm = &algorithm
		return p
	}},
	"KongIngress": {fragment.AnnotationOverride, fragment.ReasonKongIngressInvalid, func(algorithm string) client.Object {
		k := &kongv1.KongIngress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy"}}
		k.Upstream = &kongv1.KongIngressUpstream{Algorithm: &algorithm}
		return k
	}},
}

// algorithm returns that of a Service's upstream.
func (w *world) algorithm(service string) string {
	w.t.Helper()
	list := of[*entity.Upstream](w, owner(fragment.OwnerBackend, service+":80"))
	if len(list) != 1 {
		w.t.Fatalf("upstreams of %s are %v", service, list)
	}
	return list[0].Algorithm
}

// wantServing holds that the only problem is that of the policy, and that it
// tells what applies.
func (w *world) wantServing(c policyCase, kind, consequence string) {
	w.t.Helper()
	if list := w.Problems(gateway); len(list) != 1 || list[0].Reason != c.reason || list[0].Object.Kind != kind || list[0].Object.Name != "policy" ||
		!strings.HasSuffix(list[0].Message, consequence) {
		w.t.Errorf("problems are %v, want one of %s that ends with %q", list, kind, consequence)
	}
}

const (
	lastServes = "; its last valid version goes on serving"
	noneServes = "; Kong's defaults apply to Service shop/web"
)

func TestLastGoodPolicy(t *testing.T) {
	for kind, c := range policyCases {
		t.Run(kind, func(t *testing.T) {
			named := func(name string) client.Object {
				svc := serviceOf(name, "10.0.0.1")
				svc.Annotations = map[string]string{c.annotation: "policy"}
				return svc
			}
			w := newWorld(t, fragment.Settings{Class: "kong"})
			w.put(named("web"), c.of("latency"), ingressOf("one", "web", ""))
			w.settle()
			if got := w.algorithm("web"); got != "latency" || len(w.Problems(gateway)) != 0 {
				t.Fatalf("the algorithm is %q, problems are %v", got, w.Problems(gateway))
			}

			w.put(c.of("none"))
			w.settle()
			if got := w.algorithm("web"); got != "latency" {
				t.Errorf("the algorithm of the last valid version is gone: %q", got)
			}
			w.wantServing(c, kind, lastServes)
			if kind == string(store.KindUpstreamPolicy) {
				states := w.last[0].States
				i := slices.IndexFunc(states, func(s store.ObjectState) bool { return s.Owner.Kind == fragment.OwnerBackend })
				if i < 0 || len(states[i].Problems) != 1 || !states[i].Used {
					t.Errorf("states are %+v", states)
				}
			}

			w.put(named("more"), ingressOf("two", "more", ""))
			w.settle()
			if got := w.algorithm("more"); got != "latency" {
				t.Errorf("a Service that comes later has %q", got)
			}
			w.wantServing(c, kind, lastServes)
			w.Delete(named("more"))
			w.Delete(ingressOf("two", "", ""))

			w.put(c.of("nothing"))
			w.settle()
			w.wantServing(c, kind, lastServes)
			w.put(c.of("round-robin"))
			w.settle()
			if got := w.algorithm("web"); got != "round-robin" || len(w.Problems(gateway)) != 0 {
				t.Errorf("the algorithm is %q, problems are %v", got, w.Problems(gateway))
			}
			w.put(c.of("none"))
			w.settle()
			if got := w.algorithm("web"); got != "round-robin" {
				t.Errorf("the algorithm is %q", got)
			}

			w.Delete(c.of(""))
			w.settle()
			if got := w.algorithm("web"); got != "" {
				t.Errorf("a deleted policy still has an effect: %q", got)
			}
			w.put(c.of("none"))
			w.settle()
			if got := w.algorithm("web"); got != "" {
				t.Errorf("another object's version is used: %q", got)
			}
			w.wantServing(c, kind, noneServes)
		})
	}
}

func TestRestorePolicy(t *testing.T) {
	for kind, c := range policyCases {
		t.Run(kind, func(t *testing.T) {
			web, one := serviceOf("web", "10.0.0.1"), ingressOf("one", "web", "")
			web.Annotations = map[string]string{c.annotation: "policy"}
			w := newWorld(t, fragment.Settings{Class: "kong"})
			w.put(web, one, c.of("latency"))
			w.settle()

			next := w.restart(web, one, c.of("none"))
			again := next.restart(web, one, c.of("none"))
			for name, w := range map[string]*world{"restarted": next, "restarted twice": again} {
				if got := w.algorithm("web"); got != "latency" {
					t.Errorf("%s: the algorithm is %q", name, got)
				}
				w.wantServing(c, kind, lastServes)
			}
			again.put(c.of("round-robin"))
			again.settle()
			if got := again.algorithm("web"); got != "round-robin" || len(again.Problems(gateway)) != 0 {
				t.Errorf("the algorithm is %q, problems are %v", got, again.Problems(gateway))
			}
			if got := w.restart(web, one).algorithm("web"); got != "" {
				t.Errorf("a policy that was deleted meanwhile still has an effect: %q", got)
			}

			another := c.of("none")
			recreated := newWorld(t, w.settings)
			recreated.put(web.DeepCopy(), one.DeepCopy(), another)
			another.SetUID("another")
			recreated.Restore(gateway, stored(t, []fragment.Fragment{
				w.units[owner(fragment.OwnerKind(kind), "policy")], w.units[owner(fragment.OwnerBackend, "web:80")],
			}))
			recreated.settle()
			if got := recreated.algorithm("web"); got != "" {
				t.Errorf("another object's version is used: %q", got)
			}
			recreated.wantServing(c, kind, noneServes)

			// Nobody names it any more: nothing is kept of it.
			plain := serviceOf("web", "10.0.0.1")
			w.put(plain)
			w.settle()
			if f, there := w.units[owner(fragment.OwnerKind(kind), "policy")]; there {
				t.Errorf("%+v remains", f)
			}
		})
	}
}

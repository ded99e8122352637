// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"slices"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestLastGood(t *testing.T) {
	w := newWorld(t, meshed())
	one := owner(fragment.OwnerIngress, "one")
	w.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":1}`), ingressOf("one", "web", "limit"))
	w.settle()
	good := w.units[one]

	w.put(pluginOf("limit", "rate-limiting", `{"minute":"many"}`))
	wantOwners(t, w.settle())
	if len(w.Problems(gateway)) != 1 || w.Problems(gateway)[0].Field != "config.minute" {
		t.Errorf("problems are %v", w.Problems(gateway))
	}
	state := w.last[0].States[slices.IndexFunc(w.last[0].States, func(s store.ObjectState) bool { return s.Owner.Kind == fragment.OwnerPlugin })]
	if !state.LastGood || !state.Used || len(state.Problems) != 1 {
		t.Errorf("state of the plugin is %+v", state)
	}

	bad := ingressOf("one", "web", "limit")
	bad.Spec.Rules[0].HTTP.Paths[0].Path = "/("
	w.put(bad)
	wantOwners(t, w.settle())
	if len(w.units[one].Entities) != len(good.Entities) {
		t.Errorf("the invalid Ingress lost its last good version: %v", w.units[one])
	}

	// What is gone is gone for the last good version, too.
	w.Delete(pluginOf("limit", "", ""))
	wantOwners(t, w.settle(), one)
	if got := w.plugins(one); !slices.Equal(got, []string{"unusable"}) {
		t.Errorf("plugins after the KongPlugin was deleted: %v", got)
	}
	if f := w.units[one]; !f.LastGood || f.Generation >= w.version {
		t.Errorf("fragment is %+v", f)
	}

	w.put(ingressOf("one", "web", ""))
	wantOwners(t, w.settle(), one)
	if f := w.units[one]; f.LastGood || len(f.Entities) != 1 || len(w.Problems(gateway)) != 0 {
		t.Errorf("fragment is %+v, problems %v", f, w.Problems(gateway))
	}
}

func TestInvalidFromTheStart(t *testing.T) {
	w := newWorld(t, meshed())
	one := owner(fragment.OwnerIngress, "one")
	w.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":"many"}`), ingressOf("one", "web", "limit"))
	w.settle()
	if got := w.plugins(one); !slices.Equal(got, []string{"unusable"}) {
		t.Errorf("a route whose plugin never was valid has plugins %v", got)
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t, meshed())
	one := owner(fragment.OwnerIngress, "one")
	w.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":1}`), ingressOf("one", "web", "limit"))
	w.settle()
	published := []fragment.Fragment{w.units[one], w.units[owner(fragment.OwnerBackend, "web:80")]}

	next := newWorld(t, meshed())
	next.Restore(gateway, published)
	next.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":"many"}`), ingressOf("one", "web", "limit"))
	next.settle()
	if got := next.plugins(one); !slices.Equal(got, []string{"rate-limiting"}) {
		t.Errorf("plugins after a restart: %v", got)
	}

	recreated := newWorld(t, meshed())
	recreated.Restore(gateway, published)
	p := pluginOf("limit", "rate-limiting", `{"minute":"many"}`)
	recreated.put(serviceOf("web", "10.0.0.1"), ingressOf("one", "web", "limit"))
	p.UID, p.Generation = "another", 1
	recreated.Set(p)
	recreated.settle()
	if got := recreated.plugins(one); !slices.Equal(got, []string{"unusable"}) {
		t.Errorf("another object's last good version was used: %v", got)
	}
}

// TestLastGoodTellsItsOwnProblems holds that an object says what is wrong with
// the version that serves, not only with the one that does not.
func TestLastGoodTellsItsOwnProblems(t *testing.T) {
	const serving = "the last valid version, which goes on serving: "
	limit, web := pluginOf("limit", "rate-limiting", `{"minute":1}`), serviceOf("web", "10.0.0.1")
	w := newWorld(t, meshed())
	w.put(web, limit, ingressOf("one", "web", "limit"))
	w.settle()
	bad := broken(ingressOf("one", "web", ""))
	for name, w := range map[string]*world{"alive": w, "restarted": w.restart(web, limit, bad)} {
		w.put(bad.DeepCopy())
		w.Delete(limit)
		w.settle()
		state := w.last[0].States[slices.IndexFunc(w.last[0].States, func(s store.ObjectState) bool { return s.Owner.Kind == fragment.OwnerIngress })]
		for _, problems := range [][]fragment.Problem{w.Problems(gateway), state.Problems} {
			marked := slices.ContainsFunc(problems, func(p fragment.Problem) bool {
				return p.Reason == fragment.ReasonPluginNotFound && strings.HasPrefix(p.Message, serving)
			})
			plain := slices.ContainsFunc(problems, func(p fragment.Problem) bool {
				return p.Reason == fragment.ReasonRouteInvalid && !strings.HasPrefix(p.Message, serving)
			})
			if !marked || !plain {
				t.Errorf("%s: problems are %v", name, problems)
			}
		}
		w.put(pluginOf("limit", "rate-limiting", `{"minute":1}`))
		w.settle()
		if slices.ContainsFunc(w.Problems(gateway), func(p fragment.Problem) bool { return p.Reason == fragment.ReasonPluginNotFound }) {
			t.Errorf("%s: problems remain: %v", name, w.Problems(gateway))
		}
	}
}

// TestRestoreRewrite holds that an Ingress's rewrite stays its own: a
// request-transformer that others use as well is not restored with it.
func TestRestoreRewrite(t *testing.T) {
	a, b, web := ingressOf("a", "web", "tr"), ingressOf("b", "web", "tr"), serviceOf("web", "10.0.0.1")
	a.Annotations[fragment.AnnotationRewrite] = "/only-for-a"
	w := newWorld(t, meshed())
	w.put(a, b, web, pluginOf("tr", "request-transformer", `{"add":{"headers":["x:1"]}}`))
	w.settle()
	invalid := pluginOf("tr", "request-transformer", `{"nonsense":1}`)
	path := func(w *world, name string) any {
		list := of[*entity.Plugin](w, owner(fragment.OwnerIngress, name))
		if len(list) != 1 || list[0].Name != "request-transformer" || list[0].Config["add"] == nil {
			t.Fatalf("plugins of %s are %v", name, list)
		}
		replace, _ := list[0].Config["replace"].(map[string]any)
		return replace["uri"]
	}
	check := func(name string, w *world, problems int) {
		t.Helper()
		if a, b := path(w, "a"), path(w, "b"); a != "/only-for-a" || b != nil {
			t.Errorf("%s: the paths are %v and %v", name, a, b)
		}
		if len(w.Problems(gateway)) != problems {
			t.Errorf("%s: problems are %v", name, w.Problems(gateway))
		}
	}
	check("before", w, 0)
	next := w.restart(a, b, web, invalid)
	check("restarted", next, 1)
	check("restarted twice", next.restart(a, b, web, invalid), 1)
	bad := broken(a)
	check("the Ingress is invalid as well", w.restart(bad, b, web, serviceOf("new", "10.0.0.2"), invalid), 2)

	w.Delete(b)
	w.settle()
	check("another Ingress comes", w.restart(a, b, web, invalid), 1)
}

// TestRestoreClusterPlugin is what TestRestore is for KongPlugins.
func TestRestoreClusterPlugin(t *testing.T) {
	one, web, ing := owner(fragment.OwnerIngress, "one"), serviceOf("web", "10.0.0.1"), ingressOf("one", "web", "limit")
	plugin := func(config string) *kongv1.KongClusterPlugin {
		p := &kongv1.KongClusterPlugin{PluginName: "rate-limiting", Config: apiextensionsv1.JSON{Raw: []byte(config)}}
		p.ObjectMeta = metav1.ObjectMeta{Name: "limit", Annotations: map[string]string{fragment.AnnotationClass: "kong", fragment.AnnotationTags: "mine"}}
		p.Protocols = []kongv1.KongProtocol{"https"}
		return p
	}
	w := newWorld(t, meshed())
	w.put(web, ing, plugin(`{"minute":1}`))
	w.settle()
	next := w.restart(web, ing, plugin(`{"minute":"many"}`))
	before, after := of[*entity.Plugin](w, one), of[*entity.Plugin](next, one)
	if len(before) != 1 || len(after) != 1 || marshalled(t, before[0]) != marshalled(t, after[0]) || len(next.Problems(gateway)) != 1 {
		t.Errorf("%v after %v, problems %v", after, before, next.Problems(gateway))
	}
}

// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"slices"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// wantPlugins holds which plugins a unit brings, by type.
func (w *world) wantPlugins(what string, o fragment.Owner, want ...string) {
	w.t.Helper()
	if got := w.plugins(o); !slices.Equal(got, want) {
		w.t.Errorf("%s: the plugins of %s are %v, want %v", what, o, got, want)
	}
}

// TestRestoredReferenceBecomesGood holds that an Ingress which was restored is
// attached to the plugin that its last good version names as soon as that one
// has a usable version.
func TestRestoredReferenceBecomesGood(t *testing.T) {
	one := owner(fragment.OwnerIngress, "one")
	web := serviceOf("web", "10.0.0.1")
	invalid, good := pluginOf("limit", "rate-limiting", `{"minute":"many"}`), pluginOf("limit", "rate-limiting", `{"minute":1}`)
	for _, without := range []bool{false, true} {
		settings := meshed()
		settings.RunWithoutBrokenPlugins = without
		marker := []string{"unusable"}
		if without {
			marker = nil
		}
		ing := ingressOf("one", "web", "other,limit")
		other := pluginOf("other", "correlation-id", `{}`)
		w := newWorld(t, settings)
		w.put(web, ingressOf("one", "web", "other"), invalid, other)
		w.settle()
		w.put(ing)
		w.settle()
		w.wantPlugins("at first", one, append([]string{"correlation-id"}, marker...)...)

		next := w.restart(web, broken(ing), invalid, other)
		next.wantPlugins("restarted", one, append([]string{"correlation-id"}, marker...)...)
		again := next.restart(web, broken(ing), other)
		again.wantPlugins("restarted, and the plugin is deleted", one, append([]string{"correlation-id"}, marker...)...)
		for what, w := range map[string]*world{"the plugin is valid": next, "the plugin comes back": again, "meanwhile": w.restart(web, broken(ing), good, other)} {
			w.put(good.DeepCopy())
			w.settle()
			w.wantPlugins(what, one, "correlation-id", "rate-limiting")
			w.put(ing.DeepCopy())
			w.settle()
			w.wantPlugins(what+", and the Ingress", one, "correlation-id", "rate-limiting")
		}
	}
}

// TestRestoredRewriteJoinsPlugin is the same for a plugin that the rewrite
// annotation becomes a part of: a route runs one request-transformer only.
func TestRestoredRewriteJoinsPlugin(t *testing.T) {
	one := owner(fragment.OwnerIngress, "one")
	web, ing := serviceOf("web", "10.0.0.1"), ingressOf("one", "web", "tr")
	ing.Annotations[fragment.AnnotationRewrite] = "/new"
	good := pluginOf("tr", "request-transformer", `{"add":{"headers":["x:1"]}}`)
	path := func(what string, w *world) {
		t.Helper()
		list := of[*entity.Plugin](w, one)
		replace, _ := list[0].Config["replace"].(map[string]any)
		if len(list) != 1 || list[0].Config["add"] == nil || replace["uri"] != "/new" {
			t.Errorf("%s: plugins are %v", what, list)
		}
	}
	w := newWorld(t, meshed())
	w.put(web, ing)
	w.settle()
	w.wantPlugins("at first", one, "request-transformer", "unusable")
	next := w.restart(web, broken(ing))
	next.wantPlugins("restarted", one, "request-transformer", "unusable")
	next.put(good)
	next.settle()
	path("the plugin comes", next)
	last := next.restart(web, broken(ing), good)
	path("restarted again", last)
	last.Delete(good)
	last.settle()
	last.wantPlugins("the plugin goes", one, "request-transformer", "unusable")
}

// TestRestoredConsumerKeepsReference holds that a reference without a usable
// plugin is not lost with a restart.
func TestRestoredConsumerKeepsReference(t *testing.T) {
	bob := owner(fragment.OwnerConsumer, "bob")
	c := &kongv1.KongConsumer{Username: "bob"}
	c.ObjectMeta = metav1.ObjectMeta{Namespace: "shop", Name: "bob", Annotations: map[string]string{
		fragment.AnnotationClass: "kong", fragment.AnnotationPlugins: "limit",
	}}
	w := newWorld(t, meshed())
	w.put(c)
	w.settle()
	w.wantPlugins("at first", bob, "request-termination")
	bad := c.DeepCopy()
	bad.Username, bad.Annotations = "", map[string]string{fragment.AnnotationClass: "kong"}
	next := w.restart(bad)
	next.wantPlugins("restarted", bob, "request-termination")
	next.put(pluginOf("limit", "rate-limiting", `{"minute":1}`))
	next.settle()
	next.wantPlugins("the plugin comes", bob, "rate-limiting")
}

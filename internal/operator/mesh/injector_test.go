// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

type requirement = metav1.LabelSelectorRequirement

func in(key string, values ...string) requirement {
	return requirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}
}

func notIn(key string, values ...string) requirement {
	return requirement{Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: values}
}

func absent(key string) requirement {
	return requirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist}
}

func hook(name, istiod string, namespaces, pods []requirement) admissionv1.MutatingWebhook {
	return admissionv1.MutatingWebhook{
		Name:         name + ".sidecar-injector.istio.io",
		ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "istio-system", Name: istiod}},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: namespaces},
		ObjectSelector:    &metav1.LabelSelector{MatchExpressions: pods},
	}
}

// install is what Istio's chart renders for a revision (mutatingwebhook.yaml of the istiod chart) or, with a tag, what
// istioctl tag set makes. revision "" is the install that has none.
func install(revision, tag string, everywhere bool) admissionv1.MutatingWebhookConfiguration {
	rev, istiod := revision, "istiod-"+revision
	if revision == "" {
		rev, istiod = DefaultRevision, "istiod"
	}
	matched := rev
	c := admissionv1.MutatingWebhookConfiguration{}
	c.Name = "istio-sidecar-injector-" + rev
	c.Labels = map[string]string{"app": "sidecar-injector", LabelRevision: rev}
	if tag != "" {
		c.Name, matched = "istio-revision-tag-"+tag, tag
		c.Labels[LabelTag] = tag
	}
	c.Webhooks = []admissionv1.MutatingWebhook{
		hook("rev.namespace", istiod,
			[]requirement{in(LabelRevision, matched), absent(LabelNamespaceInject)}, []requirement{notIn(LabelInject, "false")}),
		hook("rev.object", istiod,
			[]requirement{absent(LabelRevision), absent(LabelNamespaceInject)}, []requirement{notIn(LabelInject, "false"), in(LabelRevision, matched)}),
	}
	if matched != DefaultRevision {
		return c
	}
	c.Webhooks = append(c.Webhooks,
		hook("namespace", istiod,
			[]requirement{in(LabelNamespaceInject, "enabled")}, []requirement{notIn(LabelInject, "false")}),
		hook("object", istiod,
			[]requirement{absent(LabelNamespaceInject), absent(LabelRevision)}, []requirement{in(LabelInject, "true"), absent(LabelRevision)}),
	)
	if everywhere {
		c.Webhooks = append(c.Webhooks, hook("auto", istiod,
			[]requirement{absent(LabelNamespaceInject), absent(LabelRevision), notIn("kubernetes.io/metadata.name", "kube-system", "kube-public")},
			[]requirement{absent(LabelInject), absent(LabelRevision)}))
	}
	return c
}

func tags(pairs ...string) map[string]string {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return m
}

// TestTruthTable goes through who injects a pod: every combination of the namespace's and the pod's labels that matters,
// against an install with the default revision and one with revision canary, reached through tag prod as well.
func TestTruthTable(t *testing.T) {
	both := []admissionv1.MutatingWebhookConfiguration{install("", "", false), install("canary", "", false), install("canary", "prod", false)}
	revisioned := both[1:]
	tagged := []admissionv1.MutatingWebhookConfiguration{install("canary", "", false), install("canary", "default", false)}
	everywhere := []admissionv1.MutatingWebhookConfiguration{install("", "", true)}
	for _, c := range []struct {
		name           string
		configs        []admissionv1.MutatingWebhookConfiguration
		namespace, pod map[string]string
		want           string
	}{
		{"enabled namespace", both, tags("istio-injection=enabled"), tags(), "default"},
		{"enabled namespace, pod asks", both, tags("istio-injection=enabled"), tags("sidecar.istio.io/inject=true"), "default"},
		{"enabled namespace wins over its own revision", both, tags("istio-injection=enabled", "istio.io/rev=canary"), tags(), "default"},
		{"enabled namespace wins over the pod's revision", both, tags("istio-injection=enabled"), tags("istio.io/rev=canary"), "default"},
		{"disabled namespace", both, tags("istio-injection=disabled"), tags(), ""},
		{"disabled namespace, pod asks", both, tags("istio-injection=disabled"), tags("sidecar.istio.io/inject=true"), ""},
		{"disabled namespace, pod names a revision", both, tags("istio-injection=disabled"), tags("sidecar.istio.io/inject=true", "istio.io/rev=canary"), ""},
		{"any other value disables too", both, tags("istio-injection=yes"), tags("sidecar.istio.io/inject=true"), ""},
		{"namespace names a revision", both, tags("istio.io/rev=canary"), tags(), "canary"},
		{"namespace names a tag", both, tags("istio.io/rev=prod"), tags(), "canary/prod"},
		{"namespace revision wins over the pod's", both, tags("istio.io/rev=canary"), tags("sidecar.istio.io/inject=true", "istio.io/rev=default"), "canary"},
		{"namespace names an unknown revision", both, tags("istio.io/rev=gone"), tags("sidecar.istio.io/inject=true"), ""},
		{"pod names a revision", both, tags(), tags("istio.io/rev=canary"), "canary"},
		{"pod asks and names a revision", both, tags(), tags("sidecar.istio.io/inject=true", "istio.io/rev=canary"), "canary"},
		{"pod asks and names a tag", both, tags(), tags("sidecar.istio.io/inject=true", "istio.io/rev=prod"), "canary/prod"},
		{"pod asks", both, tags(), tags("sidecar.istio.io/inject=true"), "default"},
		{"pod asks, no default revision", revisioned, tags(), tags("sidecar.istio.io/inject=true"), ""},
		{"pod asks, default tag", tagged, tags(), tags("sidecar.istio.io/inject=true"), "canary/default"},
		{"nobody asks", both, tags(), tags(), ""},
		{"nobody asks, injected everywhere", everywhere, tags(), tags(), "default"},
		{"pod refuses", both, tags("istio-injection=enabled"), tags("sidecar.istio.io/inject=false"), ""},
		{"pod refuses but names a revision", both, tags("istio.io/rev=canary"), tags("sidecar.istio.io/inject=false", "istio.io/rev=canary"), ""},
		{"pod refuses, injected everywhere", everywhere, tags(), tags("sidecar.istio.io/inject=false"), ""},
		{"no Istio", nil, tags("istio-injection=enabled"), tags("sidecar.istio.io/inject=true"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, h := range Injectors(c.configs, "kong-istio", c.namespace, c.pod) {
				name := h.Revision
				if h.Tag != "" {
					name += "/" + h.Tag
				}
				got = append(got, name)
				if h.Istiod.Namespace != "istio-system" || h.Istiod.Name == "" {
					t.Errorf("istiod is %v", h.Istiod)
				}
			}
			if s := strings.Join(got, ","); s != c.want {
				t.Errorf("injected by %q, want %q", s, c.want)
			}
		})
	}
}

func TestInjectorsLeaveOutOthers(t *testing.T) {
	other := install("", "", true)
	other.Labels = nil
	for i := range other.Webhooks {
		other.Webhooks[i].Name = fmt.Sprintf("w%d.example.com", i)
	}
	services := install("", "", false)
	for i := range services.Webhooks {
		services.Webhooks[i].Rules[0].Resources = []string{"services"}
	}
	ambiguous := install("blue", "", false)
	ambiguous.Webhooks[1].ObjectSelector = nil
	pod := tags("sidecar.istio.io/inject=true")
	for _, c := range []struct {
		name, namespace string
		configs         []admissionv1.MutatingWebhookConfiguration
		want            int
	}{
		{"a webhook of somebody else", "kong", []admissionv1.MutatingWebhookConfiguration{other}, 0},
		{"a webhook that is not about pods", "kong", []admissionv1.MutatingWebhookConfiguration{services}, 0},
		{"a namespace that istiod skips", "kube-system", []admissionv1.MutatingWebhookConfiguration{install("", "", false)}, 0},
		{"two control planes", "kong", []admissionv1.MutatingWebhookConfiguration{install("", "", false), ambiguous}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Injectors(c.configs, c.namespace, nil, pod); len(got) != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	istio := []admissionv1.MutatingWebhookConfiguration{install("", "", false)}
	canary := []admissionv1.MutatingWebhookConfiguration{install("canary", "", false)}
	greedy := install("blue", "", false)
	greedy.Webhooks[1].ObjectSelector = nil
	for _, c := range []struct {
		name      string
		mode      v1alpha1.MeshMode
		revision  string
		managed   bool
		running   v1alpha1.MeshMode
		configs   []admissionv1.MutatingWebhookConfiguration
		namespace map[string]string
		want      v1alpha1.MeshMode
		in        string // revision in force
		reason    string
	}{
		{name: "auto with Istio", mode: v1alpha1.MeshAuto, configs: istio, want: v1alpha1.MeshSidecar, in: "default"},
		{name: "auto without Istio", mode: v1alpha1.MeshAuto, want: v1alpha1.MeshNone},
		{name: "auto in a namespace that forbids it", mode: v1alpha1.MeshAuto, configs: istio, namespace: tags("istio-injection=disabled"), want: v1alpha1.MeshNone},
		{name: "auto keeps a running sidecar when the injector is away", mode: v1alpha1.MeshAuto, running: v1alpha1.MeshSidecar, want: v1alpha1.MeshSidecar, reason: v1alpha1.ReasonIstioNotFound},
		{name: "auto joins when Istio appears", mode: v1alpha1.MeshAuto, running: v1alpha1.MeshNone, configs: istio, want: v1alpha1.MeshSidecar, in: "default"},
		{name: "auto with a revision that is not there", mode: v1alpha1.MeshAuto, revision: "gone", configs: istio, want: v1alpha1.MeshSidecar, in: "gone", reason: v1alpha1.ReasonRevisionNotFound},
		{name: "none", mode: v1alpha1.MeshNone, configs: istio, want: v1alpha1.MeshNone},
		{name: "sidecar without Istio", mode: v1alpha1.MeshSidecar, want: v1alpha1.MeshSidecar, reason: v1alpha1.ReasonIstioNotFound},
		{name: "sidecar, namespace forbids it", mode: v1alpha1.MeshSidecar, configs: istio, namespace: tags("istio-injection=disabled"), want: v1alpha1.MeshSidecar, reason: v1alpha1.ReasonInjectionBlockedByNamespace},
		{name: "sidecar, managed namespace that forbids it now", mode: v1alpha1.MeshSidecar, managed: true, configs: istio, namespace: tags("istio-injection=disabled"), want: v1alpha1.MeshSidecar, in: "default"},
		{name: "sidecar, namespace names what is gone", mode: v1alpha1.MeshSidecar, configs: istio, namespace: tags("istio.io/rev=gone"), want: v1alpha1.MeshSidecar, reason: v1alpha1.ReasonInjectionBlockedByNamespace},
		{name: "sidecar, revisions only", mode: v1alpha1.MeshSidecar, configs: canary, want: v1alpha1.MeshSidecar, reason: v1alpha1.ReasonRevisionNotFound},
		{name: "sidecar, revision", mode: v1alpha1.MeshSidecar, revision: "canary", configs: canary, want: v1alpha1.MeshSidecar, in: "canary"},
		{name: "sidecar, the namespace's label beats the revision", mode: v1alpha1.MeshSidecar, revision: "canary", configs: append(canary, istio...), namespace: tags("istio-injection=enabled"), want: v1alpha1.MeshSidecar, in: "default", reason: v1alpha1.ReasonInjectionBlockedByNamespace},
		{name: "sidecar, two would inject", mode: v1alpha1.MeshSidecar, configs: append(istio, greedy), want: v1alpha1.MeshSidecar, in: "blue", reason: v1alpha1.ReasonInjectionAmbiguous},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := v1alpha1.Mesh{Mode: c.mode, Revision: c.revision}
			if c.managed {
				spec.NamespaceInjection.Mode = v1alpha1.Managed
			}
			r := Resolve(spec, Environment{Injectors: c.configs, Namespace: "kong", NamespaceLabels: c.namespace, Running: c.running})
			if r.Mode != c.want || r.Revision != c.in || r.Reason != c.reason {
				t.Errorf("got mode %s revision %q reason %q (%s)", r.Mode, r.Revision, r.Reason, r.Message)
			}
			if forbidden := c.name == "auto in a namespace that forbids it"; forbidden != strings.Contains(r.Notice, "label istio-injection=disabled on namespace kong") {
				t.Errorf("notice %q", r.Notice)
			}
			if (r.Reason == "") != (r.Message == "") {
				t.Errorf("reason %q with message %q", r.Reason, r.Message)
			}
			if want := map[bool]string{true: "true", false: "false"}[c.want == v1alpha1.MeshSidecar]; r.PodLabels[LabelInject] != want {
				t.Errorf("pod labels %v", r.PodLabels)
			}
		})
	}
}

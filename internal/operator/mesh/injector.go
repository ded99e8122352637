// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

const (
	injectorAppLabel = "app"
	injectorApp      = "sidecar-injector"
	webhookSuffix    = "sidecar-injector.istio.io"
)

// neverInjected are the namespaces that istiod itself skips, whatever the labels say.
var neverInjected = []string{"kube-system", "kube-public", "kube-node-lease", "local-path-storage"}

// IsInjector reports whether a webhook configuration is one of Istio's sidecar injectors.
func IsInjector(c *admissionv1.MutatingWebhookConfiguration) bool {
	if c.Labels[injectorAppLabel] == injectorApp {
		return true
	}
	return slices.ContainsFunc(c.Webhooks, func(w admissionv1.MutatingWebhook) bool { return strings.HasSuffix(w.Name, webhookSuffix) })
}

// Injector is one Istio control plane that would inject a pod.
type Injector struct {
	// Revision is the control plane's revision, "default" when it has none.
	Revision string
	// Tag is the revision tag through which it was reached; empty when directly.
	Tag string
	// Istiod is the Service of the control plane; empty when the webhook is reached by URL.
	Istiod types.NamespacedName
}

// Injectors returns, sorted by revision, the control planes whose admission webhooks would inject a pod with these labels in a
// namespace with these labels. Two webhooks of one revision count once. The selectors are evaluated as the API server
// does, so that tags, revisions and whatever a chart renders are all covered; selectors that do not parse match nothing.
func Injectors(configs []admissionv1.MutatingWebhookConfiguration, namespace string, nsLabels, podLabels map[string]string) []Injector {
	if slices.Contains(neverInjected, namespace) {
		return nil
	}
	// The API server sets this label on every namespace; selectors may use it.
	withName := map[string]string{"kubernetes.io/metadata.name": namespace}
	for k, v := range nsLabels {
		withName[k] = v
	}
	var hits []Injector
	for i := range configs {
		c := &configs[i]
		if !IsInjector(c) {
			continue
		}
		for _, w := range c.Webhooks {
			if !coversPodCreation(w.Rules) || !matches(w.NamespaceSelector, withName) || !matches(w.ObjectSelector, podLabels) {
				continue
			}
			hits = addHit(hits, injector(c, w))
		}
	}
	slices.SortFunc(hits, func(a, b Injector) int { return strings.Compare(a.Revision, b.Revision) })
	return hits
}

func injector(c *admissionv1.MutatingWebhookConfiguration, w admissionv1.MutatingWebhook) Injector {
	in := Injector{Revision: c.Labels[LabelRevision], Tag: c.Labels[LabelTag]}
	if in.Revision == "" {
		in.Revision = DefaultRevision
	}
	if s := w.ClientConfig.Service; s != nil {
		in.Istiod = types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	}
	return in
}

// addHit keeps one entry per revision, preferring the one that names a tag, which is what the user wrote.
func addHit(hits []Injector, in Injector) []Injector {
	for i := range hits {
		if hits[i].Revision == in.Revision {
			if hits[i].Tag == "" {
				hits[i] = in
			}
			return hits
		}
	}
	return append(hits, in)
}

func coversPodCreation(rules []admissionv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(r admissionv1.RuleWithOperations) bool {
		return (slices.Contains(r.Operations, admissionv1.Create) || slices.Contains(r.Operations, admissionv1.OperationAll)) &&
			(slices.Contains(r.APIGroups, "") || slices.Contains(r.APIGroups, "*")) &&
			(slices.Contains(r.Resources, "pods") || slices.Contains(r.Resources, "*") || slices.Contains(r.Resources, "*/*"))
	})
}

func matches(selector *metav1.LabelSelector, set map[string]string) bool {
	if selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// serves reports whether any injector goes by this revision or tag.
func serves(configs []admissionv1.MutatingWebhookConfiguration, revision string) bool {
	return slices.ContainsFunc(configs, func(c admissionv1.MutatingWebhookConfiguration) bool {
		if !IsInjector(&c) {
			return false
		}
		rev := c.Labels[LabelRevision]
		if rev == "" {
			rev = DefaultRevision
		}
		return rev == revision || c.Labels[LabelTag] == revision
	})
}

// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

// Environment is what was read about the cluster for one gateway.
type Environment struct {
	// Injectors are the cluster's MutatingWebhookConfigurations; others than Istio's are ignored.
	Injectors []admissionv1.MutatingWebhookConfiguration
	// Namespace is the gateway's namespace, and NamespaceLabels its labels.
	Namespace       string
	NamespaceLabels map[string]string
	// Running is the mode that the gateway's Deployment has now; empty before there is one. With mode Auto a running
	// Sidecar gateway is not taken out of the mesh because an injector is away for a moment.
	Running v1alpha1.MeshMode
}

// Resolution is how a gateway takes part in the mesh.
type Resolution struct {
	// Mode is Sidecar or None.
	Mode v1alpha1.MeshMode
	// Revision is the control plane's revision; empty when there is none.
	Revision string
	// Istiod is the control plane's Service; empty when unknown.
	Istiod types.NamespacedName
	// PodLabels go on the pod template.
	PodLabels map[string]string
	// Reason and Message say why the wanted mode cannot work; Reason is empty when it can.
	Reason, Message string
	// Notice says why Auto chose None although Istio is there; empty otherwise.
	Notice string
}

// PodLabels are the labels that ask Istio for, or keep it from, injecting a pod.
func PodLabels(mode v1alpha1.MeshMode, revision string) map[string]string {
	if mode != v1alpha1.MeshSidecar {
		return map[string]string{LabelInject: "false", LabelDataplaneMode: "none"}
	}
	labels := map[string]string{LabelInject: "true"}
	if revision != "" {
		labels[LabelRevision] = revision
	}
	return labels
}

// NamespaceLabel is the one label that makes Istio inject the pods of a namespace, for spec.mesh.namespaceInjection
// Managed.
func NamespaceLabel(revision string) map[string]string {
	if revision == "" || revision == DefaultRevision {
		return map[string]string{LabelNamespaceInject: "enabled"}
	}
	return map[string]string{LabelRevision: revision}
}

// Resolve decides the mode in force. With Auto it is Sidecar when Istio would inject the pods, or when the gateway runs
// with a sidecar already, or when the spec names a revision (which says that a mesh is wanted); else None.
func Resolve(spec v1alpha1.Mesh, env Environment) Resolution {
	if spec.Mode == v1alpha1.MeshNone {
		return none()
	}
	if spec.NamespaceInjection.Mode == v1alpha1.Managed {
		// The operator is about to set this label itself.
		env.NamespaceLabels = managedLabels(env.NamespaceLabels, spec.Revision)
	}
	labels := PodLabels(v1alpha1.MeshSidecar, spec.Revision)
	hits := Injectors(env.Injectors, env.Namespace, env.NamespaceLabels, labels)
	wanted := spec.Mode == v1alpha1.MeshSidecar || spec.Revision != "" || env.Running == v1alpha1.MeshSidecar
	if len(hits) == 0 && !wanted {
		r := none()
		if reason, message := judge(spec, env, hits); reason == v1alpha1.ReasonInjectionBlockedByNamespace {
			r.Notice = "the gateway is outside the mesh, and backends that demand mTLS refuse it: " + message +
				", or set spec.mesh.mode: None if it is meant so"
		}
		return r
	}
	r := Resolution{Mode: v1alpha1.MeshSidecar, Revision: spec.Revision, PodLabels: labels}
	if len(hits) > 0 {
		r.Revision, r.Istiod = hits[0].Revision, hits[0].Istiod
	}
	r.Reason, r.Message = judge(spec, env, hits)
	return r
}

func none() Resolution {
	return Resolution{Mode: v1alpha1.MeshNone, PodLabels: PodLabels(v1alpha1.MeshNone, "")}
}

func managedLabels(now map[string]string, revision string) map[string]string {
	out := maps.Clone(now)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, NamespaceLabel(revision))
	return out
}

// judge says why the pods would not be injected by the wanted control plane, if so.
func judge(spec v1alpha1.Mesh, env Environment, hits []Injector) (reason, message string) {
	switch {
	case !slices.ContainsFunc(env.Injectors, func(c admissionv1.MutatingWebhookConfiguration) bool { return IsInjector(&c) }):
		return v1alpha1.ReasonIstioNotFound,
			"no Istio sidecar injector is installed in this cluster; install Istio, or set spec.mesh.mode: None"
	case spec.Revision != "" && !serves(env.Injectors, spec.Revision):
		return v1alpha1.ReasonRevisionNotFound, fmt.Sprintf(
			"no Istio injector serves revision or tag %q; correct spec.mesh.revision or install that revision", spec.Revision)
	case len(hits) > 1:
		return v1alpha1.ReasonInjectionAmbiguous, fmt.Sprintf(
			"revisions %s would each inject the pods; set spec.mesh.revision, or remove overlapping injectors", revisions(hits))
	case len(hits) == 0:
		return blocked(spec, env)
	case spec.Revision != "" && hits[0].Revision != spec.Revision && hits[0].Tag != spec.Revision:
		return v1alpha1.ReasonInjectionBlockedByNamespace, fmt.Sprintf(
			"revision %q would inject the pods instead of %q, because of the labels of namespace %s (%s); remove them or set spec.mesh.revision to match",
			hits[0].Revision, spec.Revision, env.Namespace, injectionLabels(env.NamespaceLabels))
	}
	return "", ""
}

func blocked(spec v1alpha1.Mesh, env Environment) (reason, message string) {
	if v, ok := env.NamespaceLabels[LabelNamespaceInject]; ok && v != "enabled" {
		return v1alpha1.ReasonInjectionBlockedByNamespace, fmt.Sprintf(
			"label %s=%s on namespace %s forbids injection, and no pod label overrides it; remove the label from the namespace",
			LabelNamespaceInject, v, env.Namespace)
	}
	if l := injectionLabels(env.NamespaceLabels); l != "" {
		return v1alpha1.ReasonInjectionBlockedByNamespace, fmt.Sprintf(
			"namespace %s is labelled %s, and no injector serves that; correct the label or install that revision", env.Namespace, l)
	}
	if slices.Contains(neverInjected, env.Namespace) {
		return v1alpha1.ReasonInjectionBlockedByNamespace, fmt.Sprintf(
			"Istio never injects pods in namespace %s; move the gateway to another namespace", env.Namespace)
	}
	if spec.Revision == "" {
		return v1alpha1.ReasonRevisionNotFound,
			"Istio is installed with revisions only and without a default tag; set spec.mesh.revision, or create the tag with istioctl tag set default"
	}
	return v1alpha1.ReasonRevisionNotFound, fmt.Sprintf("no Istio injector accepts pods of revision %q in namespace %s", spec.Revision, env.Namespace)
}

func revisions(hits []Injector) string {
	names := make([]string, 0, len(hits))
	for _, h := range hits {
		names = append(names, h.Revision)
	}
	return strings.Join(names, ", ")
}

func injectionLabels(labels map[string]string) string {
	var out []string
	for _, k := range []string{LabelNamespaceInject, LabelRevision} {
		if v, ok := labels[k]; ok {
			out = append(out, k+"="+v)
		}
	}
	return strings.Join(out, ", ")
}

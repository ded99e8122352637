// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// typed returns the object of a kind and name as its Go type.
func typed[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	out := new(T)
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

// No webhook is ever in the way, and the manager keeps each of them.
func TestWebhookIsHarmless(t *testing.T) {
	c := typed[admissionv1.ValidatingWebhookConfiguration](t, build(t, "config/default"), "ValidatingWebhookConfiguration", admission.ConfigurationName)
	for _, w := range c.Webhooks {
		if *w.FailurePolicy != admissionv1.Ignore || *w.SideEffects != admissionv1.SideEffectClassNone || *w.TimeoutSeconds > 5 {
			t.Errorf("%s: failurePolicy %s, sideEffects %s, timeoutSeconds %d", w.Name, *w.FailurePolicy, *w.SideEffects, *w.TimeoutSeconds)
		}
		for _, rule := range w.Rules {
			if slices.Contains(rule.Operations, admissionv1.Delete) || slices.Contains(rule.Operations, admissionv1.OperationAll) {
				t.Errorf("%s: deleting is never checked", w.Name)
			}
			for _, r := range rule.Resources {
				if strings.ContainsAny(r, "*/") {
					t.Errorf("%s: resource %s: statuses and what is new are not ours to check", w.Name, r)
				}
			}
		}
	}
	content, due := admission.Registration(c, []byte("pem"), admission.Classes{Ours: []fragment.Settings{{Class: "kong"}}})
	if kept, _ := content["webhooks"].([]any); !due || len(kept) != len(c.Webhooks) {
		t.Errorf("the manager keeps %d of %d webhooks", len(kept), len(c.Webhooks))
	}
}

// The way from the API server to the manager.
func TestWebhookIsReached(t *testing.T) {
	objects := build(t, "config/default")
	c := typed[admissionv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration", admission.ConfigurationName)
	s := typed[corev1.Service](t, objects, "Service", "kong-istio-gateway-webhook")
	d := typed[appsv1.Deployment](t, objects, "Deployment", "kong-istio-gateway-manager")
	p := typed[networkingv1.NetworkPolicy](t, build(t, "config/network-policy"), "NetworkPolicy", "kong-istio-gateway-manager")
	for _, w := range c.Webhooks {
		to := w.ClientConfig.Service
		if to == nil || to.Name != s.Name || to.Namespace != s.Namespace || *to.Port != s.Spec.Ports[0].Port || *to.Path != "/validate" {
			t.Errorf("%s calls %+v", w.Name, to)
		}
	}
	container := d.Spec.Template.Spec.Containers[0]
	i := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == s.Spec.Ports[0].TargetPort.String() })
	if i < 0 || container.Ports[i].ContainerPort != 9443 || !slices.Contains(container.Args, "--webhook-bind-address=:9443") {
		t.Errorf("ports %v, arguments %v", container.Ports, container.Args)
	}
	open := slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
		return len(r.From) == 0 && len(r.Ports) == 1 && r.Ports[0].Port.IntValue() == 9443
	})
	if !open {
		t.Error("the NetworkPolicy does not let the API server in")
	}
}

// With config/certmanager nobody but cert-manager writes certificates.
func TestWebhookWithCertManager(t *testing.T) {
	overlay, err := os.MkdirTemp(filepath.Join(apiserver.Root(), "config"), "overlay-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(overlay) })
	text := "resources: [../default]\ncomponents: [../certmanager]\n"
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := build(t, filepath.Join("config", filepath.Base(overlay)))
	c := typed[admissionv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration", admission.ConfigurationName)
	certificate := &unstructured.Unstructured{}
	for _, o := range objects {
		if o.GetKind() == "Certificate" && o.GetNamespace()+"/"+o.GetName() == c.Annotations["cert-manager.io/inject-ca-from"] {
			certificate = o
		}
	}
	names, _, err := unstructured.NestedStringSlice(certificate.Object, "spec", "dnsNames")
	if err != nil || !slices.Equal(names, []string{"kong-istio-gateway-webhook." + ownNamespace + ".svc"}) {
		t.Errorf("annotations %v lead to a Certificate for %v: %v", c.Annotations, names, err)
	}
	secret, _, _ := unstructured.NestedString(certificate.Object, "spec", "secretName")
	spec := typed[appsv1.Deployment](t, objects, "Deployment", "kong-istio-gateway-manager").Spec.Template.Spec
	mounted := slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return v.Secret != nil && v.Secret.SecretName == secret && slices.ContainsFunc(spec.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == v.Name && slices.Contains(spec.Containers[0].Args, "--webhook-cert-dir="+m.MountPath)
		})
	})
	if !mounted {
		t.Errorf("Secret %s is not where the manager looks: %v", secret, spec.Containers[0].Args)
	}
}

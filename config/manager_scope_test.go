// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// child is an object as the manager renders them; a gateway owns it if owned is set.
func child(apiVersion, kind, name string, owned bool, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	o.SetNamespace("default")
	o.SetName(name)
	if spec != nil {
		o.Object["spec"] = spec
	}
	if owned {
		o.SetLabels(map[string]string{"gateway.konghq.com/gateway": "edge"})
		o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "gateway.konghq.com/v1alpha1", Kind: "KongIstioGateway", Name: "edge", UID: "1"}})
	}
	return o
}

func deployment(name, account string) *unstructured.Unstructured {
	labels := map[string]any{"app": name}
	return child("apps/v1", "Deployment", name, true, map[string]any{
		"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels},
			"spec":     map[string]any{"serviceAccountName": account, "containers": []any{map[string]any{"name": "proxy", "image": "proxy"}}},
		},
	})
}

// The manager's role names kinds; the policy keeps it to objects of gateways.
func TestManagerScopePolicy(t *testing.T) {
	r := cluster(t)
	manager := r.as(t, managerUser, managerGroup)
	apiserver.Eventually(t, "the policy takes effect", func() error {
		err := manager.Create(t.Context(), child("v1", "Secret", "probe", true, nil), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "no Secrets but its snapshots") {
			return errors.Join(errors.New("the policy does not refuse yet"), err)
		}
		return nil
	})
	for _, foreign := range []*unstructured.Unstructured{
		child("v1", "Secret", "database", false, nil), child("v1", "Secret", "db-snapshot-1", false, nil), child("v1", "ConfigMap", "settings", false, nil),
	} {
		if err := r.client.Create(t.Context(), foreign); err != nil {
			t.Fatal(err)
		}
	}
	takeOver := client.RawPatch("application/merge-patch+json", []byte(
		`{"metadata":{"ownerReferences":[{"apiVersion":"gateway.konghq.com/v1alpha1","kind":"KongIstioGateway","name":"edge","uid":"1"}]}}`))
	for _, c := range []struct {
		name    string
		do      func() error
		refusal string // empty: admitted
	}{
		{"a snapshot", func() error { return manager.Create(t.Context(), child("v1", "Secret", "edge-snapshot-0", true, nil)) }, ""},
		{"its deletion", func() error { return manager.Delete(t.Context(), child("v1", "Secret", "edge-snapshot-0", true, nil)) }, ""},
		{"a Secret of nobody", func() error { return manager.Create(t.Context(), child("v1", "Secret", "edge-snapshot-1", false, nil)) }, "belongs to somebody else"},
		{"a Secret of another name", func() error { return manager.Create(t.Context(), child("v1", "Secret", "edge", true, nil)) }, "no Secrets but its snapshots"},
		{"another's Secret is deleted", func() error { return manager.Delete(t.Context(), child("v1", "Secret", "database", false, nil)) }, "belongs to somebody else"},
		{"another's Secret is taken over", func() error {
			return manager.Patch(t.Context(), child("v1", "Secret", "db-snapshot-1", false, nil), takeOver)
		}, "belongs to somebody else"},
		{"a trust bundle", func() error {
			return manager.Create(t.Context(), child("v1", "ConfigMap", "edge-ca-bundle", true, nil))
		}, ""},
		{"another's ConfigMap", func() error { return manager.Delete(t.Context(), child("v1", "ConfigMap", "settings", false, nil)) }, "belongs to somebody else"},
		{"a fleet", func() error { return manager.Create(t.Context(), deployment("edge-blue", "edge")) }, ""},
		{"a fleet under another account", func() error { return manager.Create(t.Context(), deployment("edge-green", "admin")) }, "the gateway's own ServiceAccount"},
		{"pods under another account, later", func() error {
			return manager.Patch(t.Context(), deployment("edge-blue", ""), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"template":{"spec":{"serviceAccountName":"admin"}}}}`)))
		}, "the gateway's own ServiceAccount"},
		{"people are not concerned", func() error { return r.client.Delete(t.Context(), child("v1", "Secret", "database", false, nil)) }, ""},
	} {
		err := c.do()
		if c.refusal == "" && err != nil || c.refusal != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), c.refusal)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.refusal)
		}
	}
}

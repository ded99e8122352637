// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What operator-sdk's scorecard checks in a cluster, checked here without one: for each owned kind an
// example with a spec, which the schema knows, and resources. Descriptors are below.
func TestScorecard(t *testing.T) {
	bundle := load(t)
	examples := examplesOf(t, bundle.CSV)
	for _, owned := range bundle.CSV.Spec.CustomResourceDefinitions.Owned {
		index := slices.IndexFunc(examples, func(e *unstructured.Unstructured) bool {
			return e.GetKind() == owned.Kind && strings.HasSuffix(e.GetAPIVersion(), "/"+owned.Version)
		})
		if index < 0 {
			t.Errorf("%s %s has no example", owned.Kind, owned.Version)
			continue
		}
		spec, _, err := unstructured.NestedMap(examples[index].Object, "spec")
		if err != nil || len(spec) == 0 {
			t.Errorf("the example of %s has no spec: %v", owned.Kind, err)
		}
		schema := schemaOf(t, bundle.V1CRDs, owned)
		for key := range spec {
			if _, known := schema.Properties["spec"].Properties[key]; !known {
				t.Errorf("the example of %s has spec.%s, which its schema has not", owned.Kind, key)
			}
		}
		if len(owned.Resources) == 0 {
			t.Errorf("%s lists no resources", owned.Kind)
		}
	}
}

// Every member of spec and status has a descriptor, and every descriptor a text. That nested fields
// have theirs is for make bundle to see, which fails without.
func TestDescriptors(t *testing.T) {
	bundle := load(t)
	for _, owned := range bundle.CSV.Spec.CustomResourceDefinitions.Owned {
		schema := schemaOf(t, bundle.V1CRDs, owned)
		for key := range schema.Properties["spec"].Properties {
			if !slices.ContainsFunc(owned.SpecDescriptors, func(d v1alpha1.SpecDescriptor) bool { return d.Path == key }) {
				t.Errorf("%s: spec.%s has no descriptor", owned.Kind, key)
			}
		}
		for key := range schema.Properties["status"].Properties {
			if !slices.ContainsFunc(owned.StatusDescriptors, func(d v1alpha1.StatusDescriptor) bool { return d.Path == key }) {
				t.Errorf("%s: status.%s has no descriptor", owned.Kind, key)
			}
		}
		for _, d := range owned.SpecDescriptors {
			if d.DisplayName == "" || d.Description == "" {
				t.Errorf("%s: the descriptor of spec.%s lacks a name or a description", owned.Kind, d.Path)
			}
		}
		for _, d := range owned.StatusDescriptors {
			if d.DisplayName == "" || d.Description == "" {
				t.Errorf("%s: the descriptor of status.%s lacks a name or a description", owned.Kind, d.Path)
			}
		}
	}
}

// supported are the kinds that OLM applies from a bundle:
// operator-registry, pkg/lib/bundle/supported_resources.go.
var supported = []string{
	"ClusterServiceVersion", "CustomResourceDefinition", "Secret", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "ServiceAccount",
	"Service", "Role", "RoleBinding", "PrometheusRule", "ServiceMonitor", "PodDisruptionBudget", "PriorityClass", "VerticalPodAutoscaler",
	"ConsoleYAMLSample", "ConsoleQuickStart", "ConsoleCLIDownload", "ConsoleLink", "ConsolePlugin", "NetworkPolicy",
}

func TestKindsAreSupported(t *testing.T) {
	for _, object := range load(t).Objects {
		if !slices.Contains(supported, object.GetKind()) {
			t.Errorf("OLM does not apply %s %s", object.GetKind(), object.GetName())
		}
		if object.GetNamespace() != "" {
			t.Errorf("%s %s names namespace %s; OLM installs where the user says", object.GetKind(), object.GetName(), object.GetNamespace())
		}
	}
}

func examplesOf(t *testing.T, csv *v1alpha1.ClusterServiceVersion) []*unstructured.Unstructured {
	t.Helper()
	var examples []*unstructured.Unstructured
	var raw []map[string]any
	if err := json.Unmarshal([]byte(csv.Annotations["alm-examples"]), &raw); err != nil {
		t.Fatalf("annotation alm-examples: %v", err)
	}
	for _, content := range raw {
		examples = append(examples, &unstructured.Unstructured{Object: content})
	}
	return examples
}

func schemaOf(t *testing.T, crds []*apiextensionsv1.CustomResourceDefinition, owned v1alpha1.CRDDescription) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	for _, crd := range crds {
		for _, version := range crd.Spec.Versions {
			if crd.Name == owned.Name && version.Name == owned.Version {
				return version.Schema.OpenAPIV3Schema
			}
		}
	}
	t.Fatalf("the bundle holds no definition of %s %s", owned.Name, owned.Version)
	return nil
}

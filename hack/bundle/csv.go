// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	packageName = "kong-istio-gateway"

	suggestedNamespace         = "operatorframework.io/suggested-namespace"
	suggestedNamespaceTemplate = "operatorframework.io/suggested-namespace-template"
)

// clusterServiceVersion completes the base with what the rest of the input says, and returns it with
// the RBAC objects that OLM is to apply beside it. definitions are the webhooks.
func clusterServiceVersion(s settings, icon []byte, in *sorted, definitions []any) (*object, []*object, error) {
	if len(definitions) > 0 {
		if err := useCertificates(in.deployments); err != nil {
			return nil, nil, err
		}
	}
	related, err := setImages(in.deployments, s.images)
	if err != nil {
		return nil, nil, err
	}
	rights, others, err := permissions(in.deployments, in.rbac)
	if err != nil {
		return nil, nil, err
	}
	csv := in.base.DeepCopy()
	if err := describe(csv, in.crds); err != nil {
		return nil, nil, err
	}
	if err := annotate(csv, related, in); err != nil {
		return nil, nil, err
	}
	csv.SetName(packageName + ".v" + s.version)
	csv.SetNamespace("")
	strategy := map[string]any{"deployments": deployments(in.deployments)}
	if len(rights.cluster) > 0 {
		strategy["clusterPermissions"] = rights.cluster
	}
	if len(rights.namespace) > 0 {
		strategy["permissions"] = rights.namespace
	}
	if len(definitions) > 0 {
		if err := unstructured.SetNestedSlice(csv.Object, definitions, "spec", "webhookdefinitions"); err != nil {
			return nil, nil, err
		}
	}
	for _, field := range []struct {
		value any
		path  []string
	}{
		{s.version, []string{"spec", "version"}},
		{strategy, []string{"spec", "install", "spec"}},
		{relatedImages(related), []string{"spec", "relatedImages"}},
		{[]any{map[string]any{"mediatype": "image/svg+xml", "base64data": base64.StdEncoding.EncodeToString(icon)}}, []string{"spec", "icon"}},
	} {
		if err := unstructured.SetNestedField(csv.Object, field.value, field.path...); err != nil {
			return nil, nil, fmt.Errorf("the base ClusterServiceVersion: %w", err)
		}
	}
	return csv, others, nil
}

// annotate sets the annotations that follow from other objects.
func annotate(csv *object, related []image, in *sorted) error {
	var examples []any
	for _, example := range in.examples {
		examples = append(examples, example.Object)
	}
	alm, err := json.MarshalIndent(examples, "", "  ")
	if err != nil {
		return err
	}
	template, err := json.Marshal(in.namespace.Object)
	if err != nil {
		return err
	}
	annotations := csv.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["alm-examples"] = string(alm)
	annotations["containerImage"] = related[0].reference
	annotations[suggestedNamespace] = in.namespace.GetName()
	annotations[suggestedNamespaceTemplate] = string(template)
	csv.SetAnnotations(annotations)
	return nil
}

func deployments(from []*object) []any {
	var to []any
	for _, o := range from {
		entry := map[string]any{"name": o.GetName(), "spec": o.Object["spec"]}
		labels, _, _ := unstructured.NestedMap(o.Object, "metadata", "labels")
		if len(labels) > 0 {
			entry["label"] = labels
		}
		to = append(to, entry)
	}
	return to
}

func relatedImages(from []image) []any {
	var to []any
	for _, i := range from {
		to = append(to, map[string]any{"name": i.name, "image": i.reference})
	}
	return to
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// relatedPrefix begins the names of the environment variables by which an operator learns the images
// of what it runs; OLM's tools rewrite their values to digests.
const relatedPrefix = "RELATED_IMAGE_"

// image is one that the operator runs, or is.
type image struct {
	name, reference string
}

// setImages replaces, in the containers of the Deployments and in their variables of relatedPrefix,
// each image by the reference given for its name, and returns all of them, the containers' first.
// It fails for an image without a reference and for a reference that nothing uses.
func setImages(deployments []*object, references map[string]string) ([]image, error) {
	var own, related []image
	unused := map[string]bool{}
	for name := range references {
		unused[name] = true
	}
	resolve := func(where, value string) (string, error) {
		name := repository(value)
		reference, known := references[name]
		if !known {
			return "", fmt.Errorf("%s: image %s has no reference; add -image %s=<reference>", where, value, name)
		}
		delete(unused, name)
		return reference, nil
	}
	for _, deployment := range deployments {
		err := eachContainer(deployment, func(container map[string]any) error {
			name, _, _ := unstructured.NestedString(container, "name")
			where := fmt.Sprintf("Deployment %s, container %s", deployment.GetName(), name)
			value, _, _ := unstructured.NestedString(container, "image")
			reference, err := resolve(where, value)
			if err != nil {
				return err
			}
			container["image"] = reference
			own = append(own, image{name, reference})
			variables, _ := container["env"].([]any)
			for _, v := range variables {
				variable, _ := v.(map[string]any)
				key, _ := variable["name"].(string)
				suffix, isImage := strings.CutPrefix(key, relatedPrefix)
				if !isImage {
					continue
				}
				value, _ := variable["value"].(string)
				reference, err := resolve(where+", variable "+key, value)
				if err != nil {
					return err
				}
				variable["value"] = reference
				related = append(related, image{strings.ToLower(strings.ReplaceAll(suffix, "_", "-")), reference})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for name := range unused {
		return nil, fmt.Errorf("-image %s: nothing in config/manifests uses it", name)
	}
	return append(own, related...), nil
}

// eachContainer calls do with every container of a Deployment, which do may change.
func eachContainer(deployment *object, do func(map[string]any) error) error {
	for _, list := range []string{"containers", "initContainers"} {
		value, _, err := unstructured.NestedFieldNoCopy(deployment.Object, "spec", "template", "spec", list)
		if err != nil {
			return fmt.Errorf("Deployment %s: %w", deployment.GetName(), err)
		}
		containers, _ := value.([]any)
		for _, c := range containers {
			container, ok := c.(map[string]any)
			if !ok {
				return fmt.Errorf("Deployment %s: spec.template.spec.%s is not a list of containers", deployment.GetName(), list)
			}
			if err := do(container); err != nil {
				return err
			}
		}
	}
	return nil
}

// repository is an image reference without tag and digest.
func repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if colon := strings.LastIndex(reference, ":"); colon > strings.LastIndex(reference, "/") {
		reference = reference[:colon]
	}
	return reference
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	formPrefix = "urn:alm:descriptor:com.tectonic.ui:"
	statusText = "urn:alm:descriptor:text"
)

// schema is one node of a CustomResourceDefinition's OpenAPI schema.
type schema = map[string]any

// describe completes the descriptors of every owned kind from the schema of its CRD, and checks that
// none is missing and none is about a field that there is not.
func describe(csv *object, crds []*object) error {
	value, found, err := unstructured.NestedFieldNoCopy(csv.Object, "spec", "customresourcedefinitions", "owned")
	owned, ok := value.([]any)
	if err != nil || !found || !ok {
		return fmt.Errorf("the base ClusterServiceVersion has no list spec.customresourcedefinitions.owned")
	}
	described := map[string]bool{}
	for _, o := range owned {
		entry, _ := o.(map[string]any)
		name, _ := entry["name"].(string)
		version, _ := entry["version"].(string)
		root, err := schemaOf(crds, name, version)
		if err != nil {
			return err
		}
		for section, list := range map[string]string{"spec": "specDescriptors", "status": "statusDescriptors"} {
			descriptors, _ := entry[list].([]any)
			if err := fill(properties(root)[section], section, descriptors); err != nil {
				return fmt.Errorf("%s of %s %s: %w", list, name, version, err)
			}
		}
		described[name] = true
	}
	for _, crd := range crds {
		if !described[crd.GetName()] {
			return fmt.Errorf("the base ClusterServiceVersion does not own %s; add it to spec.customresourcedefinitions.owned", crd.GetName())
		}
	}
	return nil
}

func schemaOf(crds []*object, name, version string) (schema, error) {
	for _, crd := range crds {
		if crd.GetName() != name {
			continue
		}
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			if entry, _ := v.(map[string]any); entry["name"] == version {
				root, _, err := unstructured.NestedMap(entry, "schema", "openAPIV3Schema")
				return root, err
			}
		}
	}
	return nil, fmt.Errorf("the base ClusterServiceVersion owns %s %s, of which there is no CustomResourceDefinition", name, version)
}

// fill gives each descriptor that has none a description and x-descriptors, from the schema.
func fill(root schema, section string, descriptors []any) error {
	fields := map[string]schema{}
	collect(root, "", fields)
	described := map[string]bool{}
	for _, d := range descriptors {
		descriptor, _ := d.(map[string]any)
		path, _ := descriptor["path"].(string)
		field, found := fields[path]
		if !found {
			return fmt.Errorf("path %q is not in the schema of %s; correct or remove it", path, section)
		}
		if described[path] {
			return fmt.Errorf("path %q is described twice", path)
		}
		if name, _ := descriptor["displayName"].(string); name == "" {
			return fmt.Errorf("path %q has no displayName", path)
		}
		described[path] = true
		if _, set := descriptor["description"]; !set {
			text, _ := field["description"].(string)
			descriptor["description"] = strings.Join(strings.Fields(text), " ")
		}
		if _, set := descriptor["x-descriptors"]; !set {
			if list := widgets(field, section, path); len(list) > 0 {
				descriptor["x-descriptors"] = list
			}
		}
	}
	return missing(root, "", described)
}

// collect gathers the fields of a schema by the paths that descriptors use: the fields of a list's
// items are those of its first one.
func collect(node schema, prefix string, into map[string]schema) {
	for name, field := range properties(node) {
		into[prefix+name] = field
		child, childPrefix := inside(field, prefix+name)
		collect(child, childPrefix, into)
	}
}

// missing fails when an object has descriptors for some of its fields but not for all: a field was
// added to the API, and not to the base.
func missing(node schema, prefix string, described map[string]bool) error {
	fields := properties(node)
	some := prefix == ""
	for name := range fields {
		some = some || described[prefix+name]
	}
	if !some {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !described[prefix+name] {
			return fmt.Errorf("path %q has no descriptor; add it to config/manifests/bases", prefix+name)
		}
		child, childPrefix := inside(fields[name], prefix+name)
		if err := missing(child, childPrefix, described); err != nil {
			return err
		}
	}
	return nil
}

// inside is the schema whose properties are a field's own, and the prefix of their paths.
func inside(field schema, path string) (schema, string) {
	if items, isList := field["items"].(schema); isList {
		return items, path + "[0]."
	}
	return field, path + "."
}

func properties(node schema) map[string]schema {
	raw, _ := node["properties"].(map[string]any)
	fields := make(map[string]schema, len(raw))
	for name, field := range raw {
		if s, ok := field.(schema); ok {
			fields[name] = s
		}
	}
	return fields
}

// widgets are the x-descriptors that follow from a field's type: which widget a console shows. Objects
// and lists have none; their fields do.
func widgets(field schema, section, path string) []any {
	var list []any
	values, isEnum := field["enum"].([]any)
	switch {
	case section == "status":
		if isScalar(field) {
			return []any{statusText}
		}
		return nil
	case isEnum:
		for _, value := range values {
			list = append(list, fmt.Sprintf("%sselect:%v", formPrefix, value))
		}
	case field["type"] == "boolean":
		list = []any{formPrefix + "booleanSwitch"}
	case field["type"] == "integer":
		list = []any{formPrefix + "number"}
	case isScalar(field):
		list = []any{formPrefix + "text"}
	}
	if array, _, nested := strings.Cut(path, "[0]."); nested {
		list = append([]any{formPrefix + "arrayFieldGroup:" + array[strings.LastIndex(array, ".")+1:]}, list...)
	}
	return list
}

func isScalar(field schema) bool {
	switch field["type"] {
	case "string", "integer", "number", "boolean":
		return true
	}
	return field["x-kubernetes-int-or-string"] == true
}

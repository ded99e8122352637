// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// emptyMeansUnset are struct fields that Go writes even when nobody set them.
var emptyMeansUnset = map[string]bool{"resources": true, "strategy": true, "creationTimestamp": true}

// convert turns a typed object, with its TypeMeta set, into what is applied: without status and unset fields.
func convert(obj runtime.Object) (*unstructured.Unstructured, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", obj, err)
	}
	delete(m, "status")
	return &unstructured.Unstructured{Object: dropUnset(m)}, nil
}

func dropUnset(m map[string]any) map[string]any {
	for k, v := range m {
		switch x := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			if dropUnset(x); len(x) == 0 && emptyMeansUnset[k] {
				delete(m, k)
			}
		case []any:
			for _, item := range x {
				if im, ok := item.(map[string]any); ok {
					dropUnset(im)
				}
			}
		}
	}
	return m
}

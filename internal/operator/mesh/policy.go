// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// ShadowedBy returns the PeerAuthentication that Istio would use for the gateway's pods instead of ours: of those in the
// gateway's namespace whose workload selector matches, the oldest wins and the others are not looked at. It returns nil
// when ours (named by its UID, empty before it exists) wins.
func ShadowedBy(policies []unstructured.Unstructured, ours types.UID, podLabels map[string]string) *unstructured.Unstructured {
	return rival(policies, ours, podLabels, []string{"spec", "selector", "matchLabels"}, true)
}

// ConflictingSidecar returns another Sidecar object whose workload selector matches the gateway's pods, nil when there is
// none. Istio does not merge two of them: which one applies is undefined, so the age does not matter.
func ConflictingSidecar(sidecars []unstructured.Unstructured, ours types.UID, podLabels map[string]string) *unstructured.Unstructured {
	return rival(sidecars, ours, podLabels, []string{"spec", "workloadSelector", "labels"}, false)
}

// rival returns the oldest object other than ours whose selector matches; with olderOnly only if it is older than ours.
func rival(objects []unstructured.Unstructured, ours types.UID, podLabels map[string]string, selector []string, olderOnly bool) *unstructured.Unstructured {
	var own *unstructured.Unstructured
	var others []*unstructured.Unstructured
	for i := range objects {
		o := &objects[i]
		switch {
		case ours != "" && o.GetUID() == ours:
			own = o
		case selects(o, selector, podLabels):
			others = append(others, o)
		}
	}
	if len(others) == 0 {
		return nil
	}
	oldest := slices.MinFunc(others, byAge)
	if olderOnly && own != nil && byAge(own, oldest) < 0 {
		return nil
	}
	return oldest
}

// byAge orders as Istio does: by creation time, then by name.
func byAge(a, b *unstructured.Unstructured) int {
	ta, tb := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if c := ta.Compare(tb.Time); c != 0 {
		return c
	}
	return cmp.Compare(a.GetName(), b.GetName())
}

// selects reports whether the object has a non-empty selector at path that matches the labels.
func selects(o *unstructured.Unstructured, path []string, podLabels map[string]string) bool {
	want, found, err := unstructured.NestedStringMap(o.Object, path...)
	if err != nil || !found || len(want) == 0 {
		return false
	}
	return labels.SelectorFromSet(want).Matches(labels.Set(podLabels))
}

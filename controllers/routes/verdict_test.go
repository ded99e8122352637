// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"testing"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A condition that is True stays so while a new configuration is on its way.
func TestTrueStaysWhilePending(t *testing.T) {
	before, now := metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))
	condition := func(status metav1.ConditionStatus, reason string, generation int64) metav1.Condition {
		return metav1.Condition{
			Type: "Programmed", Status: status, Reason: reason, ObservedGeneration: generation, LastTransitionTime: before,
		}
	}
	pending := condition(metav1.ConditionFalse, string(kongv1.ReasonPending), 2)
	pending.LastTransitionTime = now
	invalid := condition(metav1.ConditionFalse, "Invalid", 2)
	programmed := condition(metav1.ConditionTrue, "Programmed", 2)
	for _, c := range []struct {
		name   string
		old    []metav1.Condition
		want   metav1.Condition
		status metav1.ConditionStatus
		write  bool
	}{
		{"nothing there", nil, pending, metav1.ConditionFalse, true},
		{"True", []metav1.Condition{programmed}, pending, metav1.ConditionTrue, false},
		{"True of an earlier generation", []metav1.Condition{condition(metav1.ConditionTrue, "Programmed", 1)}, pending, metav1.ConditionFalse, true},
		{"False", []metav1.Condition{invalid}, pending, metav1.ConditionFalse, true},
		{"wrong, not pending", []metav1.Condition{programmed}, invalid, metav1.ConditionFalse, true},
		{"the same", []metav1.Condition{programmed}, programmed, metav1.ConditionTrue, false},
	} {
		got, write := merge(c.old, c.want, now)
		if got.Status != c.status || write != c.write {
			t.Errorf("%s: %s, written: %t", c.name, got.Status, write)
		}
		moved := len(c.old) == 0 || c.old[0].Status != got.Status
		if got.LastTransitionTime.Equal(&now) != moved {
			t.Errorf("%s: transition at %s", c.name, got.LastTransitionTime)
		}
	}
}

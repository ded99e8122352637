// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

var now = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

// healthy are the facts of a gateway that works.
func healthy() Facts {
	return Facts{
		Generation: 7,
		Accepted:   Acceptance{Serving: 7},
		Mesh:       Mesh{Resolution: mesh.Resolution{Mode: v1alpha1.MeshSidecar, Revision: "default"}},
		Address:    Address{ServiceType: corev1.ServiceTypeLoadBalancer, Addresses: []v1alpha1.Address{{Value: "192.0.2.1"}}, Service: "kong/edge"},
		Rollout:    Rollout{Deployment: &Deployment{Name: "edge-blue", Observed: true, Desired: 1, Current: 1, Updated: 1, Ready: 1, Available: 1}},
		Fleet:      Fleet{Known: true, Connected: 1, Programmed: 1},
		Pods:       []Pod{{Name: "edge-blue-0", Ready: true, Mesh: mesh.PodState{Injected: true, Ready: true}}},
	}
}

func TestHealthy(t *testing.T) {
	got := Set(nil, healthy(), now)
	for i, kind := range v1alpha1.ConditionTypes() {
		c := got[i]
		want := metav1.ConditionTrue
		if kind == v1alpha1.ConditionPaused {
			want = metav1.ConditionFalse
		}
		if c.Type != kind || c.Status != want || c.ObservedGeneration != 7 || c.LastTransitionTime != now || c.Message == "" || c.Reason == "" {
			t.Errorf("condition %d: %+v", i, c)
		}
	}
	if len(got) != len(v1alpha1.ConditionTypes()) {
		t.Errorf("%d conditions", len(got))
	}
}

// TestPolicies changes one fact at a time and looks at the condition that tells it, and at Ready.
func TestPolicies(t *testing.T) {
	field := []v1alpha1.FieldProblem{{Field: "spec.mesh.mode", Message: "is wrong"}}
	for _, c := range []struct {
		name      string
		change    func(*Facts)
		condition string
		status    metav1.ConditionStatus
		reason    string
		text      string
		ready     metav1.ConditionStatus
	}{
		{"invalid", func(f *Facts) { f.Accepted.Invalid = field }, "Accepted", "False", "Invalid", "spec.mesh.mode: is wrong; the spec of generation 7 stays in force", "False"},
		{"invalid from the start", func(f *Facts) { f.Accepted.Invalid, f.Accepted.Serving = field, 0 }, "Accepted", "False", "Invalid", "nothing is created", "False"},
		{"invalid from the start: nothing else is said", func(f *Facts) { f.Accepted.Invalid, f.Accepted.Serving = field, 0 }, "RolledOut", "Unknown", "Pending", "no spec", "False"},
		{"unsupported", func(f *Facts) { f.Accepted.Unsupported = field }, "Accepted", "False", "UnsupportedField", "", "False"},
		{"claimed", func(f *Facts) { f.Accepted.ClassClaimed = "kong is served by a/b" }, "Accepted", "False", "ClassClaimed", "a/b", "False"},
		{"paused does not make it unready", func(f *Facts) { f.Paused = true }, "Paused", "True", "Paused", "", "True"},
		{"no mesh", func(f *Facts) { f.Mesh.Resolution.Mode, f.Pods[0].Mesh = v1alpha1.MeshNone, mesh.PodState{} }, "MeshReady", "True", "NotRequired", "", "True"},
		{"no mesh although there is Istio", func(f *Facts) {
			f.Mesh.Resolution, f.Pods[0].Mesh = mesh.Resolution{Mode: v1alpha1.MeshNone, Notice: "a label forbids it"}, mesh.PodState{}
		}, "MeshReady", "True", "NotRequired", "a label forbids it", "True"},
		{"a sidecar without mesh", func(f *Facts) { f.Mesh.Resolution.Mode = v1alpha1.MeshNone }, "MeshReady", "False", "SidecarUnexpected", "edge-blue-0", "False"},
		{"injection", func(f *Facts) { f.Mesh.Resolution.Reason, f.Mesh.Resolution.Message = "RevisionNotFound", "m" }, "MeshReady", "False", "RevisionNotFound", "m", "False"},
		{"kinds", func(f *Facts) { f.Mesh.MissingKinds = []string{"Sidecar"} }, "MeshReady", "False", "IstioNotFound", "Sidecar", "False"},
		{"shadowed", func(f *Facts) { f.Mesh.PeerAuthentication = "kong/theirs" }, "MeshReady", "False", "PeerAuthenticationShadowed", "kong/theirs", "False"},
		{"two scopes", func(f *Facts) { f.Mesh.Sidecar = "kong/theirs" }, "MeshReady", "False", "EgressScopeShadowed", "kong/theirs", "False"},
		{"no pods", func(f *Facts) { f.Pods = nil }, "MeshReady", "False", "NoProxies", "", "False"},
		{"scaled to zero", func(f *Facts) { f.Pods, f.Rollout.Deployment = nil, &Deployment{Observed: true} }, "MeshReady", "Unknown", "NoProxies", "zero", "Unknown"},
		{"not injected", func(f *Facts) { f.Pods[0].Mesh.Injected = false }, "MeshReady", "False", "SidecarMissing", "edge-blue-0", "False"},
		{"sidecar not ready", func(f *Facts) { f.Pods[0].Mesh.Ready = false }, "MeshReady", "False", "SidecarNotReady", "edge-blue-0", "False"},
		{"no address", func(f *Facts) { f.Address.Addresses = nil }, "AddressReady", "False", "AddressPending", "Service kong/edge", "False"},
		{"refused", func(f *Facts) { f.Rollout.Refused = []string{"Service kong/edge exists"} }, "RolledOut", "False", "ApplyFailed", "exists", "False"},
		{"failed", func(f *Facts) { f.Rollout.Failed = []string{"a", "b", "c", "d", "e"} }, "RolledOut", "False", "ApplyFailed", "a; b; c; and 2 more", "False"},
		{"contested", func(f *Facts) { f.Rollout.Contested = []string{"x"} }, "RolledOut", "False", "FieldContested", "x", "False"},
		{"held", func(f *Facts) { f.Rollout.Held = "waiting" }, "RolledOut", "False", "Progressing", "waiting", "False"},
		{"no Deployment", func(f *Facts) { f.Rollout.Deployment = nil }, "RolledOut", "False", "Progressing", "does not exist", "False"},
		{"no Deployment, paused", func(f *Facts) { f.Rollout.Deployment, f.Paused = nil, true }, "RolledOut", "False", "Progressing", "paused", "False"},
		{"replica failure", func(f *Facts) { f.Rollout.Deployment.ReplicaFailure = "quota" }, "RolledOut", "False", "ReplicaFailure", "quota", "False"},
		{"replica failure, seen from the mesh", func(f *Facts) { f.Pods, f.Rollout.Deployment.ReplicaFailure = nil, "quota" }, "MeshReady", "False", "NoProxies", "quota", "False"},
		{"crash", func(f *Facts) { f.Pods[0].Ready, f.Pods[0].Crash = false, "exit code 1: bad settings" }, "RolledOut", "False", "ProxyCrashing", "edge-blue-0 ended with exit code 1: bad settings", "False"},
		{"crashed once", func(f *Facts) { f.Pods[0].Crash = "exit code 1: killed" }, "RolledOut", "True", "RolledOut", "", "True"},
		{"deadline", func(f *Facts) { f.Rollout.Deployment.ProgressDeadline = "timed out" }, "RolledOut", "False", "ProgressDeadlineExceeded", "timed out", "False"},
		{"outdated", func(f *Facts) { f.Rollout.Deployment.OutdatedTemplate = true }, "RolledOut", "False", "Progressing", "paused", "False"},
		{"not observed", func(f *Facts) { f.Rollout.Deployment.Observed = false }, "RolledOut", "False", "Progressing", "just written", "False"},
		{"not updated", func(f *Facts) { f.Rollout.Deployment.Updated = 0 }, "RolledOut", "False", "Progressing", "0 of 1", "False"},
		{"old pods", func(f *Facts) { f.Rollout.Deployment.Current = 2 }, "RolledOut", "False", "Progressing", "1 pods of an older", "False"},
		{"not available", func(f *Facts) { f.Rollout.Deployment.Available = 0 }, "RolledOut", "False", "Progressing", "0 of 1", "False"},
		{"rejected", func(f *Facts) { f.Fleet.Rejected = []string{"plugin x: bad"} }, "Programmed", "False", "Rejected", "plugin x", "False"},
		{"behind", func(f *Facts) { f.Fleet.Behind = []string{"pod a"} }, "Programmed", "False", "ProxyBehind", "pod a", "False"},
		{"too large", func(f *Facts) { f.Fleet.TooLarge = "9 MiB" }, "Programmed", "False", "SnapshotTooLarge", "9 MiB", "False"},
		{"not heard of", func(f *Facts) { f.Fleet = Fleet{} }, "Programmed", "Unknown", "Pending", "", "Unknown"},
		{"nobody acknowledged", func(f *Facts) { f.Fleet.Programmed = 0 }, "Programmed", "Unknown", "Pending", "", "Unknown"},
		{"unavailable", func(f *Facts) { f.Pods[0].Ready = false }, "Available", "False", "Unavailable", "", "True"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := healthy()
			c.change(&f)
			all := Set(nil, f, now)
			got := apimeta.FindStatusCondition(all, c.condition)
			if got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.text) {
				t.Errorf("%s is %s/%s: %s", c.condition, got.Status, got.Reason, got.Message)
			}
			ready := apimeta.FindStatusCondition(all, "Ready")
			if ready.Status != c.ready {
				t.Errorf("Ready is %s: %s", ready.Status, ready.Message)
			}
		})
	}
}

func TestReadyNamesTheFirstThatFails(t *testing.T) {
	f := healthy()
	f.Fleet = Fleet{}          // Unknown
	f.Address.Addresses = nil  // False
	f.Rollout.Held = "waiting" // False, later
	ready := apimeta.FindStatusCondition(Set(nil, f, now), "Ready")
	if ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonAddressPending || !strings.HasPrefix(ready.Message, "AddressReady: ") {
		t.Errorf("Ready is %+v", ready)
	}
}

func TestTransitionTimes(t *testing.T) {
	before := Set(nil, healthy(), now)
	later := metav1.NewTime(now.Add(time.Hour))
	t.Run("nothing changed, nothing is written", func(t *testing.T) {
		if again := Set(before, healthy(), later); !reflect.DeepEqual(again, before) {
			t.Errorf("got %+v", again)
		}
	})
	t.Run("another reason with the same status keeps the time", func(t *testing.T) {
		f := healthy()
		f.Generation, f.Mesh.Resolution.Mode, f.Pods[0].Mesh = 8, v1alpha1.MeshNone, mesh.PodState{}
		c := apimeta.FindStatusCondition(Set(before, f, later), "MeshReady")
		if c.LastTransitionTime != now || c.Reason != v1alpha1.ReasonNotRequired || c.ObservedGeneration != 8 {
			t.Errorf("got %+v", c)
		}
	})
	t.Run("another status moves it", func(t *testing.T) {
		f := healthy()
		f.Address.Addresses = nil
		all := Set(before, f, later)
		if c := apimeta.FindStatusCondition(all, "AddressReady"); c.LastTransitionTime != later {
			t.Errorf("got %+v", c)
		}
		if c := apimeta.FindStatusCondition(all, "Accepted"); c.LastTransitionTime != now {
			t.Errorf("got %+v", c)
		}
	})
	t.Run("conditions of others stay", func(t *testing.T) {
		all := Set(append(before, metav1.Condition{Type: "example.com/Audited", Status: "True"}), healthy(), later)
		if all[len(all)-1].Type != "example.com/Audited" {
			t.Errorf("got %+v", all)
		}
	})
}

// TestRestartKeepsWhatWasHeard: a manager that starts has not heard from the proxies yet; they go on working.
func TestRestartKeepsWhatWasHeard(t *testing.T) {
	before := Set(nil, healthy(), now)
	f := healthy()
	f.Fleet = Fleet{}
	if got := Set(before, f, metav1.NewTime(now.Add(time.Minute))); !reflect.DeepEqual(got, before) {
		t.Errorf("got %+v", got)
	}
	f.Fleet = Fleet{Known: true}
	if c := apimeta.FindStatusCondition(Set(before, f, now), "Programmed"); c.Status != metav1.ConditionUnknown {
		t.Errorf("once the stream can tell, it is said: %+v", c)
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	f := healthy()
	f.Rollout.Failed = []string{strings.Repeat("é", 4000)}
	c := apimeta.FindStatusCondition(Set(nil, f, now), "RolledOut")
	if len(c.Message) > maxMessage || !utf8.ValidString(c.Message) {
		t.Errorf("%d bytes, valid %t", len(c.Message), utf8.ValidString(c.Message))
	}
}

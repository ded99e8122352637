// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

func TestStreamlessProxies(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	pod := func(name string, ready time.Time) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(ready)},
			}},
		}
	}
	old := pod("old", start.Add(-time.Hour))
	unready := pod("unready", start.Add(-time.Hour))
	unready.Status.Conditions[0].Status = corev1.ConditionFalse
	for _, c := range []struct {
		name   string
		pods   []corev1.Pod
		fleet  FleetFacts
		after  time.Duration
		want   string
		known  bool
		wakeIn time.Duration
	}{
		{"no stream at all in this manager", []corev1.Pod{old}, FleetFacts{Known: true}, 0, "", true, 0},
		{"has one", []corev1.Pod{old}, FleetFacts{Known: true, Expected: start, Streams: map[string]bool{"old": true}}, time.Hour, "", true, 0},
		{"a manager that just started", []corev1.Pod{old}, FleetFacts{Known: true, Expected: start}, -20 * time.Second, "", false, 20 * time.Second},
		{"did not come back", []corev1.Pod{old}, FleetFacts{Known: true, Expected: start}, 0, "old", true, 0},
		{"not ready", []corev1.Pod{unready}, FleetFacts{Known: true, Expected: start}, time.Hour, "", true, 0},
		{"just ready", []corev1.Pod{pod("new", start.Add(time.Minute))}, FleetFacts{Known: true, Expected: start}, time.Minute, "", true, 10 * time.Second},
		{"just lost", []corev1.Pod{old}, FleetFacts{Known: true, Expected: start, Lost: map[string]time.Time{"old": start.Add(time.Minute)}}, 64 * time.Second, "", true, 6 * time.Second},
		{"lost for long", []corev1.Pod{old}, FleetFacts{Known: true, Expected: start, Lost: map[string]time.Time{"old": start.Add(time.Minute)}}, 70 * time.Second, "old", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &observed{pods: c.pods, fleet: c.fleet}
			judgeStreams(o, start.Add(c.after))
			if got := strings.Join(o.streamless, " "); got != c.want || o.fleet.Known != c.known || o.lookAgain != c.wakeIn {
				t.Errorf("streamless %q, known %t, again in %s", got, o.fleet.Known, o.lookAgain)
			}
		})
	}
}

func TestCrash(t *testing.T) {
	ended := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "starting\nproxy: settings: KONG_HEADERS: \"x\" is unknown\n"}
	for _, c := range []struct {
		name   string
		status corev1.ContainerStatus
		want   string
	}{
		{"waits to be started again", corev1.ContainerStatus{
			Name:                 v1alpha1.ProxyContainerName,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: corev1.ContainerState{Terminated: ended},
		}, `exit code 1: proxy: settings: KONG_HEADERS: "x" is unknown`},
		{"ended", corev1.ContainerStatus{Name: v1alpha1.ProxyContainerName, State: corev1.ContainerState{Terminated: ended}}, `exit code 1: proxy: settings: KONG_HEADERS: "x" is unknown`},
		{"serves again", corev1.ContainerStatus{
			Name: v1alpha1.ProxyContainerName, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			LastTerminationState: corev1.ContainerState{Terminated: ended},
		}, ""},
		{"another container", corev1.ContainerStatus{Name: "istio-proxy", State: corev1.ContainerState{Terminated: ended}}, ""},
	} {
		if got := crash(&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{c.status}}}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

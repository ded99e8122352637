// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func TestInspectPod(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	status := `{"initContainers":["istio-init"],"containers":["istio-proxy"],"revision":"canary"}`
	for _, c := range []struct {
		name string
		pod  corev1.Pod
		want PodState
	}{
		{"nothing", corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "proxy"}}}}, PodState{}},
		{"only the annotation proves nothing", corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationStatus: status}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "proxy"}}},
		}, PodState{}},
		{"classic, ready", corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationStatus: status, annotationRevision: "tag"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy"}, {Name: "proxy"}}},
			Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "proxy"}, {Name: "istio-proxy", Ready: true}}},
		}, PodState{Injected: true, Revision: "canary", Ready: true}},
		{"native, not ready", corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationStatus: "no JSON", annotationRevision: "default"}},
			Spec:       corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-init"}, {Name: "istio-proxy", RestartPolicy: &always}}},
			Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "istio-proxy", Ready: true}}},
		}, PodState{Injected: true, Native: true, Revision: "default"}},
		{"native, ready", corev1.Pod{
			Spec:   corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-proxy", RestartPolicy: &always}}},
			Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "istio-proxy", Ready: true}}},
		}, PodState{Injected: true, Native: true, Ready: true}},
		{"an init container that ends is no sidecar", corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-proxy"}}},
		}, PodState{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := InspectPod(&c.pod); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func policyObject(name string, age time.Duration, path []string, selector map[string]any) unstructured.Unstructured {
	u := unstructured.Unstructured{Object: map[string]any{}}
	u.SetName(name)
	u.SetUID(types.UID(name))
	u.SetCreationTimestamp(metav1.NewTime(time.Unix(1_000_000, 0).Add(-age)))
	if selector != nil {
		_ = unstructured.SetNestedMap(u.Object, selector, path...)
	}
	return u
}

func TestRivals(t *testing.T) {
	pod := map[string]string{"app": "edge", "gateway.konghq.com/gateway": "edge"}
	pa := func(name string, age time.Duration, selector map[string]any) unstructured.Unstructured {
		return policyObject(name, age, []string{"spec", "selector", "matchLabels"}, selector)
	}
	ours := pa("ours", time.Hour, map[string]any{"gateway.konghq.com/gateway": "edge"})
	for _, c := range []struct {
		name   string
		others []unstructured.Unstructured
		want   string
	}{
		{"alone", nil, ""},
		{"a younger one", []unstructured.Unstructured{pa("young", time.Minute, map[string]any{"app": "edge"})}, ""},
		{"an older one", []unstructured.Unstructured{pa("old", 2*time.Hour, map[string]any{"app": "edge"})}, "old"},
		{"an older one for other pods", []unstructured.Unstructured{pa("old", 2*time.Hour, map[string]any{"app": "shop"})}, ""},
		{"an older one for the whole namespace", []unstructured.Unstructured{pa("old", 2*time.Hour, nil)}, ""},
		{"the same age, earlier name", []unstructured.Unstructured{pa("aaa", time.Hour, map[string]any{"app": "edge"})}, "aaa"},
		{"the same age, later name", []unstructured.Unstructured{pa("zzz", time.Hour, map[string]any{"app": "edge"})}, ""},
		{"the oldest of two", []unstructured.Unstructured{
			pa("old", 2*time.Hour, map[string]any{"app": "edge"}), pa("older", 3*time.Hour, map[string]any{"app": "edge"}),
		}, "older"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := ""
			if got := ShadowedBy(append([]unstructured.Unstructured{ours}, c.others...), "ours", pod); got != nil {
				name = got.GetName()
			}
			if name != c.want {
				t.Errorf("shadowed by %q, want %q", name, c.want)
			}
		})
	}
	t.Run("before ours exists any other wins", func(t *testing.T) {
		if got := ShadowedBy([]unstructured.Unstructured{pa("young", 0, map[string]any{"app": "edge"})}, "", pod); got == nil {
			t.Error("not seen")
		}
	})
	t.Run("two Sidecar objects conflict whatever their age", func(t *testing.T) {
		sidecar := func(name string, age time.Duration, selector map[string]any) unstructured.Unstructured {
			return policyObject(name, age, []string{"spec", "workloadSelector", "labels"}, selector)
		}
		got := ConflictingSidecar([]unstructured.Unstructured{
			sidecar("ours", time.Hour, map[string]any{"app": "edge"}), sidecar("young", 0, map[string]any{"app": "edge"}),
			sidecar("namespace", 2*time.Hour, nil),
		}, "ours", pod)
		if got == nil || got.GetName() != "young" {
			t.Errorf("got %v", got)
		}
	})
}

func TestScope(t *testing.T) {
	istiod := types.NamespacedName{Namespace: "istio-system", Name: "istiod"}
	web := Backend{Namespace: "shop", Service: "web", ClusterIPs: []string{"10.96.0.7", "fd00::7"}, Port: 80}
	api := Backend{Namespace: "pay", Service: "api", ClusterIPs: []string{"10.96.0.8"}, Port: 80}
	head := Backend{Namespace: "db", Service: "head", Port: 5432, L4: true}

	s := Scope([]Backend{web, head, api, web}, istiod, "example.org.")
	if len(s.Entries) != 2 || s.Entries[0].Port != 80 || s.Entries[1].Port != 5432 || !s.Entries[1].L4 || s.Entries[0].L4 {
		t.Fatalf("entries %+v", s.Entries)
	}
	if got := strings.Join(s.Entries[0].Hosts, " "); got != "pay/api.pay.svc.example.org shop/web.shop.svc.example.org" {
		t.Errorf("hosts %s", got)
	}
	if got := strings.Join(s.CatchAll, " "); got != "istio-system/istiod.istio-system.svc.example.org" {
		t.Errorf("catch-all %s", got)
	}
	if len(s.Hashes) != 3 || s.Hashes["10.96.0.7:80"] == "" || s.Hashes["[fd00::7]:80"] != s.Hashes["10.96.0.7:80"] {
		t.Errorf("hashes %v", s.Hashes)
	}

	t.Run("another backend on the port changes no hash of the others", func(t *testing.T) {
		alone := Scope([]Backend{web}, istiod, "example.org")
		if alone.Hashes["10.96.0.7:80"] != s.Hashes["10.96.0.7:80"] {
			t.Error("connections to web would be retired because of api")
		}
	})
	t.Run("an address that goes to another Service changes its hash", func(t *testing.T) {
		moved := web
		moved.Service = "web2"
		if Scope([]Backend{moved}, istiod, "example.org").Hashes["10.96.0.7:80"] == s.Hashes["10.96.0.7:80"] {
			t.Error("same hash")
		}
	})
	t.Run("a Sidecar object in force covers what it names", func(t *testing.T) {
		live := map[string]any{"spec": map[string]any{"egress": []any{
			map[string]any{"port": map[string]any{"number": int64(80), "name": "p80"}, "hosts": []any{"shop/web.shop.svc.example.org"}},
			map[string]any{"port": map[string]any{"number": int64(8080), "name": "p8080"}, "hosts": []any{"pay/api.pay.svc.example.org"}},
			map[string]any{"hosts": []any{"pay/api.pay.svc.example.org"}},
		}}}
		got := Covered([]Backend{web, head, api}, live, "example.org")
		if len(got) != 2 || got["10.96.0.7:80"] != s.Hashes["10.96.0.7:80"] || got["[fd00::7]:80"] == "" {
			t.Errorf("covered %v", got)
		}
		if got := Covered([]Backend{web}, nil, "example.org"); len(got) != 0 {
			t.Errorf("without an object: %v", got)
		}
	})
	t.Run("the catch-all holds no host that has an entry", func(t *testing.T) {
		both := Scope([]Backend{{Namespace: "istio-system", Service: "istiod", ClusterIPs: []string{"10.96.0.9"}, Port: 15014}}, istiod, "")
		if len(both.CatchAll) != 0 {
			t.Errorf("catch-all %v", both.CatchAll)
		}
	})
	t.Run("order of the input does not matter", func(t *testing.T) {
		again := Scope([]Backend{api, web, head}, istiod, "example.org")
		if len(again.Entries) != len(s.Entries) || strings.Join(again.Entries[0].Hosts, " ") != strings.Join(s.Entries[0].Hosts, " ") {
			t.Errorf("entries %+v", again.Entries)
		}
	})
}

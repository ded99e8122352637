// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

const gatewayUID = types.UID("gw-uid")

func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	j, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(j); err != nil {
		t.Fatal(err)
	}
	return u
}

// rendered is a Deployment cut down to one field of each structure: scalar, map, list by key, set and atomic values.
const rendered = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: edge
  namespace: kong
  labels: {gateway.konghq.com/gateway-uid: gw-uid}
  annotations: {a: "1"}
  finalizers: [x/y]
spec:
  replicas: 2
  selector: {matchLabels: {app: edge}}
  template:
    spec:
      containers:
      - name: proxy
        image: proxy:1
        args: [--a, --b]
        resources: {limits: {cpu: 1000m}}
        ports:
        - {containerPort: 8000, protocol: TCP, name: http}
      - name: helper
        image: helper:1
      tolerations:
      - {key: edge, operator: Exists}
`

// ownedByUs is what the API server records for an apply of rendered.
const ownedByUs = `{
 "f:metadata":{"f:labels":{"f:gateway.konghq.com/gateway-uid":{}},"f:annotations":{"f:a":{}},"f:finalizers":{"v:\"x/y\"":{}}},
 "f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:spec":{
  "f:containers":{
   "k:{\"name\":\"proxy\"}":{".":{},"f:name":{},"f:image":{},"f:args":{},"f:resources":{"f:limits":{"f:cpu":{}}},
     "f:ports":{"k:{\"containerPort\":8000,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{},"f:name":{}}}},
   "k:{\"name\":\"helper\"}":{".":{},"f:name":{},"f:image":{}}},
  "f:tolerations":{}}}}}`

// live is rendered as the API server stores it: its own defaults added, quantities in their short form, lists reordered.
func live(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	u := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: edge
  namespace: kong
  uid: live-uid
  resourceVersion: "10"
  generation: 4
  labels: {gateway.konghq.com/gateway-uid: gw-uid, extra: label}
  annotations: {a: "1", deployment.kubernetes.io/revision: "1"}
  finalizers: [other/z, x/y]
spec:
  replicas: 2
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: edge}}
  template:
    spec:
      restartPolicy: Always
      containers:
      - name: helper
        image: helper:1
        imagePullPolicy: IfNotPresent
      - name: proxy
        image: proxy:1
        args: [--a, --b]
        imagePullPolicy: IfNotPresent
        resources: {limits: {cpu: "1"}}
        ports:
        - {containerPort: 9000, protocol: TCP, name: other}
        - {containerPort: 8000, protocol: TCP, name: http}
      tolerations:
      - {key: edge, operator: Exists}
status: {replicas: 2}
`)
	u.SetManagedFields([]metav1.ManagedFieldsEntry{
		managed(FieldManager, metav1.ManagedFieldsOperationApply, "", ownedByUs, 1),
		managed("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, "", `{"f:metadata":{"f:annotations":{"f:deployment.kubernetes.io/revision":{}}}}`, 2),
		managed("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, "status", `{"f:status":{"f:replicas":{}}}`, 3),
	})
	return u
}

func managed(manager string, op metav1.ManagedFieldsOperationType, subresource, fields string, second int64) metav1.ManagedFieldsEntry {
	at := metav1.NewTime(time.Unix(second, 0))
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: op, APIVersion: "apps/v1", FieldsType: "FieldsV1", Subresource: subresource, Time: &at,
		FieldsV1: metav1.NewFieldsV1(fields),
	}
}

func set(t testing.TB, u *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(u.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}

// at returns the n-th container of a Deployment.
func at(t testing.TB, u *unstructured.Unstructured, name string) map[string]any {
	t.Helper()
	list, _, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.([]any) {
		if m := c.(map[string]any); m["name"] == name {
			return m
		}
	}
	t.Fatalf("no container %s", name)
	return nil
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(t *testing.T, live, rendered *unstructured.Unstructured)
		action  Action
		changed string // paths that differ
		removed string // paths that we own and no longer render
	}{
		{"equal but for defaults, order and quantities", nil, ActionNone, "", ""},
		{"scalar", func(t *testing.T, l, _ *unstructured.Unstructured) { set(t, l, int64(5), "spec", "replicas") }, ActionApply, ".spec.replicas", ""},
		{"a number is a number", func(t *testing.T, l, _ *unstructured.Unstructured) { set(t, l, float64(2), "spec", "replicas") }, ActionNone, "", ""},
		{"scalar removed by others", func(_ *testing.T, l, _ *unstructured.Unstructured) {
			unstructured.RemoveNestedField(l.Object, "metadata", "annotations", "a")
		}, ActionApply, ".metadata.annotations.a", ""},
		{"foreign annotations do not matter", func(t *testing.T, l, _ *unstructured.Unstructured) {
			set(t, l, "x", "metadata", "annotations", "cloud.example/id")
		}, ActionNone, "", ""},
		{"no longer rendered", func(_ *testing.T, _, r *unstructured.Unstructured) {
			unstructured.RemoveNestedField(r.Object, "metadata", "annotations")
		}, ActionApply, "", ".metadata.annotations.a"},
		{"newly rendered", func(t *testing.T, _, r *unstructured.Unstructured) {
			set(t, r, int64(3), "spec", "minReadySeconds")
		}, ActionApply, ".spec.minReadySeconds", ""},
		{"newly rendered, but live has it already", func(t *testing.T, _, r *unstructured.Unstructured) {
			set(t, r, int64(10), "spec", "revisionHistoryLimit")
		}, ActionNone, "", ""},
		{"a field of a keyed item", func(t *testing.T, l, _ *unstructured.Unstructured) { at(t, l, "proxy")["image"] = "proxy:2" }, ActionApply,
			`.spec.template.spec.containers[name="proxy"].image`, ""},
		{"a keyed item is gone", func(t *testing.T, l, r *unstructured.Unstructured) { at(t, l, "helper")["name"] = "renamed" }, ActionApply,
			`.spec.template.spec.containers[name="helper"]`, ""},
		{"a keyed item is no longer rendered", func(t *testing.T, _, r *unstructured.Unstructured) {
			set(t, r, []any{at(t, r, "proxy")}, "spec", "template", "spec", "containers")
		}, ActionApply, "", `.spec.template.spec.containers[name="helper"] .spec.template.spec.containers[name="helper"].image .spec.template.spec.containers[name="helper"].name`},
		{"a key that the server defaults may be left out", func(t *testing.T, _, r *unstructured.Unstructured) {
			at(t, r, "proxy")["ports"] = []any{map[string]any{"containerPort": int64(8000), "name": "http"}}
		}, ActionApply, "", `.spec.template.spec.containers[name="proxy"].ports[containerPort=8000,protocol="TCP"].protocol`},
		{"a quantity in another form", func(t *testing.T, _, r *unstructured.Unstructured) {
			at(t, r, "proxy")["resources"] = map[string]any{"limits": map[string]any{"cpu": "1.0"}}
		}, ActionNone, "", ""},
		{"an image tag is no quantity", func(t *testing.T, l, r *unstructured.Unstructured) {
			at(t, l, "proxy")["image"], at(t, r, "proxy")["image"] = "1", "1.0"
		}, ActionApply, `.spec.template.spec.containers[name="proxy"].image`, ""},
		{"an annotation is no quantity", func(t *testing.T, l, r *unstructured.Unstructured) {
			set(t, l, "1", "metadata", "annotations", "a")
			set(t, r, "1.0", "metadata", "annotations", "a")
		}, ActionApply, ".metadata.annotations.a", ""},
		{"order of an atomic list matters", func(t *testing.T, l, _ *unstructured.Unstructured) {
			at(t, l, "proxy")["args"] = []any{"--b", "--a"}
		}, ActionApply, `.spec.template.spec.containers[name="proxy"].args`, ""},
		{"an atomic list is longer", func(t *testing.T, l, _ *unstructured.Unstructured) {
			at(t, l, "proxy")["args"] = []any{"--a", "--b", "--c"}
		}, ActionApply, `.spec.template.spec.containers[name="proxy"].args`, ""},
		{"an atomic value holds more: only the server can tell", func(t *testing.T, l, _ *unstructured.Unstructured) {
			set(t, l, []any{map[string]any{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}}, "spec", "template", "spec", "tolerations")
		}, ActionVerify, "", ""},
		{"an atomic map holds another key", func(t *testing.T, l, _ *unstructured.Unstructured) {
			set(t, l, "x", "spec", "selector", "matchLabels", "extra")
		}, ActionVerify, "", ""},
		{"an item of a set is gone", func(t *testing.T, l, _ *unstructured.Unstructured) {
			set(t, l, []any{"other/z"}, "metadata", "finalizers")
		}, ActionApply, `.metadata.finalizers[="x/y"]`, ""},
		{"an item of a set is no longer rendered", func(_ *testing.T, _, r *unstructured.Unstructured) {
			unstructured.RemoveNestedField(r.Object, "metadata", "finalizers")
		}, ActionApply, "", `.metadata.finalizers[="x/y"]`},
		{"being deleted", func(_ *testing.T, l, _ *unstructured.Unstructured) {
			at := metav1.Now()
			l.SetDeletionTimestamp(&at)
		}, ActionWait, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, r := live(t), object(t, rendered)
			if c.change != nil {
				c.change(t, l, r)
			}
			d, err := Decide(l, Want{Rendered: r, Gateway: gatewayUID})
			if err != nil {
				t.Fatal(err)
			}
			if d.Action != c.action || paths(d.Changed) != c.changed || sorted(d.Removed) != c.removed {
				t.Errorf("got %s\n changed %s\n removed %s", d.Action, paths(d.Changed), sorted(d.Removed))
			}
			if after := object(t, rendered); c.change == nil && sorted([]string{r.GetName()}) != after.GetName() {
				t.Error("the rendering was changed")
			}
		})
	}
}

func paths(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.Path)
	}
	return strings.Join(out, " ")
}

func sorted(s []string) string {
	s = slices.Clone(s)
	slices.Sort(s)
	return strings.Join(s, " ")
}

func TestDecideCreates(t *testing.T) {
	if d, err := Decide(nil, Want{Rendered: object(t, rendered)}); err != nil || d.Action != ActionCreate {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestDecideRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*unstructured.Unstructured)
		want   Action
		text   string
	}{
		{"ours", func(*unstructured.Unstructured) {}, ActionNone, ""},
		{"made by somebody else, label copied", func(l *unstructured.Unstructured) {
			l.SetManagedFields([]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, "", ownedByUs, 1)})
		}, ActionRefuse, "Deployment kong/edge exists and was not created for this gateway"},
		{"updated, not applied, by our name", func(l *unstructured.Unstructured) {
			l.SetManagedFields([]metav1.ManagedFieldsEntry{managed(FieldManager, metav1.ManagedFieldsOperationUpdate, "", ownedByUs, 1)})
		}, ActionRefuse, "was not created"},
		{"of another gateway", func(l *unstructured.Unstructured) { l.SetLabels(map[string]string{UIDLabel: "other"}) }, ActionRefuse, "gateway with UID other"},
		{"label removed, owner reference left", func(l *unstructured.Unstructured) {
			l.SetLabels(nil)
			l.SetOwnerReferences([]metav1.OwnerReference{{UID: gatewayUID}})
		}, ActionApply, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := live(t)
			c.change(l)
			d, err := Decide(l, Want{Rendered: object(t, rendered), Gateway: gatewayUID})
			if err != nil || d.Action != c.want || !strings.Contains(d.Problem, c.text) {
				t.Errorf("got %s %q, %v", d.Action, d.Problem, err)
			}
		})
	}
	t.Run("a shared object is never refused", func(t *testing.T) {
		l := object(t, "{apiVersion: v1, kind: Namespace, metadata: {name: kong, labels: {a: b}}}")
		r := object(t, "{apiVersion: v1, kind: Namespace, metadata: {name: kong, labels: {istio-injection: enabled}}}")
		d, err := Decide(l, Want{Rendered: r, Gateway: gatewayUID, Shared: true})
		if err != nil || d.Action != ActionApply || paths(d.Changed) != ".metadata.labels.istio-injection" {
			t.Errorf("got %+v, %v", d, err)
		}
	})
	t.Run("managedFields that cannot be read", func(t *testing.T) {
		l := live(t)
		l.SetManagedFields(append(l.GetManagedFields(), managed("broken", metav1.ManagedFieldsOperationUpdate, "", `{"v:{":{}}`, 1)))
		if _, err := Decide(l, Want{Rendered: object(t, rendered), Gateway: gatewayUID}); err == nil || !strings.Contains(err.Error(), `"broken"`) {
			t.Errorf("error %v does not name the manager", err)
		}
	})
}

// TestHolder: the manager that took a field is named, also when it only removed it.
func TestHolder(t *testing.T) {
	taken := strings.Replace(ownedByUs, `"f:replicas":{},`, "", 1)
	l := live(t)
	set(t, l, int64(9), "spec", "replicas")
	l.SetManagedFields([]metav1.ManagedFieldsEntry{
		managed(FieldManager, metav1.ManagedFieldsOperationApply, "", taken, 1),
		managed("editor", metav1.ManagedFieldsOperationUpdate, "", `{"f:metadata":{"f:labels":{"f:extra":{}}}}`, 9),
		managed("autoscaler", metav1.ManagedFieldsOperationUpdate, "", `{"f:spec":{"f:replicas":{}}}`, 5),
	})
	d, err := Decide(l, Want{Rendered: object(t, rendered), Gateway: gatewayUID})
	if err != nil || len(d.Changed) != 1 || d.Changed[0].Holder != "autoscaler" {
		t.Fatalf("got %+v, %v", d, err)
	}
	unstructured.RemoveNestedField(l.Object, "spec", "replicas")
	l.SetManagedFields(l.GetManagedFields()[:2])
	if d, err = Decide(l, Want{Rendered: object(t, rendered), Gateway: gatewayUID}); err != nil || len(d.Changed) != 1 || d.Changed[0].Holder != "editor" {
		t.Fatalf("got %+v, %v", d, err)
	}
}

// FuzzDecide feeds managedFields of any shape: they come from the API server, but nothing may make the manager panic.
func FuzzDecide(f *testing.F) {
	f.Add(ownedByUs)
	f.Add(`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"i:0":{}}}}}}`)
	f.Add(`{"f:spec":{".":{},"v:1":{},"k:{\"a\":null}":{}}}`)
	f.Fuzz(func(t *testing.T, fields string) {
		l := live(t)
		l.SetManagedFields([]metav1.ManagedFieldsEntry{managed(FieldManager, metav1.ManagedFieldsOperationApply, "", fields, 1)})
		_, _ = Decide(l, Want{Rendered: object(t, rendered), Gateway: gatewayUID})
	})
}

// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// row is one case of a table. Each has a namespace of its own; in its texts $NS
// stands for that and $CLASS for the gateway's class; $CRT, $KEY and $TEXT are a pair as
// Secrets hold it, and another certificate as ConfigMaps do.
type row struct {
	name string
	// ingress and service are annotations of the Ingress and the Service that
	// every row has.
	ingress, service map[string]string
	// objects is more YAML.
	objects string
	// want are entities that must be published, as `kind {"field":value}`: one
	// of the row's entities of that kind has these fields. `!kind {…}` is one
	// that must not.
	want []string
	// status are conditions and addresses, as `Kind name: text`, a prefix.
	status []string
}

const rowObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: $NS}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: $NS}
spec: {ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: $NS, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: [192.0.2.1], conditions: {ready: true}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: $NS}
spec:
  ingressClassName: $CLASS
  rules:
  - host: $NS.test
    http: {paths: [{path: /foo, pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}
`

// table is a running control plane with the objects of all rows.
type table struct {
	*system
	class string
	rows  []row
	pair  []string // certificate and key in base64; another certificate in quotes
	at    configsync.Position
	items []item // what was published at that position
}

// item is a published entity: as text, in which the uids of objects are left
// out, and as a mapping.
type item struct {
	kind, id, text string
	fields         map[string]any
}

// newest returns what was published last.
func (tb *table) newest(t *testing.T) []item {
	t.Helper()
	at, list := tb.entities()
	if at == tb.at {
		return tb.items
	}
	tb.at, tb.items = at, nil
	for _, e := range list {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		text = uidTag.ReplaceAll(text, []byte("k8s-uid:UID"))
		one := item{kind: string(e.EntityKind()), id: string(entity.KeyOf(e).ID), text: string(text)}
		if err := json.Unmarshal(text, &one.fields); err != nil {
			t.Fatal(err)
		}
		tb.items = append(tb.items, one)
	}
	return tb.items
}

func (tb *table) namespace(i int) string { return fmt.Sprintf("%s-%02d", tb.class, i) }

// fill replaces the words that stand for the row's own names.
func (tb *table) fill(i int, text string) string {
	return strings.NewReplacer("$NS", tb.namespace(i), "$CLASS", tb.class,
		"$CRT", tb.pair[0], "$KEY", tb.pair[1], "$TEXT", tb.pair[2]).Replace(text)
}

// startTable applies the objects of all rows and starts a control plane whose
// gateway is outside the mesh, so that what a Service says has its full effect.
func startTable(t *testing.T, class string, rows []row) *table {
	t.Helper()
	installKongCRDs(t)
	installReferenceGrants(t)
	tb := &table{class: class, rows: rows, pair: keyPairs(t)}
	var documents []string
	for i, r := range rows {
		documents = append(documents, tb.objects(t, i, r))
	}
	kubectl(t, strings.Join(documents, "\n---\n"), "apply", "-f", "-")
	tb.system = start(t, class, func(spec *routes.GatewaySpec) {
		spec.MeshMode = "none"
		spec.Addresses = tableAddresses
		spec.StreamPorts = routes.StreamPorts{TCP: []int32{9000, 9001, 9443}, UDP: []int32{5300, 9000}}
	})
	return tb
}

// objects returns the YAML of a row, with the annotations put in.
func (tb *table) objects(t *testing.T, i int, r row) string {
	t.Helper()
	var out []string
	for _, text := range strings.Split(tb.fill(i, rowObjects), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		for kind, annotations := range map[string]map[string]string{"Ingress": r.ingress, "Service": r.service} {
			if o.GetKind() == kind {
				filled := map[string]string{}
				for k, v := range annotations {
					filled[k] = tb.fill(i, v)
				}
				o.SetAnnotations(filled)
			}
		}
		b, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	if r.objects != "" {
		out = append(out, tb.fill(i, r.objects))
	}
	return strings.Join(out, "\n---\n")
}

// check waits until every row is as it says.
func (tb *table) check(t *testing.T) {
	t.Helper()
	for i, r := range tb.rows {
		t.Run(r.name, func(t *testing.T) {
			ns := tb.namespace(i)
			eventually(t, "entities", func() error { return tb.published(ns, i, r.want) })
			eventually(t, "status", func() error {
				tb.acknowledge()
				for _, s := range r.status {
					if err := tb.hasStatus(ns, tb.fill(i, s)); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

// own returns the entities of a row as mappings, by kind: those whose tags or
// names tell the namespace, and those that refer to such.
func (tb *table) own(t *testing.T, ns string) map[string][]map[string]any {
	t.Helper()
	all := tb.newest(t)
	mine := []string{ns}
	out := map[string][]map[string]any{}
	taken := make([]bool, len(all))
	for range 3 { // references of references
		for i, e := range all {
			found := func(what string) bool { return strings.Contains(e.text, what) }
			if taken[i] || !slices.ContainsFunc(mine, found) {
				continue
			}
			taken[i] = true
			mine = append(mine, e.id)
			out[e.kind] = append(out[e.kind], e.fields)
		}
	}
	return out
}

// uidTag is the tag with the uid of an object.
var uidTag = regexp.MustCompile(`k8s-uid:[0-9a-f-]+`)

func (tb *table) published(ns string, i int, wants []string) error {
	own := tb.own(tb.t, ns)
	for _, w := range wants {
		w, not := strings.CutPrefix(tb.fill(i, w), "!")
		kind, fields, _ := strings.Cut(w, " ")
		var want map[string]any
		if err := json.Unmarshal([]byte(fields), &want); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
		found := slices.ContainsFunc(own[kind], func(have map[string]any) bool { return holds(have, want) })
		if found == not {
			text, _ := json.Marshal(own)
			return fmt.Errorf("%s: found is %v, there are %s", w, found, text)
		}
	}
	return nil
}

// holds reports whether have has what want has, deeply; null stands for absent.
func holds(have, want map[string]any) bool {
	for k, w := range want {
		inner, nested := w.(map[string]any)
		if nested {
			if h, ok := have[k].(map[string]any); !ok || !holds(h, inner) {
				return false
			}
			continue
		}
		if !reflect.DeepEqual(have[k], w) {
			return false
		}
	}
	return true
}

var tableKinds = map[string]schema.GroupVersion{
	"Ingress": {Group: "networking.k8s.io", Version: "v1"}, "KongPlugin": {Group: "configuration.konghq.com", Version: "v1"},
	"KongClusterPlugin": {Group: "configuration.konghq.com", Version: "v1"}, "KongConsumer": {Group: "configuration.konghq.com", Version: "v1"},
	"KongConsumerGroup": {Group: "configuration.konghq.com", Version: "v1beta1"}, "KongUpstreamPolicy": {Group: "configuration.konghq.com", Version: "v1beta1"},
	"TCPIngress": {Group: "configuration.konghq.com", Version: "v1beta1"}, "UDPIngress": {Group: "configuration.konghq.com", Version: "v1beta1"},
	"KongVault": {Group: "configuration.konghq.com", Version: "v1alpha1"}, "KongCustomEntity": {Group: "configuration.konghq.com", Version: "v1alpha1"},
	"KongIngress": {Group: "configuration.konghq.com", Version: "v1"}, "IngressClassParameters": {Group: "configuration.konghq.com", Version: "v1alpha1"},
}

// hasStatus compares the status of an object with `Kind name: text`. The text
// is that of Programmed, of the addresses, or of a policy's ancestors.
func (tb *table) hasStatus(ns, want string) error {
	subject, text, _ := strings.Cut(want, ": ")
	kind, name, _ := strings.Cut(subject, " ")
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(tableKinds[kind].WithKind(kind))
	key := types.NamespacedName{Name: name}
	if kind != "KongClusterPlugin" && kind != "KongVault" {
		key.Namespace = ns
	}
	if err := kube.Get(context.Background(), key, o); err != nil {
		return err
	}
	got := statusText(o)
	if !strings.HasPrefix(got, text) {
		return fmt.Errorf("status of %s is %q, want %q", subject, got, text)
	}
	return nil
}

func statusText(o *unstructured.Unstructured) string {
	ingress, _, _ := unstructured.NestedSlice(o.Object, "status", "loadBalancer", "ingress")
	ancestors, _, _ := unstructured.NestedSlice(o.Object, "status", "ancestors")
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	var out []string
	for _, a := range ingress {
		m := a.(map[string]any)
		out = append(out, fmt.Sprint(m["ip"]))
	}
	for _, a := range ancestors {
		m := a.(map[string]any)
		ref, _ := m["ancestorRef"].(map[string]any)
		list, _ := m["conditions"].([]any)
		out = append(out, fmt.Sprintf("%v %v by %v %s", ref["kind"], ref["name"], m["controllerName"], conditionsText(list)))
	}
	if len(conditions) > 0 {
		out = append(out, conditionsText(conditions))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, " ")
}

func conditionsText(list []any) string {
	var out []string
	for _, c := range list {
		m := c.(map[string]any)
		out = append(out, fmt.Sprintf("%v=%v/%v: %v", m["type"], m["status"], m["reason"], m["message"]))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// warnings are our Warnings about a row's objects.
func (tb *table) warnings(ns string) ([]string, error) {
	all, err := tb.allWarnings()
	return all[ns], err
}

// allWarnings are those of all rows, by namespace. Those about cluster-scoped
// objects, which are in the default namespace, count for the namespace that the
// object's name begins with.
func (tb *table) allWarnings() (map[string][]string, error) {
	var list eventsv1.EventList
	if err := kube.List(context.Background(), &list); err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, e := range list.Items {
		if e.Type != "Warning" || e.ReportingController != "kong-istio-gateway" {
			continue
		}
		ns := e.Namespace
		if e.Regarding.Namespace == "" {
			ns = tb.rowOf(e.Regarding.Name)
		}
		out[ns] = append(out[ns], fmt.Sprintf("event %s %s %s %s: %s", e.Regarding.Kind, e.Regarding.Name, e.Reason, e.Action, e.Note))
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out, nil
}

// rowOf returns the row's namespace that the name of a cluster-scoped object
// begins with.
func (tb *table) rowOf(name string) string {
	for i := range tb.rows {
		if strings.HasPrefix(name, tb.namespace(i)) {
			return tb.namespace(i)
		}
	}
	return ""
}

// quiet waits until all events are there that are to come: a problem that came
// after all others is told of.
func (tb *table) quiet(t *testing.T) {
	t.Helper()
	last := tb.class + "-last"
	kubectl(t, strings.NewReplacer("$NS", last, "$CLASS", tb.class).Replace(`
apiVersion: v1
kind: Namespace
metadata: {name: $NS}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: last, namespace: $NS, annotations: {konghq.com/methods: "B@D"}}
spec:
  ingressClassName: $CLASS
  rules: [{host: $NS.test, http: {paths: [{path: /, pathType: Exact, backend: {service: {name: none, port: {number: 80}}}}]}}]
`), "apply", "-f", "-")
	eventually(t, "the last event", func() error {
		list, err := tb.warnings(last)
		if err == nil && len(list) != 2 {
			err = fmt.Errorf("events are %q", list)
		}
		return err
	})
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/test/apiserver"
)

var startServer = sync.OnceValues(func() (*apiserver.Server, error) { return apiserver.Start(crdDirectory) })

const crdDirectory = "config/crd/bases"

func TestMain(m *testing.M) {
	code := m.Run()
	if serverUsed {
		if server, err := startServer(); err == nil {
			if err := server.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

var serverUsed bool

func gateways(t *testing.T) (dynamic.ResourceInterface, *rest.Config) {
	t.Helper()
	serverUsed = true
	server, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(GroupVersion.WithResource("kongistiogateways")).Namespace("default"), server.Config
}

// object is a case as a user writes it: without defaults.
func (r rule) object(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	spec := map[string]any{}
	text, err := yaml.YAMLToJSONStrict([]byte(r.spec))
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil {
		t.Fatalf("spec of case %q: %v", r.title, err)
	}
	name := r.name
	if name == "" {
		name = "edge"
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": GroupVersion.String(), "kind": Kind,
		"metadata": map[string]any{"name": name}, "spec": spec,
	}}
}

func TestAPIServerJudgesAsTheTableSays(t *testing.T) {
	client, _ := gateways(t)
	for _, r := range rules() {
		t.Run(r.title, func(t *testing.T) {
			message := r.message
			if r.judge == goOnly {
				message = ""
			}
			options := metav1.CreateOptions{FieldValidation: "Strict", DryRun: []string{metav1.DryRunAll}}
			_, err := client.Create(t.Context(), r.object(t), options)
			switch {
			case message == "" && err != nil:
				t.Errorf("a good object is refused: %v", err)
			case message != "" && err == nil:
				t.Errorf("accepted, want %q", message)
			case message != "" && !apierrors.IsInvalid(err):
				t.Errorf("want Invalid, got %v", err)
			case message != "" && !strings.Contains(err.Error(), message):
				t.Errorf("got  %v\nwant %s", err, message)
			}
		})
	}
}

func TestAPIServerSetsTheSameDefaults(t *testing.T) {
	client, _ := gateways(t)
	for _, r := range goodSpecs() {
		created, err := client.Create(t.Context(), r.object(t), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Fatalf("%s: %v", r.title, err)
		}
		got := &KongIstioGateway{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(created.Object, got); err != nil {
			t.Fatalf("%s: %v", r.title, err)
		}
		if diff := cmp.Diff(r.gateway(t).Spec, got.Spec, cmp.Transformer("overlay", overlayMembers)); diff != "" {
			t.Errorf("%s: SetDefaults and the API server differ (-Go +server):\n%s", r.title, diff)
		}
	}
}

// overlayMembers makes overlays comparable whatever the order in which JSON writes their members.
func overlayMembers(overlay PodSpecOverlay) any {
	var members any
	if err := json.Unmarshal(overlay.Raw, &members); err != nil {
		return err.Error()
	}
	return members
}

// A spec that is absent is the same as an empty one.
func TestAPIServerDefaultsAnAbsentSpec(t *testing.T) {
	client, _ := gateways(t)
	object := rule{spec: "{}"}.object(t)
	delete(object.Object, "spec")
	created, err := client.Create(t.Context(), object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	class, _, _ := unstructured.NestedString(created.Object, "spec", "ingressClassName")
	if class != DefaultIngressClassName {
		t.Errorf("spec.ingressClassName is %q", class)
	}
}

func TestAPIServerRefusesUnknownMembers(t *testing.T) {
	client, _ := gateways(t)
	object := rule{spec: "mesh: {mod: None}"}.object(t)
	_, err := client.Create(t.Context(), object, metav1.CreateOptions{FieldValidation: "Strict", DryRun: []string{metav1.DryRunAll}})
	if err == nil || !strings.Contains(err.Error(), `unknown field "spec.mesh.mod"`) {
		t.Errorf("got %v", err)
	}
}

// create makes a gateway that the end of the test removes.
func create(t *testing.T, client dynamic.ResourceInterface, r rule) {
	t.Helper()
	if _, err := client.Create(t.Context(), r.object(t), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Delete(context.Background(), r.name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

func patch(t *testing.T, client dynamic.ResourceInterface, name, text string, subresources ...string) error {
	t.Helper()
	_, err := client.Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{}, subresources...)
	return err
}

func TestAPIServerGuardsLoadBalancerClass(t *testing.T) {
	client, _ := gateways(t)
	create(t, client, rule{name: "class", spec: "service: {loadBalancerClass: example.com/a}"})
	for _, step := range []struct {
		patch   string
		refused bool
	}{
		{`{"spec":{"service":{"loadBalancerClass":"example.com/b"}}}`, true},
		{`{"spec":{"service":{"loadBalancerClass":null}}}`, true},
		{`{"spec":{"service":null}}`, true},
		{`{"spec":{"paused":true}}`, false},
		{`{"spec":{"service":{"type":"ClusterIP","loadBalancerClass":null}}}`, false},
		{`{"spec":{"service":{"type":"LoadBalancer","loadBalancerClass":"example.com/b"}}}`, false},
	} {
		err := patch(t, client, "class", step.patch)
		if refused := err != nil; refused != step.refused {
			t.Errorf("%s: %v", step.patch, err)
		}
		if err != nil && !strings.Contains(err.Error(), msgBalancerClass) {
			t.Errorf("%s: got %v", step.patch, err)
		}
	}
}

func TestAPIServerScale(t *testing.T) {
	client, config := gateways(t)
	create(t, client, rule{name: "scaled", spec: "deployment: {replicas: 2}"})
	status := `{"status":{"replicas":2,"selector":"gateway.konghq.com/gateway=scaled"}}`
	if err := patch(t, client, "scaled", status, "status"); err != nil {
		t.Fatal(err)
	}
	if err := patch(t, client, "scaled", `{"spec":{"replicas":5}}`, "scale"); err != nil {
		t.Fatal(err)
	}
	read, err := client.Get(t.Context(), "scaled", metav1.GetOptions{}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	scale := &autoscalingv1.Scale{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(read.Object, scale); err != nil {
		t.Fatal(err)
	}
	want := autoscalingv1.ScaleStatus{Replicas: 2, Selector: "gateway.konghq.com/gateway=scaled"}
	if scale.Spec.Replicas != 5 || scale.Status != want {
		t.Errorf("scale is %+v %+v", scale.Spec, scale.Status)
	}
	// The same table that kubectl prints.
	if got, want := columns(t, config, "scaled"), "NAME READY ADDRESS REPLICAS MESH ROUTES PROGRAMMED AGE | REVISION VERSION REASON"; got != want {
		t.Errorf("columns\ngot  %s\nwant %s", got, want)
	}
}

func TestAPIServerStatus(t *testing.T) {
	client, config := gateways(t)
	create(t, client, rule{name: "shown", spec: "{}"})
	status := KongIstioGatewayStatus{
		Addresses:      []Address{{Type: AddressTypeIPAddress, Value: "192.0.2.7"}, {Type: AddressTypeHostname, Value: "edge.example.com"}},
		Replicas:       pointer(3),
		ReadyReplicas:  pointer(0),
		AttachedRoutes: pointer(7),
		Mesh:           MeshStatus{Mode: MeshSidecar, Revision: "canary"},
		Proxies:        ProxiesStatus{Connected: pointer(3), Programmed: pointer(0)},
		Version:        "0.1.0",
		Problems: []Problem{{
			Object: ProblemObject{Group: "configuration.konghq.com", Kind: "KongPlugin", Namespace: "shop", Name: "limit"},
			Field:  "config.minute", Reason: "InvalidConfiguration", Message: "must be a number above 0",
		}},
		ProblemCount: pointer(1),
	}
	for _, kind := range ConditionTypes() {
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: ReasonUnavailable, ObservedGeneration: 1,
			LastTransitionTime: metav1.Now().Rfc3339Copy(), Message: "because",
		})
	}
	text, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	if err := patch(t, client, "shown", string(text), "status"); err != nil {
		t.Fatal(err)
	}
	read, err := client.Get(t.Context(), "shown", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := &KongIstioGateway{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(read.Object, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(status, got.Status); diff != "" {
		t.Errorf("the API server changes the status (-sent +read):\n%s", diff)
	}
	row := cells(t, config, "shown")
	for column, want := range map[string]string{
		"Ready": "False", "Address": "192.0.2.7", "Replicas": "3", "Mesh": "Sidecar", "Routes": "7",
		"Programmed": "False", "Revision": "canary", "Version": "0.1.0", "Reason": "Unavailable",
	} {
		if row[column] != want {
			t.Errorf("column %s shows %q, want %q", column, row[column], want)
		}
	}
}

func pointer(value int32) *int32 { return &value }

func table(t *testing.T, config *rest.Config, name string) *metav1.Table {
	t.Helper()
	config = rest.CopyConfig(config)
	config.GroupVersion = &GroupVersion
	config.APIPath = "/apis"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := client.Get().Namespace("default").Resource("kongistiogateways").Name(name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	printed := &metav1.Table{}
	if err := json.Unmarshal(text, printed); err != nil {
		t.Fatal(err)
	}
	return printed
}

// columns returns the columns' names in capitals, wide-only ones after a bar.
func columns(t *testing.T, config *rest.Config, name string) string {
	t.Helper()
	narrow, wide := []string{}, []string{}
	for _, column := range table(t, config, name).ColumnDefinitions {
		if column.Priority == 0 {
			narrow = append(narrow, strings.ToUpper(column.Name))
		} else {
			wide = append(wide, strings.ToUpper(column.Name))
		}
	}
	return strings.Join(narrow, " ") + " | " + strings.Join(wide, " ")
}

func cells(t *testing.T, config *rest.Config, name string) map[string]string {
	t.Helper()
	printed := table(t, config, name)
	row := map[string]string{}
	for i, column := range printed.ColumnDefinitions {
		row[column.Name] = fmt.Sprint(printed.Rows[0].Cells[i])
	}
	return row
}

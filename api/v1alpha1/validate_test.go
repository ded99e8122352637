// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const crdFile = "../../config/crd/bases/gateway.konghq.com_kongistiogateways.yaml"

func TestValidate(t *testing.T) {
	for _, r := range rules() {
		if r.judge == schemaOnly {
			continue
		}
		t.Run(r.title, func(t *testing.T) {
			found := Validate(r.gateway(t))
			if r.message == "" {
				if found != nil {
					t.Fatalf("a good spec is refused: %v", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("want one problem, got %v", found)
			}
			if found[0].Field != r.field || !strings.HasPrefix(found[0].Message, r.message) {
				t.Errorf("got  %s\nwant %s: %s", found[0], r.field, r.message)
			}
		})
	}
}

// Bounds and enumerations are the schema's, but a spec that came around it is refused all the same.
func TestValidateRepeatsTheSchema(t *testing.T) {
	decoded := []string{
		"same name", "unknown protocol", "container port below 1024", "negative replicas", "unknown type",
		"unknown mode", "unknown upstream host", "accepting too long", "deadline too short",
	}
	for _, r := range rules() {
		if r.judge == schemaOnly && slices.Contains(decoded, r.title) {
			if found := Validate(r.gateway(t)); len(found) == 0 {
				t.Errorf("%s: Validate accepts it", r.title)
			}
		}
	}
}

func TestValidateUpdate(t *testing.T) {
	service := func(kind, class string) *KongIstioGatewaySpec {
		spec := &KongIstioGatewaySpec{}
		SetDefaults(spec)
		spec.Service.LoadBalancerClass = class
		if kind == "ClusterIP" {
			spec.Service.Type = "ClusterIP"
		}
		return spec
	}
	refused := []FieldProblem{{Field: "spec.service", Message: msgBalancerClass}}
	for _, c := range []struct {
		title         string
		before, after *KongIstioGatewaySpec
		want          []FieldProblem
	}{
		{"no class", service("", ""), service("", ""), nil},
		{"same class", service("", "a"), service("", "a"), nil},
		{"another class", service("", "a"), service("", "b"), refused},
		{"first class", service("", ""), service("", "a"), refused},
		{"class removed", service("", "a"), service("", ""), refused},
		{"by way of ClusterIP, there", service("", "a"), service("ClusterIP", ""), nil},
		{"by way of ClusterIP, back", service("ClusterIP", ""), service("", "b"), nil},
	} {
		if diff := cmp.Diff(c.want, ValidateUpdate(c.before, c.after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.title, diff)
		}
	}
}

// Every CEL rule of ours must be shown by a case of the table, so that CEL and Go keep one text.
func TestEveryRuleHasACase(t *testing.T) {
	shown := map[string]bool{msgBalancerClass: true} // TestValidateUpdate and the API server's update test
	for _, r := range rules() {
		shown[r.message] = true
	}
	inCEL := celMessages(t)
	for message := range inCEL {
		if !shown[message] {
			t.Errorf("no case of the table shows the CEL rule %q", message)
		}
	}
	for _, r := range rules() {
		if r.judge == both && r.message != "" && !inCEL[r.message] {
			t.Errorf("%s: no CEL rule says %q", r.title, r.message)
		}
	}
}

func celMessages(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatalf("read the generated CRD (make manifests writes it): %v", err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		t.Fatalf("%s: %v", crdFile, err)
	}
	found := map[string]bool{}
	var walk func(schema *apiextensionsv1.JSONSchemaProps)
	walk = func(schema *apiextensionsv1.JSONSchemaProps) {
		for _, validation := range schema.XValidations {
			found[validation.Message] = true
		}
		for _, property := range schema.Properties {
			walk(&property)
		}
		if schema.Items != nil && schema.Items.Schema != nil {
			walk(schema.Items.Schema)
		}
		if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
			walk(schema.AdditionalProperties.Schema)
		}
	}
	for _, version := range crd.Spec.Versions {
		walk(version.Schema.OpenAPIV3Schema)
	}
	if len(found) == 0 {
		t.Fatalf("%s holds no CEL rule", crdFile)
	}
	return found
}

func TestUnsupported(t *testing.T) {
	for _, c := range []struct{ spec, field, fix string }{
		{"listeners: [{name: a, port: 443, protocol: HTTPS, tls: {defaultCertificate: {name: edge}}}]", "spec.listeners[0].tls.defaultCertificate", "name the Secret with its hosts in spec.tls of an Ingress"},
		{"listeners: [{name: a, port: 9000, protocol: TCP}, {name: b, port: 53, containerPort: 9000, protocol: UDP}]", "spec.listeners[1].containerPort", "shares containerPort 9000 with listener a"},
		{"deployment: {autoscaling: {maxReplicas: 3}}", "spec.deployment.autoscaling", "set spec.deployment.replicas"},
		{"mesh: {mode: Ambient}", "spec.mesh.mode", "use Auto, Sidecar or None"},
		{"mesh: {destinationRules: {mode: Backends}}", "spec.mesh.destinationRules.mode", "use OwnService or Unmanaged"},
		{"mesh: {authorization: {mode: DryRun}}", "spec.mesh.authorization.mode", "use Unmanaged"},
		{"mesh: {authorization: {mode: Enforce}}", "spec.mesh.authorization.mode", "use Unmanaged"},
		{"rollout: {mode: BlueGreen}", "spec.rollout.mode", "use RollingUpdate"},
		{"observability: {podMonitor: {mode: Managed}}", "spec.observability.podMonitor.mode", "use Unmanaged"},
		{"observability: {tracing: {mode: OpenTelemetry, endpoint: 'http://o'}}", "spec.observability.tracing.mode", "use Disabled"},
	} {
		gateway := rule{title: c.spec, spec: c.spec}.gateway(t)
		if found := Validate(gateway); found != nil {
			t.Errorf("%s: what is only unsupported is called invalid: %v", c.spec, found)
		}
		found := Unsupported(&gateway.Spec)
		if len(found) != 1 || found[0].Field != c.field || !strings.Contains(found[0].Message, c.fix) ||
			!strings.HasPrefix(found[0].Message, "is not supported yet; ") {
			t.Errorf("%s: got %v", c.spec, found)
		}
	}
	if found := Unsupported(&rule{spec: "{}"}.gateway(t).Spec); found != nil {
		t.Errorf("an empty spec is refused: %v", found)
	}
}

func TestDefaultsAreIdempotentAndSurviveJSON(t *testing.T) {
	for _, r := range goodSpecs() {
		gateway := r.gateway(t)
		again := gateway.DeepCopy()
		SetDefaults(&again.Spec)
		if diff := cmp.Diff(gateway.Spec, again.Spec); diff != "" {
			t.Errorf("%s: a second SetDefaults changes (-first +second):\n%s", r.title, diff)
		}
		text, err := json.Marshal(gateway)
		if err != nil {
			t.Fatalf("%s: %v", r.title, err)
		}
		back := &KongIstioGateway{}
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatalf("%s: %v", r.title, err)
		}
		if diff := cmp.Diff(gateway, back); diff != "" {
			t.Errorf("%s: JSON loses (-before +after):\n%s", r.title, diff)
		}
	}
}

// An overlay keeps what a typed PodSpec would lose: directives, and zero values that were written.
func TestOverlayKeepsWhatWasWritten(t *testing.T) {
	const text = `{"$retainKeys":["containers"],"containers":[{"$patch":"delete","name":"helper"}],"shareProcessNamespace":false}`
	var overlay PodTemplateOverlay
	if err := json.Unmarshal([]byte(`{"spec":`+text+`}`), &overlay); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(overlay.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"spec":` + text + `}`; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	overlay.Spec.DeepCopy().Raw[0] = 'x'
	if overlay.Spec.Raw[0] == 'x' {
		t.Error("DeepCopy shares memory")
	}
	if (*PodSpecOverlay)(nil).DeepCopy() != nil {
		t.Error("DeepCopy of nil is not nil")
	}
}

func TestConditionTypesOrder(t *testing.T) {
	want := []string{"Accepted", "Paused", "MeshReady", "AddressReady", "RolledOut", "Programmed", "Available", "Ready"}
	if diff := cmp.Diff(want, ConditionTypes()); diff != "" {
		t.Error(diff)
	}
}

func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	for range 2 {
		if err := AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
	}
	kinds, _, err := scheme.ObjectKinds(&KongIstioGateway{})
	if err != nil || len(kinds) != 1 || kinds[0] != GroupVersion.WithKind(Kind) {
		t.Errorf("kinds %v, error %v", kinds, err)
	}
}

// Validate judges whatever an overlay holds without a panic.
func FuzzValidateOverlay(f *testing.F) {
	f.Add([]byte(`{"containers":[{"name":"proxy","command":["sh"]}]}`))
	f.Add([]byte(`{"containers":[1,null,{"name":2}],"$patch":"replace"}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"hostNetwork":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		gateway := &KongIstioGateway{}
		gateway.Name = "edge"
		SetDefaults(&gateway.Spec)
		gateway.Spec.Deployment.PodTemplate = &PodTemplateOverlay{Spec: &PodSpecOverlay{}}
		gateway.Spec.Deployment.PodTemplate.Spec.Raw = raw
		for _, problem := range Validate(gateway) {
			if !strings.HasPrefix(problem.Field, "spec.deployment.podTemplate.spec") {
				t.Errorf("%q: problem elsewhere: %v", raw, problem)
			}
		}
	})
}

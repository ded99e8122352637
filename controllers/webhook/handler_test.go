// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// empty is a cluster with one class of ours and nothing in it.
type empty struct{ err error }

func (e empty) Classes() (admission.Classes, error) {
	return admission.Classes{Ours: []fragment.Settings{{Class: "kong"}}}, e.err
}
func (empty) Secret(string, string) (*corev1.Secret, error)             { return nil, nil }
func (empty) Consumers() ([]*kongv1.KongConsumer, error)                { return nil, nil }
func (empty) ConsumerGroups() ([]*kongv1beta1.KongConsumerGroup, error) { return nil, nil }
func (empty) Plugins(string) ([]*kongv1.KongPlugin, error)              { return nil, nil }
func (empty) ClusterPlugins() ([]*kongv1.KongClusterPlugin, error)      { return nil, nil }
func (empty) Vaults() ([]*kongv1alpha1.KongVault, error)                { return nil, nil }
func (empty) SameCredential(string) ([]types.NamespacedName, error)     { return nil, nil }
func (empty) Routes() ([]metav1.Object, error)                          { return nil, nil }
func (empty) Service(string, string) (*corev1.Service, error)           { return nil, nil }

func testHandler(t testing.TB, lookup admission.Lookup, logs *bytes.Buffer) *handler {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := store.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	h := newHandler(Config{Scheme: scheme, Schemas: schemas.All(), Logger: slog.New(slog.NewTextHandler(logs, nil))})
	h.lookup = func(context.Context) admission.Lookup { return lookup }
	return h
}

func request(operation admissionv1.Operation, group, version, kind, object, old string) ctrladmission.Request {
	raw := func(text string) runtime.RawExtension {
		if text == "" {
			return runtime.RawExtension{}
		}
		return runtime.RawExtension{Raw: []byte(text)}
	}
	return ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "u", Operation: operation, Kind: metav1.GroupVersionKind{Group: group, Version: version, Kind: kind}, Name: "limit", Namespace: "shop",
		Object: raw(object), OldObject: raw(old),
	}}
}

const (
	kong      = "configuration.konghq.com"
	badPlugin = `{"apiVersion":"configuration.konghq.com/v1","kind":"KongPlugin","metadata":{"name":"limit","generation":1},"plugin":"rate-limiting","config":{"minute":"many","policy":"local"}}`
)

func TestHandle(t *testing.T) {
	refused := "KongPlugin shop/limit config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)"
	unchecked := "KongPlugin shop/limit: it could not be checked whether the gateway can use it; see its conditions and events"
	for name, c := range map[string]struct {
		request ctrladmission.Request
		lookup  admission.Lookup
		refused string
		warning string
	}{
		"refused":              {request: request(admissionv1.Create, kong, "v1", "KongPlugin", badPlugin, ""), refused: refused},
		"refused when changed": {request: request(admissionv1.Update, kong, "v1", "KongPlugin", badPlugin, strings.Replace(badPlugin, "1}", "2}", 1)), refused: refused},
		"unchanged":            {request: request(admissionv1.Update, kong, "v1", "KongPlugin", badPlugin, badPlugin)},
		"deleted":              {request: request(admissionv1.Delete, kong, "v1", "KongPlugin", "", badPlugin)},
		"another kind":         {request: request(admissionv1.Create, "apps", "v1", "Deployment", `{"kind":"Deployment"}`, "")},
		"another version":      {request: request(admissionv1.Create, kong, "v9", "KongPlugin", badPlugin, "")},
		"no object":            {request: request(admissionv1.Create, kong, "v1", "KongPlugin", "null", "")},
		"unreadable":           {request: request(admissionv1.Create, kong, "v1", "KongPlugin", `{"plugin": 5, "hunter2"`, ""), warning: unchecked},
		"unreadable before":    {request: request(admissionv1.Update, kong, "v1", "KongPlugin", badPlugin, `{"hunter2"`), warning: unchecked},
		"caches are not there": {request: request(admissionv1.Create, kong, "v1", "KongPlugin", badPlugin, ""), lookup: empty{err: errors.New("no cache")}, warning: unchecked},
		"refused with a warning": {request: request(admissionv1.Create, "networking.k8s.io", "v1", "Ingress",
			`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"web","annotations":{"konghq.com/protocols":"gopher","konghq.com/strip-path":"maybe"}},"spec":{"ingressClassName":"kong","defaultBackend":{"service":{"name":"web","port":{"number":80}}}}}`, ""),
			refused: "Ingress shop/web metadata.annotations[konghq.com/protocols]: Ingress has invalid Kong annotations: invalid konghq.com/protocols value: gopher (use a comma list of http, https, grpc, grpcs, ws, wss, tcp, tls, tls_passthrough)",
			warning: `Ingress shop/web metadata.annotations[konghq.com/strip-path]: the value "maybe" is not valid; the annotation is ignored (use "true" or "false")`},
	} {
		t.Run(name, func(t *testing.T) {
			var logs bytes.Buffer
			if c.lookup == nil {
				c.lookup = empty{}
			}
			got := testHandler(t, c.lookup, &logs).Handle(t.Context(), c.request)
			if got.Allowed != (c.refused == "") || strings.Join(got.Warnings, "\n") != c.warning {
				t.Errorf("allowed %v, warnings %q", got.Allowed, got.Warnings)
			}
			if !got.Allowed && (got.Result.Message != c.refused || got.Result.Code != http.StatusBadRequest || len(got.Result.Details.Causes) != 1) {
				t.Errorf("result %+v", got.Result)
			}
			if strings.Contains(logs.String(), "hunter2") {
				t.Errorf("logged: %s", &logs)
			}
		})
	}
}

func TestClassesOf(t *testing.T) {
	class := func(name, controller string, annotations map[string]string) networkingv1.IngressClass {
		c := networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: controller}}
		c.Name, c.Annotations = name, annotations
		return c
	}
	owned := map[string]string{"owner": "uid"}
	legacy := class("legacy", "ours", owned)
	group, namespace := kong, "shop"
	legacy.Spec.Parameters = &networkingv1.IngressClassParametersReference{
		APIGroup: &group, Kind: "IngressClassParameters", Name: "p", Namespace: &namespace,
	}
	parameters := func(name types.NamespacedName) (kongv1alpha1.IngressClassParametersSpec, error) {
		return kongv1alpha1.IngressClassParametersSpec{EnableLegacyRegexDetection: name.String() == "shop/p"}, nil
	}
	list := []networkingv1.IngressClass{
		class("z", "ours", map[string]string{"owner": "uid", fragment.AnnotationDefaultClass: "true"}),
		class("a", "ours", owned), class("unserved", "ours", nil), class("nginx", "nginx", owned), legacy,
	}
	got, err := classesOf(list, "ours", "owner", parameters)
	want := admission.Classes{Ours: []fragment.Settings{
		{Class: "a", LocalRefused: true}, {Class: "legacy", LocalRefused: true, LegacyRegexDetection: true}, {Class: "z", DefaultClass: true, LocalRefused: true},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = classesOf([]networkingv1.IngressClass{class("kong", fragment.KongController, nil)}, "ours", "owner", parameters); err != nil || !got.Shared || len(got.Ours) > 0 {
		t.Errorf("beside Kong: %+v, %v", got, err)
	}
	failing := func(types.NamespacedName) (kongv1alpha1.IngressClassParametersSpec, error) {
		return kongv1alpha1.IngressClassParametersSpec{}, errors.New("no cache")
	}
	if _, err = classesOf(list, "ours", "owner", failing); err == nil {
		t.Error("parameters that are not known are not those that say nothing")
	}
}

func TestDigest(t *testing.T) {
	s := &corev1.Secret{Data: map[string][]byte{"key": []byte("hunter2")}}
	s.Name, s.Labels = "c", map[string]string{fragment.LabelCredential: "key-auth"}
	s.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}
	got, err := digest(schemas.All())(s)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "hunter2") || len(got.(*corev1.Secret).Data) > 0 {
		t.Errorf("kept %s, %v", text, err)
	}
	if got.(*corev1.Secret).Annotations[indexCredential] == "" {
		t.Error("no digest")
	}
	if other, err := digest(schemas.All())("x"); other != "x" || err != nil {
		t.Errorf("got %v, %v", other, err)
	}
}

// FuzzHandle judges objects of all kinds, with whatever anybody who reaches the
// port may send.
func FuzzHandle(f *testing.F) {
	kinds := []metav1.GroupVersionKind{
		{Group: kong, Version: "v1", Kind: "KongPlugin"}, {Group: kong, Version: "v1", Kind: "KongClusterPlugin"},
		{Group: kong, Version: "v1", Kind: "KongConsumer"}, {Group: kong, Version: "v1", Kind: "KongIngress"},
		{Group: kong, Version: "v1beta1", Kind: "KongConsumerGroup"}, {Group: kong, Version: "v1beta1", Kind: "KongUpstreamPolicy"},
		{Group: kong, Version: "v1beta1", Kind: "TCPIngress"}, {Group: kong, Version: "v1beta1", Kind: "UDPIngress"},
		{Group: kong, Version: "v1alpha1", Kind: "KongVault"}, {Group: kong, Version: "v1alpha1", Kind: "KongCustomEntity"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}, {Version: "v1", Kind: "Service"}, {Version: "v1", Kind: "Secret"},
	}
	const class = `"metadata":{"annotations":{"kubernetes.io/ingress.class":"kong"}}`
	for i, object := range []string{
		badPlugin, `{` + class + `,"plugin":"cors","configPatches":[{"path":"/a","valueFrom":{"secretKeyRef":{"name":"a","key":"b","namespace":"c"}}}]}`,
		`{` + class + `,"username":"a","credentials":["b"],"consumerGroups":["c"]}`, `{"upstream":{},"proxy":{},"route":{}}`,
		`{` + class + `}`, `{"spec":{"slots":1,"hashOn":{"input":"ip"},"healthchecks":{"active":{},"passive":{}}}}`,
		`{` + class + `,"spec":{"rules":[{"host":"a","port":1}],"tls":[{"hosts":["a"],"secretName":"b"}]}}`, `{` + class + `,"spec":{"rules":[{"port":1}]}}`,
		`{` + class + `,"spec":{"backend":"env","prefix":"a","config":{"prefix":"b"}}}`, `{"spec":{"controllerName":"kong","type":"snis","fields":{"name":"a"}}}`,
		`{"metadata":{"annotations":{"konghq.com/protocols":"a"}},"spec":{"ingressClassName":"kong","rules":[{"http":{"paths":[{"path":"/~/a("}]}}]}}`,
		`{"metadata":{"annotations":{"konghq.com/override":"a","konghq.com/path":"b"}},"spec":{"ports":[{}]}}`,
		`{"metadata":{"labels":{"konghq.com/credential":"jwt","konghq.com/validate":"plugin"}},"data":{"key":"YQ==","algorithm":"YQ=="}}`,
	} {
		f.Add(byte(i), object, `{}`)
	}
	var logs bytes.Buffer
	h := testHandler(f, empty{}, &logs)
	f.Fuzz(func(t *testing.T, kind byte, object, old string) {
		logs.Reset()
		k := kinds[int(kind)%len(kinds)]
		for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
			got := h.Handle(t.Context(), request(operation, k.Group, k.Version, k.Kind, object, old))
			if !got.Allowed && (got.Result == nil || got.Result.Message == "") {
				t.Errorf("refused without a reason: %+v", got)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"slices"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

var decoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	if err := store.AddToScheme(scheme); err != nil {
		panic(err)
	}
	return serializer.NewCodecFactory(scheme).UniversalDeserializer()
}()

// object reads a manifest, with Secrets' stringData as the API server stores it.
func object(t *testing.T, manifest string) metav1.Object {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	o, _, err := decoder.Decode(text, nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	accessor, err := meta.Accessor(o)
	if err != nil {
		t.Fatal(err)
	}
	switch o.(type) {
	case *kongv1.KongClusterPlugin, *kongv1alpha1.KongVault:
	default:
		if accessor.GetNamespace() == "" {
			accessor.SetNamespace("shop")
		}
	}
	return stored(accessor)
}

func objects(t *testing.T, manifests ...string) []metav1.Object {
	t.Helper()
	var out []metav1.Object
	for _, m := range manifests {
		out = append(out, object(t, m))
	}
	return out
}

// lines are the texts of problems.
func lines(list []fragment.Problem) []string {
	var out []string
	for _, p := range list {
		out = append(out, admission.Text(p))
	}
	return out
}

// row is an object and what is said about it.
type row struct {
	name     string
	object   string
	old      string
	others   []string
	shared   bool
	refused  []string // each is one violation, whole
	warnings []string
}

func (r row) run(t *testing.T) {
	t.Helper()
	c := ourClass(objects(t, r.others...)...)
	c.classes.Shared = r.shared
	var old metav1.Object
	if r.old != "" {
		old = object(t, r.old)
	}
	d, err := admission.Review(object(t, r.object), old, schemas.All(), c)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(d.Violations); !slices.Equal(got, r.refused) {
		t.Errorf("refused:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(r.refused, "\n"))
	}
	if got := lines(d.Warnings); !slices.Equal(got, r.warnings) {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(r.warnings, "\n"))
	}
}

func runRows(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, r.run)
	}
}

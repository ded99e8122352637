// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/offline"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// TestNothingServedIsRefused reviews every object of the golden cases of
// translation that translates without a problem, as it would be created among
// the others of its file and, but for Secrets, before any of them.
func TestNothingServedIsRefused(t *testing.T) {
	files, err := filepath.Glob("../offline/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	kinds := make(map[string]bool)
	for _, file := range files {
		settings, served := servedOf(t, file)
		var secrets []metav1.Object
		for _, o := range served {
			if _, ok := o.(*corev1.Secret); ok {
				secrets = append(secrets, o)
			}
		}
		for _, o := range served {
			kind := o.(client.Object).GetObjectKind().GroupVersionKind().Kind
			kinds[kind] = true
			for cluster, others := range map[string][]metav1.Object{"among the others": served, "first": secrets} {
				c := ourClass(others...)
				c.classes.Ours = []fragment.Settings{settings}
				d, err := admission.Review(o, nil, schemas.All(), c)
				if err != nil || len(d.Violations) > 0 {
					t.Errorf("%s: %s %s/%s, created %s, is refused: %q, %v", file, kind, o.GetNamespace(), o.GetName(), cluster, lines(d.Violations), err)
				}
			}
		}
	}
	for _, kind := range []string{
		"KongPlugin", "KongClusterPlugin", "KongConsumer", "KongConsumerGroup", "KongUpstreamPolicy", "KongVault", "KongCustomEntity",
		"TCPIngress", "KongIngress", "Ingress", "Service", "Secret",
	} {
		if !kinds[kind] {
			t.Errorf("no golden case has a %s without a problem", kind)
		}
	}
}

// servedOf returns the objects of a golden case that translation finds nothing
// wrong with. What is wrong with a Secret is told to the object that needs it.
func servedOf(t *testing.T, file string) (settings fragment.Settings, served []metav1.Object) {
	t.Helper()
	manifest, err := os.ReadFile(file) // #nosec G304 -- of this repository
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := offline.Decode(bytes.NewReader(manifest))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	first, _, _ := strings.Cut(string(manifest), "\n")
	settings = fragment.Settings{
		Class: "kong", Mesh: strings.Contains(first, "mesh"), ServiceHost: strings.Contains(first, "service-host"),
		LocalRefused: strings.Contains(first, "local-refused"), RunWithoutBrokenPlugins: strings.Contains(first, "run-without"),
	}
	problems := offline.Translate(all, settings, schemas.All()).Problems
	for _, o := range all {
		kind := o.GetObjectKind().GroupVersionKind()
		ref := fragment.RefOf(kind.Group, kind.Version, kind.Kind, o)
		_, secret := o.(*corev1.Secret)
		if !slices.ContainsFunc(problems, func(p fragment.Problem) bool {
			return p.Object.String() == ref.String() ||
				secret && p.Object.Namespace == o.GetNamespace() && strings.Contains(p.Message, "Secret "+o.GetName()+":")
		}) {
			served = append(served, o)
		}
	}
	return settings, served
}

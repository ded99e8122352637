// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// TestIncrementalEqualsWhole holds for each manifest of testdata that objects
// which come one by one, go and come back lead to the same configuration, and the
// same problems, as when all of them are there from the start.
func TestIncrementalEqualsWhole(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	all := schemas.All()
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			manifest, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			objects, _, err := Decode(bytes.NewReader(manifest))
			if err != nil {
				t.Fatal(err)
			}
			settings := fragment.Settings{Class: "kong", Mesh: bytes.HasPrefix(manifest, []byte("# settings: mesh"))}
			want := Translate(objects, settings, all)
			for seed := range uint64(4) {
				r := rand.New(rand.NewPCG(seed, 2))
				l := newLive(settings, all)
				order := r.Perm(len(objects))
				for _, i := range order {
					l.put(objects[i])
				}
				for _, i := range order {
					if r.IntN(3) == 0 {
						l.remove(objects[i])
						l.gone = append(l.gone, objects[i])
					}
				}
				for _, o := range l.gone {
					l.put(o)
				}
				if diff := cmp.Diff(encode(t, want.Set), encode(t, collect(l.units))); diff != "" {
					t.Fatalf("seed %d: one by one differs from all at once (-whole +live):\n%s", seed, diff)
				}
				if diff := cmp.Diff(want.Problems, l.Problems(liveGateway)); diff != "" {
					t.Fatalf("seed %d: problems differ (-whole +live):\n%s", seed, diff)
				}
			}
		})
	}
}

func encode(t *testing.T, set *entity.Set) string {
	t.Helper()
	out, err := entity.Encode(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var liveGateway = types.NamespacedName{Name: "live"}

// live is a store that objects come to and go from, and what it delivered.
type live struct {
	*store.Store
	secrets map[types.NamespacedName]*corev1.Secret
	units   map[fragment.Owner][]entity.Entity
	summary store.Summary
	gone    []client.Object
}

func newLive(settings fragment.Settings, all entity.SchemaSet) *live {
	l := &live{
		Store: store.New(all), secrets: make(map[types.NamespacedName]*corev1.Secret),
		units: make(map[fragment.Owner][]entity.Entity),
	}
	l.SetGateway(liveGateway, settings)
	return l
}

func (l *live) put(o client.Object) {
	if secret, ok := o.(*corev1.Secret); ok {
		l.secrets[client.ObjectKeyFromObject(o)] = secret
		l.SecretChanged(o.GetNamespace(), o.GetName())
	} else {
		l.Set(o)
	}
	l.settle()
}

func (l *live) remove(o client.Object) {
	if _, ok := o.(*corev1.Secret); ok {
		delete(l.secrets, client.ObjectKeyFromObject(o))
		l.SecretDeleted(o.GetNamespace(), o.GetName())
	} else {
		l.Delete(o)
	}
	l.settle()
}

func (l *live) settle() {
	for {
		for _, d := range l.Deliver() {
			for _, f := range d.Changed {
				l.units[f.Owner] = f.Entities
			}
			for _, o := range d.Removed {
				delete(l.units, o)
			}
			l.summary = d.Summary
		}
		wanted := l.WantedSecrets()
		if len(wanted) == 0 {
			return
		}
		for _, w := range wanted {
			l.AnswerSecret(w, l.secrets[types.NamespacedName{Namespace: w.Namespace, Name: w.Name}])
		}
	}
}

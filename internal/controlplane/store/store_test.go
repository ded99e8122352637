// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

var gateway = types.NamespacedName{Namespace: "kong-istio", Name: "edge"}

// world is a store with what it delivered so far.
type world struct {
	*store.Store
	t        testing.TB
	settings fragment.Settings
	units    map[fragment.Owner]fragment.Fragment
	secrets  map[string]*corev1.Secret
	last     []store.Delivery
	summary  store.Summary
	version  int64
}

func newWorld(t testing.TB, settings fragment.Settings) *world {
	t.Helper()
	w := &world{
		Store: store.New(schemas.All()), t: t, settings: settings,
		units: map[fragment.Owner]fragment.Fragment{}, secrets: map[string]*corev1.Secret{},
	}
	w.SetGateway(gateway, settings)
	return w
}

func meshed() fragment.Settings { return fragment.Settings{Class: "kong", Mesh: true} }

// put sets objects, as new generations.
func (w *world) put(list ...client.Object) {
	for _, o := range list {
		w.version++
		o.SetGeneration(w.version)
		o.SetUID(types.UID(o.GetNamespace() + "-" + o.GetName()))
		w.Set(o)
	}
}

// settle delivers until nothing is left, and returns the owners of changed and
// removed fragments.
func (w *world) settle() (changed []fragment.Owner) {
	w.t.Helper()
	w.last = nil
	for {
		for _, d := range w.Deliver() {
			w.last = append(w.last, d)
			for _, f := range d.Changed {
				w.units[f.Owner] = f
				changed = append(changed, f.Owner)
			}
			for _, o := range d.Removed {
				delete(w.units, o)
				changed = append(changed, o)
			}
			w.summary = d.Summary
		}
		wanted := w.WantedSecrets()
		if len(wanted) == 0 {
			return changed
		}
		for _, r := range wanted {
			w.AnswerSecret(r, w.secrets[r.Namespace+"/"+r.Name])
		}
	}
}

func (w *world) plugins(o fragment.Owner) []string {
	var names []string
	for _, e := range w.units[o].Entities {
		if p, ok := e.(*entity.Plugin); ok {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

func ingressOf(name, service string, plugins string) *netv1.Ingress {
	class, exact := "kong", netv1.PathTypeExact
	ing := &netv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	if plugins != "" {
		ing.Annotations = map[string]string{fragment.AnnotationPlugins: plugins}
	}
	ing.Spec.IngressClassName = &class
	ing.Spec.Rules = []netv1.IngressRule{{Host: name + ".example.com", IngressRuleValue: netv1.IngressRuleValue{
		HTTP: &netv1.HTTPIngressRuleValue{Paths: []netv1.HTTPIngressPath{{
			Path: "/", PathType: &exact,
			Backend: netv1.IngressBackend{Service: &netv1.IngressServiceBackend{Name: service, Port: netv1.ServiceBackendPort{Number: 80}}},
		}}},
	}}}
	return ing
}

func serviceOf(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

func pluginOf(name, plugin, config string) *kongv1.KongPlugin {
	return &kongv1.KongPlugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, PluginName: plugin,
		Config: apiextensionsv1.JSON{Raw: []byte(config)},
	}
}

func owner(kind fragment.OwnerKind, name string) fragment.Owner {
	return fragment.Owner{Kind: kind, Namespace: "shop", Name: name}
}

func wantOwners(t *testing.T, got []fragment.Owner, want ...fragment.Owner) {
	t.Helper()
	slices.SortFunc(got, fragment.Owner.Compare)
	slices.SortFunc(want, fragment.Owner.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
}

func TestOnlyWhatAChangeTouchesIsDelivered(t *testing.T) {
	w := newWorld(t, meshed())
	w.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":1}`),
		ingressOf("one", "web", "limit"), ingressOf("two", "web", ""), ingressOf("three", "other", ""))
	one, two, three := owner(fragment.OwnerIngress, "one"), owner(fragment.OwnerIngress, "two"), owner(fragment.OwnerIngress, "three")
	web, other := owner(fragment.OwnerBackend, "web:80"), owner(fragment.OwnerBackend, "other:80")
	wantOwners(t, w.settle(), one, two, three, web, other)

	t.Run("nothing changed", func(t *testing.T) {
		wantOwners(t, w.settle())
	})
	t.Run("a plugin", func(t *testing.T) {
		w.put(pluginOf("limit", "rate-limiting", `{"minute":2}`))
		wantOwners(t, w.settle(), one)
	})
	t.Run("a Service appears", func(t *testing.T) {
		if !slices.ContainsFunc(w.Problems(gateway), func(p fragment.Problem) bool { return p.Object.Name == "three" }) {
			t.Errorf("the missing Service is not reported: %v", w.Problems(gateway))
		}
		w.put(serviceOf("other", "10.0.0.2"))
		wantOwners(t, w.settle(), other)
		if len(w.Problems(gateway)) != 0 {
			t.Errorf("problems remain: %v", w.Problems(gateway))
		}
	})
	t.Run("endpoints do not matter in the mesh", func(t *testing.T) {
		before := w.Translations()
		w.put(&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
		}})
		wantOwners(t, w.settle())
		if n := w.Translations() - before; n != 0 {
			t.Errorf("%d units were translated", n)
		}
	})
	t.Run("a status write", func(t *testing.T) {
		before := w.Translations()
		ing := ingressOf("two", "web", "")
		ing.Generation, ing.UID = 4, "shop-two" // as put gave it
		ing.Status.LoadBalancer.Ingress = []netv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
		w.Set(ing)
		wantOwners(t, w.settle())
		if n := w.Translations() - before; n != 0 {
			t.Errorf("%d units were translated", n)
		}
	})
	t.Run("the last reference goes", func(t *testing.T) {
		w.Delete(ingressOf("three", "", ""))
		wantOwners(t, w.settle(), three, other)
		if len(w.summary.Backends) != 1 || w.summary.AttachedRoutes != 2 {
			t.Errorf("summary is %+v", w.summary)
		}
	})
	t.Run("an Ingress changes class", func(t *testing.T) {
		ing := ingressOf("two", "web", "")
		class := "another"
		ing.Spec.IngressClassName = &class
		w.put(ing)
		wantOwners(t, w.settle(), two)
	})
	t.Run("the gateway goes without a mesh", func(t *testing.T) {
		w.SetGateway(gateway, fragment.Settings{Class: "kong"})
		wantOwners(t, w.settle(), web)
	})
}

func secretOf(name string, version string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: version, UID: types.UID(name)}}
	s.Data = make(map[string][]byte)
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func TestSecrets(t *testing.T) {
	w := newWorld(t, meshed())
	one := owner(fragment.OwnerIngress, "one")
	p := pluginOf("limit", "rate-limiting", "")
	p.ConfigFrom = &kongv1.ConfigSource{SecretValue: kongv1.SecretValueFromSource{Secret: "config", Key: "c"}}
	w.secrets["shop/config"] = secretOf("config", "1", map[string]string{"c": "minute: 1"})
	w.put(serviceOf("web", "10.0.0.1"), p, ingressOf("one", "web", "limit"))

	if d := w.Deliver(); len(d) != 1 || slices.ContainsFunc(d[0].Changed, func(f fragment.Fragment) bool { return f.Owner == one }) {
		t.Fatalf("delivered before the Secret was read: %+v", d)
	} else if d[0].Summary.PendingSecrets == 0 {
		t.Error("nothing says that a Secret is being read")
	}
	w.settle()
	if got := w.plugins(one); !slices.Equal(got, []string{"rate-limiting"}) || w.summary.PendingSecrets != 0 {
		t.Fatalf("plugins are %v, pending %d", got, w.summary.PendingSecrets)
	}

	t.Run("wrong content costs nothing but itself", func(t *testing.T) {
		w.secrets["shop/config"] = secretOf("config", "2", map[string]string{"c": "minute: many"})
		w.SecretChanged("shop", "config")
		wantOwners(t, w.settle())
		if got := w.plugins(one); !slices.Equal(got, []string{"rate-limiting"}) || len(w.Problems(gateway)) != 1 {
			t.Errorf("plugins are %v, problems %v", got, w.Problems(gateway))
		}
	})
	t.Run("deleted takes effect at once", func(t *testing.T) {
		w.SecretDeleted("shop", "config")
		d := w.Deliver()
		if len(d) != 1 || len(d[0].Changed) != 1 {
			t.Fatalf("delivered %+v", d)
		}
		w.units[one] = d[0].Changed[0]
		if got := w.plugins(one); !slices.Equal(got, []string{"unusable"}) {
			t.Errorf("plugins are %v", got)
		}
	})
	t.Run("an overtaken answer does not bring it back", func(t *testing.T) {
		w.SecretChanged("shop", "config")
		requests := w.WantedSecrets()
		if len(requests) != 1 {
			t.Fatalf("wanted %v", requests)
		}
		w.SecretDeleted("shop", "config")
		w.AnswerSecret(requests[0], secretOf("config", "3", map[string]string{"c": "minute: 3"}))
		wantOwners(t, w.settle())
	})
	t.Run("what nobody looks at is not kept", func(t *testing.T) {
		w.Delete(p)
		w.settle()
		w.SecretChanged("shop", "config")
		if requests := w.WantedSecrets(); len(requests) != 0 {
			t.Errorf("wanted %v", requests)
		}
	})
}

func TestDefaultClass(t *testing.T) {
	w := newWorld(t, meshed())
	ing := ingressOf("one", "web", "")
	ing.Spec.IngressClassName = nil
	w.put(serviceOf("web", "10.0.0.1"), ing)
	wantOwners(t, w.settle())

	class := &netv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "kong", Annotations: map[string]string{fragment.AnnotationDefaultClass: "true"}},
		Spec:       netv1.IngressClassSpec{Controller: "example.com/other"},
	}
	w.put(class)
	wantOwners(t, w.settle())

	for _, controller := range []string{fragment.KongController, fragment.Controller} {
		class = class.DeepCopy()
		class.Spec.Controller = controller
		w.put(class)
		wantOwners(t, w.settle(), owner(fragment.OwnerIngress, "one"), owner(fragment.OwnerBackend, "web:80"))
		w.Delete(class)
		wantOwners(t, w.settle(), owner(fragment.OwnerIngress, "one"), owner(fragment.OwnerBackend, "web:80"))
	}
	if len(w.units) != 0 {
		t.Errorf("units remain: %v", w.units)
	}
}

func TestForgetKind(t *testing.T) {
	w := newWorld(t, meshed())
	one := owner(fragment.OwnerIngress, "one")
	w.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":1}`), ingressOf("one", "web", "limit"))
	w.settle()
	w.Forget(store.KindKongPlugin)
	wantOwners(t, w.settle(), one)
	if got := w.plugins(one); !slices.Equal(got, []string{"unusable"}) {
		t.Errorf("plugins are %v", got)
	}
}

// TestCostOfOneChange holds the promise that a change costs what it touches:
// the number of translations does not depend on the number of Ingresses.
func TestCostOfOneChange(t *testing.T) {
	for _, total := range []int{10, 1000} {
		w := crowd(t, total)
		before := w.Translations()
		w.put(ingressOf("i-5", "web", "limit"))
		w.settle()
		if n := w.Translations() - before; n != 1 {
			t.Errorf("with %d Ingresses one change translated %d units", total, n)
		}
	}
}

// TestFirstTranslation holds that each unit is translated once, although it looks
// at what it then claims: its route's name, its SNI, its upstream's name.
func TestFirstTranslation(t *testing.T) {
	w := crowd(t, 100)
	if units, n := w.Size().Units, w.Translations(); units < 100 || n != uint64(units) {
		t.Errorf("%d units took %d translations", units, n)
	}
}

func crowd(t testing.TB, total int) *world {
	w := newWorld(t, meshed())
	w.put(serviceOf("web", "10.0.0.1"), pluginOf("limit", "rate-limiting", `{"minute":1}`))
	for i := range total {
		w.put(ingressOf(fmt.Sprintf("i-%d", i), "web", "limit"))
	}
	w.settle()
	return w
}

// BenchmarkOneChange measures a change among many Ingresses; compare the sizes.
func BenchmarkOneChange(b *testing.B) {
	for _, total := range []int{50, 5000} {
		b.Run(fmt.Sprintf("ingresses=%d", total), func(b *testing.B) {
			w := crowd(b, total)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ing := ingressOf("i-7", "web", "limit")
				ing.Spec.Rules[0].HTTP.Paths[0].Path = fmt.Sprintf("/v%d", i)
				w.put(ing)
				if d := w.Deliver(); len(d) != 1 || len(d[0].Changed) != 1 {
					b.Fatalf("delivered %v", d)
				}
			}
		})
	}
}

// BenchmarkFirst measures the translation of everything.
func BenchmarkFirst(b *testing.B) {
	for b.Loop() {
		start := time.Now()
		crowd(b, 5000)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/5000")
	}
}

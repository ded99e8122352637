// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/controlplane/snapshot"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// restart returns the world after a restart, in which there are these objects
// and the Secrets of before. What was published has been through Secrets.
func (w *world) restart(list ...client.Object) *world {
	w.t.Helper()
	next := newWorld(w.t, w.settings)
	next.secrets = w.secrets
	for _, o := range list {
		next.put(o.DeepCopyObject().(client.Object))
	}
	published := make([]fragment.Fragment, 0, len(w.units))
	for _, f := range w.units {
		published = append(published, f)
	}
	next.Restore(gateway, stored(w.t, published))
	next.settle()
	return next
}

// stored returns fragments as they come back from the Secrets.
func stored(t testing.TB, published []fragment.Fragment) []fragment.Fragment {
	t.Helper()
	b := snapshot.NewBuilder(1)
	if err := b.Apply(published, nil); err != nil {
		t.Fatal(err)
	}
	shards, err := shard.Encode(b.Export(), shard.SecretLimits)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := shard.Decode(shards)
	if err != nil {
		t.Fatal(err)
	}
	list, err := snapshot.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// of returns the entities of a kind, by fragment.
func of[E entity.Entity](w *world, o fragment.Owner) (list []E) {
	for _, e := range w.units[o].Entities {
		if e, ok := e.(E); ok {
			list = append(list, e)
		}
	}
	return list
}

// broken returns a version of an Ingress that is invalid and names another
// Service.
func broken(ing *netv1.Ingress) *netv1.Ingress {
	bad := ing.DeepCopy()
	bad.Annotations = map[string]string{fragment.AnnotationRewrite: "$"}
	bad.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "new"
	bad.Spec.TLS = nil
	return bad
}

func TestRestoreLooksAtWhatThereIs(t *testing.T) {
	one := owner(fragment.OwnerIngress, "one")
	backend := owner(fragment.OwnerBackend, "web:80")
	w := newWorld(t, meshed())
	ing, web := ingressOf("one", "web", "tok"), serviceOf("web", "10.0.0.1")
	tok := pluginOf("tok", "request-transformer", `{"add":{"headers":["authorization:secret"]}}`)
	w.put(ing, web, tok)
	w.settle()
	bad := broken(ing)

	t.Run("all is there", func(t *testing.T) {
		next := w.restart(bad, web, tok)
		routes, services := of[*entity.Route](next, one), of[*entity.Service](next, backend)
		if len(routes) != 1 || len(services) != 1 || routes[0].Service.ID != services[0].ID {
			t.Errorf("the route's backend is not served: %v, %v", routes, services)
		}
		if got := next.plugins(one); !slices.Equal(got, []string{"request-transformer"}) || !next.units[one].LastGood {
			t.Errorf("plugins are %v, fragment %+v", got, next.units[one])
		}
		next.put(pluginOf("tok", "request-transformer", `{"add":{"headers":["x:2"]}}`))
		wantOwners(t, next.settle(), one)
		next.Delete(tok)
		next.settle()
		if got := next.plugins(one); !slices.Equal(got, []string{"unusable"}) {
			t.Errorf("plugins after the deletion are %v", got)
		}
	})
	t.Run("a plugin was deleted", func(t *testing.T) {
		if got := w.restart(bad, web).plugins(one); !slices.Equal(got, []string{"unusable"}) {
			t.Errorf("plugins are %v", got)
		}
	})
	t.Run("the Service was deleted", func(t *testing.T) {
		next := w.restart(bad, tok)
		if services, targets := of[*entity.Service](next, backend), of[*entity.Target](next, backend); len(services) != 1 || len(targets) != 0 {
			t.Errorf("services are %v, targets %v", services, targets)
		}
	})
}

func TestRestoreReferenceGrant(t *testing.T) {
	one := owner(fragment.OwnerIngress, "one")
	w := newWorld(t, meshed())
	ing, web := ingressOf("one", "web", "team:tok"), serviceOf("web", "10.0.0.1")
	tok := pluginOf("tok", "rate-limiting", `{"minute":1}`)
	tok.Namespace = "team"
	permit := grant("team", "Ingress")
	w.put(ing, web, tok, permit)
	w.settle()
	if got := w.restart(broken(ing), web, tok, permit).plugins(one); !slices.Equal(got, []string{"rate-limiting"}) {
		t.Errorf("plugins with the grant are %v", got)
	}
	if got := w.restart(broken(ing), web, tok).plugins(one); !slices.Equal(got, []string{"unusable"}) {
		t.Errorf("plugins without the grant are %v", got)
	}
}

func TestRestoreServerNames(t *testing.T) {
	one, two := owner(fragment.OwnerIngress, "one"), owner(fragment.OwnerIngress, "two")
	w := newWorld(t, meshed())
	cert, key := pair(t)
	for _, name := range []string{"tls", "other"} {
		w.secrets["shop/"+name] = secretOf(name, "1", map[string]string{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key})
	}
	ing, web := ingressOf("one", "web", ""), serviceOf("web", "10.0.0.1")
	ing.Spec.TLS = []netv1.IngressTLS{{Hosts: []string{"one.example.com"}, SecretName: "tls"}}
	later := ingressOf("two", "web", "")
	later.Spec.TLS = []netv1.IngressTLS{{Hosts: []string{"one.example.com"}, SecretName: "other"}}
	w.put(ing, web)
	w.settle()

	next := w.restart(broken(ing), web, later)
	if len(of[*entity.SNI](next, one)) != 1 || len(of[*entity.SNI](next, two)) != 0 {
		t.Errorf("SNIs are %v and %v", next.units[one].Entities, next.units[two].Entities)
	}
	if len(of[*entity.Certificate](next, owner(fragment.OwnerCertificate, "tls"))) != 1 {
		t.Error("the certificate of the last good version is not served")
	}
	// A predecessor that did not know spellings published the name as it stands.
	sni := of[*entity.SNI](w, one)[0]
	sni.Name = "ONE.example.com."
	next = w.restart(broken(ing), web, later)
	if snis := of[*entity.SNI](next, one); len(snis) != 1 || snis[0].Name != "one.example.com" ||
		snis[0].ID != fragment.ID(entity.KindSNI, "one.example.com") || len(of[*entity.SNI](next, two)) != 0 {
		t.Errorf("SNIs of another spelling are %v and %v", snis, next.units[two].Entities)
	}
	delete(w.secrets, "shop/tls")
	next = w.restart(broken(ing), web)
	if snis := of[*entity.SNI](next, one); len(snis) != 0 {
		t.Errorf("SNIs without a certificate: %v", snis)
	}
}

func TestRestoreConsumer(t *testing.T) {
	bob := owner(fragment.OwnerConsumer, "bob")
	w := newWorld(t, meshed())
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{fragment.AnnotationClass: "kong"}}
	}
	for _, name := range []string{"first", "second"} {
		s := secretOf(name, "1", map[string]string{"key": name})
		s.Labels = map[string]string{fragment.LabelCredential: "key-auth"}
		w.secrets["shop/"+name] = s
	}
	gold := &kongv1beta1.KongConsumerGroup{ObjectMeta: meta("gold")}
	limit := pluginOf("limit", "rate-limiting", `{"minute":1}`)
	c := &kongv1.KongConsumer{ObjectMeta: meta("bob"), Username: "bob", Credentials: []string{"first", "second"}, ConsumerGroups: []string{"gold"}}
	c.Annotations[fragment.AnnotationPlugins] = "limit"
	w.put(gold, limit, c)
	w.settle()
	bad := &kongv1.KongConsumer{ObjectMeta: meta("bob")}

	next := w.restart(gold, limit, bad)
	consumers := of[*entity.Consumer](next, bob)
	if len(consumers) != 1 || len(consumers[0].Groups) != 1 || len(of[*entity.Credential](next, bob)) != 2 || len(next.plugins(bob)) != 1 {
		t.Errorf("the last good version is not served: %v", next.units[bob].Entities)
	}
	delete(w.secrets, "shop/first")
	next = w.restart(bad)
	list := of[*entity.Credential](next, bob)
	if len(list) != 1 || list[0].Fields["key"] != "second" {
		t.Errorf("credentials after a Secret was deleted: %v", list)
	}
	if consumers = of[*entity.Consumer](next, bob); len(consumers) != 1 || len(consumers[0].Groups) != 0 {
		t.Errorf("consumers after the group was deleted: %v", consumers)
	}
	if got := next.plugins(bob); !slices.Equal(got, []string{"request-termination"}) {
		t.Errorf("plugins after the KongPlugin was deleted: %v", got)
	}
}

// TestRestoreOthers goes through the other kinds that can be invalid.
func TestRestoreOthers(t *testing.T) {
	w := newWorld(t, meshed())
	cert, key := pair(t)
	w.secrets["shop/tls"] = secretOf("tls", "1", map[string]string{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key})
	ing := ingressOf("one", "web", "")
	ing.Spec.TLS = []netv1.IngressTLS{{Hosts: []string{"one.example.com"}, SecretName: "tls"}}
	vault := &kongv1alpha1.KongVault{ObjectMeta: metav1.ObjectMeta{Name: "env", Annotations: map[string]string{fragment.AnnotationClass: "kong"}}}
	vault.Spec = kongv1alpha1.KongVaultSpec{Backend: "env", Prefix: "env-1", Config: apiextensionsv1.JSON{Raw: []byte(`{"prefix":"A_"}`)}}
	custom := &kongv1alpha1.KongCustomEntity{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "extra"}}
	custom.Spec.ControllerName, custom.Spec.EntityType = "kong", string(entity.KindCertificate)
	custom.Spec.Fields.Raw = encoded(t, map[string]any{"cert": cert, "key": key})
	w.put(ing, serviceOf("web", "10.0.0.1"), vault, custom)
	w.settle()

	w.secrets["shop/tls"] = secretOf("tls", "2", map[string]string{corev1.TLSCertKey: "?", corev1.TLSPrivateKeyKey: key})
	badVault, badCustom := vault.DeepCopy(), custom.DeepCopy()
	badVault.Spec.Backend = "nowhere"
	badCustom.Spec.Fields.Raw = []byte(`{"cert":"?"}`)
	next := w.restart(ing, serviceOf("web", "10.0.0.1"), badVault, badCustom)
	for _, o := range []fragment.Owner{
		owner(fragment.OwnerCertificate, "tls"), {Kind: fragment.OwnerVault, Name: "env"}, owner(fragment.OwnerCustomEntity, "extra"),
	} {
		before, after := w.units[o], next.units[o]
		if !after.LastGood || len(before.Entities) != 1 || len(after.Entities) != 1 {
			t.Errorf("%s: %+v after %+v", o, after, before)
		} else if a, b := marshalled(t, before.Entities[0]), marshalled(t, after.Entities[0]); a != b {
			t.Errorf("%s: %s after %s", o, b, a)
		}
	}
}

// grant permits references from kind in shop to the KongPlugins of a namespace.
func grant(namespace string, kind gatewayv1beta1.Kind) *gatewayv1beta1.ReferenceGrant {
	g := &gatewayv1beta1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "permit"}}
	g.Spec.From = []gatewayv1beta1.ReferenceGrantFrom{{Group: netv1.GroupName, Kind: kind, Namespace: "shop"}}
	g.Spec.To = []gatewayv1beta1.ReferenceGrantTo{{Group: "configuration.konghq.com", Kind: "KongPlugin"}}
	return g
}

// pair returns a certificate of its own and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func marshalled(t *testing.T, e entity.Entity) string {
	t.Helper()
	data, err := entity.MarshalEntity(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// SPDX-License-Identifier: Apache-2.0

// Package population makes the objects of a large ingress class, for the
// benchmarks, the bounds on the cost of a change, and the run against an API
// server. The same size always yields the same objects, but for the keys of
// certificates.
package population

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Class is the ingress class of everything that has one.
const Class = "kong"

// Size says how much there is.
type Size struct {
	Ingresses, Services, Consumers, Certificates int
	// PerNamespace is how many Ingresses a namespace has. They all name the
	// namespace's KongPlugin Limit.
	PerNamespace int
}

// Bar is the size that the project promises to bear.
func Bar() Size {
	return Size{Ingresses: 5000, Services: 1000, Consumers: 500, Certificates: 300, PerNamespace: 1000}
}

// Of returns a population of n Ingresses with everything else in proportion,
// 250 Ingresses a namespace.
func Of(n int) Size {
	return Size{Ingresses: n, Services: n / 5, Consumers: n / 10, Certificates: n / 16, PerNamespace: 250}
}

// Names of the KongPlugins of each namespace: Limit is on every Ingress, Auth on
// every tenth Service.
const (
	Limit = "limit"
	Auth  = "auth"
)

// endpoints is how many pods a Service has.
const endpoints = 3

// Namespaces is how many there are.
func (s Size) Namespaces() int { return (s.Ingresses + s.PerNamespace - 1) / s.PerNamespace }

// Namespace returns the name of a namespace.
func Namespace(i int) string { return "shop-" + strconv.Itoa(i) }

// namespaceOf spreads what belongs to Ingress i over the namespaces.
func (s Size) namespaceOf(i int) string { return Namespace(i / s.PerNamespace) }

func (s Size) servicesPerNamespace() int { return max(1, s.Services/s.Namespaces()) }

func (s Size) serviceName(i int) string {
	return "backend-" + strconv.Itoa(i%s.servicesPerNamespace())
}

// Ingress returns the i-th Ingress: a host with two paths to one Service, with
// the namespace's limit. Every fourth has a third path to another Service; the
// first Certificates ones have TLS. revision changes a path.
func (s Size) Ingress(i, revision int) *netv1.Ingress {
	class, prefix, exact := Class, netv1.PathTypePrefix, netv1.PathTypeExact
	host := fmt.Sprintf("app-%d.example.com", i)
	ing := &netv1.Ingress{ObjectMeta: meta(s.namespaceOf(i), "app-"+strconv.Itoa(i))}
	ing.Labels = map[string]string{"app.kubernetes.io/name": ing.Name, "app.kubernetes.io/part-of": "shop"}
	ing.Annotations = map[string]string{"konghq.com/plugins": Limit, "konghq.com/strip-path": "true"}
	path := func(p string, kind *netv1.PathType, service string) netv1.HTTPIngressPath {
		return netv1.HTTPIngressPath{Path: p, PathType: kind, Backend: netv1.IngressBackend{
			Service: &netv1.IngressServiceBackend{Name: service, Port: netv1.ServiceBackendPort{Number: 80}},
		}}
	}
	paths := []netv1.HTTPIngressPath{
		path("/api/v"+strconv.Itoa(1+revision), &prefix, s.serviceName(i)),
		path("/healthz", &exact, s.serviceName(i)),
	}
	if i%4 == 0 {
		paths = append(paths, path("/admin", &prefix, s.serviceName(i+1)))
	}
	ing.Spec.IngressClassName = &class
	ing.Spec.Rules = []netv1.IngressRule{{Host: host, IngressRuleValue: netv1.IngressRuleValue{HTTP: &netv1.HTTPIngressRuleValue{Paths: paths}}}}
	if i < s.Certificates {
		ing.Spec.TLS = []netv1.IngressTLS{{Hosts: []string{host}, SecretName: CertificateName(i)}}
	}
	return ing
}

// Service returns the i-th Service.
func (s Size) Service(i int) *corev1.Service {
	n := s.servicesPerNamespace()
	o := &corev1.Service{ObjectMeta: meta(Namespace(i/n), s.serviceName(i))}
	o.Labels = map[string]string{"app.kubernetes.io/name": o.Name}
	if i%10 == 0 {
		o.Annotations = map[string]string{"konghq.com/plugins": Auth}
	}
	o.Spec = corev1.ServiceSpec{
		Selector:  map[string]string{"app.kubernetes.io/name": o.Name},
		ClusterIP: fmt.Sprintf("10.96.%d.%d", 1+i/250, 1+i%250),
		Ports:     []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
	}
	return o
}

// EndpointSlice returns the pods of the i-th Service. revision moves one of them.
func (s Size) EndpointSlice(i, revision int) *discoveryv1.EndpointSlice {
	svc := s.Service(i)
	o := &discoveryv1.EndpointSlice{ObjectMeta: meta(svc.Namespace, svc.Name+"-x"), AddressType: discoveryv1.AddressTypeIPv4}
	o.Labels = map[string]string{discoveryv1.LabelServiceName: svc.Name}
	name, port, protocol, ready := "http", int32(8080), corev1.ProtocolTCP, true
	o.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}}
	for e := range endpoints {
		address := fmt.Sprintf("10.%d.%d.%d", 128+i/(250*20), i/20%250, 1+i%20*10+e)
		if e == 0 {
			address = fmt.Sprintf("10.%d.%d.%d", 200+revision%50, i/250, 1+i%250)
		}
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: svc.Namespace, Name: fmt.Sprintf("%s-%d", svc.Name, e)},
		})
	}
	return o
}

// Consumer returns the i-th KongConsumer, which has one key.
func (s Size) Consumer(i int) *kongv1.KongConsumer {
	o := &kongv1.KongConsumer{ObjectMeta: meta(s.consumerNamespace(i), "user-"+strconv.Itoa(i))}
	o.Annotations = map[string]string{"kubernetes.io/ingress.class": Class}
	o.Username, o.CustomID, o.Credentials = o.Name, "customer-"+strconv.Itoa(i), []string{keyName(i)}
	return o
}

func (s Size) consumerNamespace(i int) string { return Namespace(i % s.Namespaces()) }

func keyName(i int) string { return "key-" + strconv.Itoa(i) }

// Key returns the Secret with the key of the i-th KongConsumer. revision changes
// the key.
func (s Size) Key(i, revision int) *corev1.Secret {
	o := &corev1.Secret{ObjectMeta: meta(s.consumerNamespace(i), keyName(i))}
	o.Labels = map[string]string{"konghq.com/credential": "key-auth"}
	sum := sha256.Sum256([]byte(fmt.Sprint("key", i, revision)))
	o.Data = map[string][]byte{"key": []byte(hex.EncodeToString(sum[:16]))}
	return o
}

// Plugins returns the KongPlugins of a namespace. revision changes the limit.
func Plugins(namespace string, revision int) []*kongv1.KongPlugin {
	plugin := func(name, kind, config string) *kongv1.KongPlugin {
		return &kongv1.KongPlugin{
			ObjectMeta: meta(namespace, name), PluginName: kind, Config: apiextensionsv1.JSON{Raw: []byte(config)},
		}
	}
	return []*kongv1.KongPlugin{
		plugin(Limit, "rate-limiting", fmt.Sprintf(`{"minute":%d,"policy":"local"}`, 600+revision)),
		plugin(Auth, "key-auth", `{"key_names":["apikey"]}`),
	}
}

// Objects returns everything but Secrets, in the order in which a user would
// have to create it.
func (s Size) Objects() []client.Object {
	var list []client.Object
	for n := range s.Namespaces() {
		for _, p := range Plugins(Namespace(n), 0) {
			list = append(list, p)
		}
	}
	for i := range s.Services {
		list = append(list, s.Service(i), s.EndpointSlice(i, 0))
	}
	for i := range s.Consumers {
		list = append(list, s.Consumer(i))
	}
	for i := range s.Ingresses {
		list = append(list, s.Ingress(i, 0))
	}
	return list
}

// Secrets returns the keys of consumers and the certificates.
func (s Size) Secrets() ([]*corev1.Secret, error) {
	list := make([]*corev1.Secret, 0, s.Consumers+s.Certificates)
	for i := range s.Consumers {
		list = append(list, s.Key(i, 0))
	}
	issuer, err := newIssuer()
	if err != nil {
		return nil, err
	}
	for i := range s.Certificates {
		secret, err := issuer.secret(s.namespaceOf(i), i, padding)
		if err != nil {
			return nil, err
		}
		list = append(list, secret)
	}
	return list, nil
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

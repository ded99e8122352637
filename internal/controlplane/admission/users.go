// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"
	"strings"

	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// concerns reports whether an object without a class is for us to judge. Where
// ours is the only kind of gateway it is. Beside Kong's own controller it is
// when an object of a class of ours uses it: what we do not know (a plugin of
// Kong's enterprise edition, say) may be well known to the other.
func (j *judge) concerns(used func(*users) bool) bool {
	return !j.classes.Shared || used(&users{j})
}

// users finds the objects of our classes that use an object.
type users struct{ j *judge }

// plugin reports whether anything of ours refers to a KongPlugin.
func (u *users) plugin(namespace, name string) bool {
	names := func(o metav1.Object) bool {
		for _, ref := range fragment.List(o.GetAnnotations()[fragment.AnnotationPlugins]) {
			if ref == namespace+":"+name || ref == name && o.GetNamespace() == namespace {
				return true
			}
		}
		return false
	}
	consumers, err := u.j.lookup.Consumers()
	u.keep(err)
	for _, c := range consumers {
		if _, ok := u.j.class(c, nil); ok && names(c) {
			return true
		}
	}
	groups, err := u.j.lookup.ConsumerGroups()
	u.keep(err)
	for _, g := range groups {
		if _, ok := u.j.class(g, nil); ok && names(g) {
			return true
		}
	}
	return u.route(func(route metav1.Object) bool {
		return names(route) || slices.ContainsFunc(services(route), func(service string) bool {
			s, err := u.j.lookup.Service(route.GetNamespace(), service)
			u.keep(err)
			return s != nil && names(s)
		})
	})
}

// annotation reports whether a Service that a route of ours leads to has the
// value in an annotation.
func (u *users) annotation(namespace, key, value string) bool {
	return u.route(func(route metav1.Object) bool {
		return route.GetNamespace() == namespace && slices.ContainsFunc(services(route), func(service string) bool {
			s, err := u.j.lookup.Service(namespace, service)
			u.keep(err)
			return s != nil && strings.TrimSpace(s.Annotations[key]) == value
		})
	})
}

// service reports whether a route of ours leads to a Service.
func (u *users) service(namespace, name string) bool {
	return u.route(func(route metav1.Object) bool {
		return route.GetNamespace() == namespace && slices.Contains(services(route), name)
	})
}

// transport returns the transport of the stream routes that a Service's protocol
// is for, "" when it is for HTTP, or when an Ingress leads to the Service, which
// the protocol does not fit then.
func (j *judge) transport(s *corev1.Service) string {
	transport := "tcp"
	switch entity.Protocol(s.Annotations[fragment.AnnotationProtocol]) {
	case entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough:
	case entity.ProtocolUDP:
		transport = "udp"
	default:
		return ""
	}
	u := &users{j}
	if u.route(func(route metav1.Object) bool {
		_, isIngress := route.(*netv1.Ingress)
		return isIngress && route.GetNamespace() == s.Namespace && slices.Contains(services(route), s.Name)
	}) {
		return ""
	}
	return transport
}

func (u *users) route(match func(metav1.Object) bool) bool {
	routes, err := u.j.lookup.Routes()
	u.keep(err)
	for _, r := range routes {
		var class *string
		if ing, ok := r.(*netv1.Ingress); ok {
			class = ing.Spec.IngressClassName
		}
		if _, ok := u.j.class(r, class); ok && match(r) {
			return true
		}
	}
	return false
}

func (u *users) keep(err error) {
	if u.j.err == nil {
		u.j.err = err
	}
}

// services returns the names of the Services that a route leads to.
func services(route metav1.Object) []string {
	var list []string
	switch r := route.(type) {
	case *netv1.Ingress:
		if b := r.Spec.DefaultBackend; b != nil && b.Service != nil {
			list = append(list, b.Service.Name)
		}
		for _, rule := range r.Spec.Rules {
			if rule.HTTP == nil {
				continue
			}
			for _, p := range rule.HTTP.Paths {
				if p.Backend.Service != nil {
					list = append(list, p.Backend.Service.Name)
				}
			}
		}
	case *kongv1beta1.TCPIngress:
		for _, rule := range r.Spec.Rules {
			list = append(list, rule.Backend.ServiceName)
		}
	case *kongv1beta1.UDPIngress:
		for _, rule := range r.Spec.Rules {
			list = append(list, rule.Backend.ServiceName)
		}
	}
	return list
}

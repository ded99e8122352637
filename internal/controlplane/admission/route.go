// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/ingress"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func (j *judge) ingress(ing *netv1.Ingress) {
	if settings, ok := j.class(ing, ing.Spec.IngressClassName); ok {
		v := j.view(settings, ingress.Owner(ing))
		j.judgeRoute(ing, ingress.Translate(ing, v), v)
	}
}

func (j *judge) tcpIngress(ing *kongv1beta1.TCPIngress) {
	if settings, ok := j.class(ing, nil); ok {
		v := j.view(settings, fragment.Owner{Kind: fragment.OwnerTCPIngress, Namespace: ing.Namespace, Name: ing.Name})
		j.judgeRoute(ing, ingress.TranslateTCP(ing, v), v)
	}
}

func (j *judge) udpIngress(ing *kongv1beta1.UDPIngress) {
	if settings, ok := j.class(ing, nil); ok {
		v := j.view(settings, fragment.Owner{Kind: fragment.OwnerUDPIngress, Namespace: ing.Namespace, Name: ing.Name})
		j.judgeRoute(ing, ingress.TranslateUDP(ing, v), v)
	}
}

// judgeRoute judges by a route object's translation. Annotations that have no
// effect are warned of, for Kong's controller admits and ignores them too; only
// protocols it refuses.
func (j *judge) judgeRoute(o metav1.Object, result fragment.Result, v *view) {
	for _, p := range result.Problems {
		switch p.Reason {
		case fragment.ReasonRouteInvalid:
			if !result.Invalid {
				j.decision.warn(p) // costs no route
				continue
			}
			p.Message = p.Object.Kind + " failed schema validation: " + p.Message
			j.decision.refuse(p)
		case fragment.ReasonAnnotationIgnored:
			if p.Field == fragment.AnnotationField(fragment.AnnotationProtocols) {
				p.Message = fmt.Sprintf("%s has invalid Kong annotations: invalid %s value: %s",
					p.Object.Kind, fragment.AnnotationProtocols, o.GetAnnotations()[fragment.AnnotationProtocols])
				j.decision.refuse(p)
				continue
			}
			j.decision.warn(p)
		case fragment.ReasonBackendUnsupported:
			j.decision.warn(p)
		}
	}
	j.keep(v)
}

// service warns of annotations that have no effect, and of those that are
// deprecated. Services are never refused.
func (j *judge) service(s *corev1.Service) {
	if !j.concerns(func(u *users) bool { return u.service(s.Namespace, s.Name) }) {
		return
	}
	if _, set := s.Annotations[fragment.AnnotationOverride]; set {
		j.decision.warn(fragment.Problem{
			Object: ingress.ServiceRef(s), Field: fragment.AnnotationField(fragment.AnnotationOverride), Reason: fragment.ReasonAnnotationIgnored,
			Message: "the annotation is deprecated; only the upstream part of a KongIngress has an effect",
			Fix:     "name a KongUpstreamPolicy in " + fragment.AnnotationUpstreamPolicy,
		})
	}
	if len(s.Spec.Ports) == 0 {
		return
	}
	v := j.view(j.classes.Ours[0], fragment.Owner{})
	v.service = s
	key := fragment.BackendKey{Namespace: s.Namespace, Service: s.Name, Port: fmt.Sprint(s.Spec.Ports[0].Port), Stream: j.transport(s)}
	for _, p := range ingress.TranslateBackend(key, v).Problems {
		if p.Reason == fragment.ReasonAnnotationIgnored {
			j.decision.warn(p)
		}
	}
	j.keep(v)
}

// kongIngress warns of a kind that is deprecated.
func (j *judge) kongIngress(k *kongv1.KongIngress) {
	if !j.concerns(func(u *users) bool { return u.annotation(k.Namespace, fragment.AnnotationOverride, k.Name) }) {
		return
	}
	for _, part := range []struct {
		field string
		set   bool
		fix   string
	}{
		{"upstream", k.Upstream != nil, "say the same in a KongUpstreamPolicy"},
		{"proxy", k.Proxy != nil, "use annotations on the Service"},
		{"route", k.Route != nil, "use annotations on the Ingress"},
	} {
		if part.set {
			j.decision.warn(fragment.Problem{
				Object: kongcrd.KongIngressRef(k), Field: part.field, Reason: fragment.ReasonAnnotationIgnored, Message: "KongIngress is deprecated", Fix: part.fix,
			})
		}
	}
}

func (j *judge) upstreamPolicy(p *kongv1beta1.KongUpstreamPolicy) {
	if !j.concerns(func(u *users) bool { return u.annotation(p.Namespace, fragment.AnnotationUpstreamPolicy, p.Name) }) {
		return
	}
	upstream := &entity.Upstream{ID: fragment.ID(entity.KindUpstream, p.Name), Name: "upstream"}
	kongcrd.ApplyUpstreamPolicy(&p.Spec, upstream)
	for _, problem := range entity.CheckEntity(upstream, j.schemas) {
		j.decision.refuse(fragment.Problem{
			Object: kongcrd.UpstreamPolicyRef(p), Field: "spec", Reason: fragment.ReasonPolicyInvalid,
			Message: "KongUpstreamPolicy failed schema validation: " + problem.Field + ": " + problem.Message, Fix: "correct the field",
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"maps"
	"reflect"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Review judges an object that is to be created, or to replace old. It returns
// an empty decision for objects of kinds or classes that are not ours, for those
// that are being deleted, and for writes that leave alone what is judged. The
// error is the Lookup's: nothing is known about the object then.
func Review(object, old metav1.Object, schemas entity.SchemaSet, lookup Lookup) (Decision, error) {
	if object.GetDeletionTimestamp() != nil || old != nil && same(old, object) {
		return Decision{}, nil
	}
	classes, err := lookup.Classes()
	if err != nil || len(classes.Ours) == 0 {
		return Decision{}, err
	}
	now := judge{classes: classes, schemas: schemas, lookup: lookup}
	now.object(object)
	if now.err != nil {
		return Decision{}, now.err
	}
	if old != nil && len(now.decision.Violations) > 0 {
		before := judge{classes: classes, schemas: schemas, lookup: lookup}
		before.object(old)
		now.decision.forgive(before.decision)
	}
	return now.decision, nil
}

// same reports whether two versions of an object differ in nothing that is
// judged: neither in what they say nor in annotations or labels of ours.
func same(a, b metav1.Object) bool {
	if !maps.Equal(ours(a.GetAnnotations()), ours(b.GetAnnotations())) || !maps.Equal(ours(a.GetLabels()), ours(b.GetLabels())) {
		return false
	}
	switch a := a.(type) {
	case *netv1.Ingress:
		b, ok := b.(*netv1.Ingress)
		return ok && reflect.DeepEqual(a.Spec, b.Spec)
	case *corev1.Service:
		return true // judged by its annotations
	case *corev1.Secret:
		b, ok := b.(*corev1.Secret)
		return ok && reflect.DeepEqual(a.Data, b.Data)
	}
	return a.GetGeneration() != 0 && a.GetGeneration() == b.GetGeneration()
}

// ours returns the annotations or labels that mean something to the gateway.
func ours(all map[string]string) map[string]string {
	out := make(map[string]string)
	for k, v := range all {
		switch prefix, _, _ := strings.Cut(k, "/"); prefix {
		case "konghq.com", "kubernetes.io", "ingress.kubernetes.io", fragment.LabelGlobal:
			out[k] = v
		}
	}
	return out
}

// judge is the state of judging one version of an object.
type judge struct {
	classes  Classes
	schemas  entity.SchemaSet
	lookup   Lookup
	decision Decision
	err      error
}

// object judges by kind.
func (j *judge) object(o metav1.Object) {
	switch o := o.(type) {
	case *kongv1.KongPlugin:
		j.plugin(o)
	case *kongv1.KongClusterPlugin:
		j.clusterPlugin(o)
	case *kongv1.KongConsumer:
		j.consumer(o)
	case *kongv1beta1.KongConsumerGroup:
		j.consumerGroup(o)
	case *kongv1beta1.KongUpstreamPolicy:
		j.upstreamPolicy(o)
	case *kongv1alpha1.KongVault:
		j.vault(o)
	case *kongv1alpha1.KongCustomEntity:
		j.customEntity(o)
	case *kongv1beta1.TCPIngress:
		j.tcpIngress(o)
	case *kongv1beta1.UDPIngress:
		j.udpIngress(o)
	case *kongv1.KongIngress:
		j.kongIngress(o)
	case *netv1.Ingress:
		j.ingress(o)
	case *corev1.Service:
		j.service(o)
	case *corev1.Secret:
		j.secret(o)
	}
}

// class returns the settings of the class of ours that an object names.
func (j *judge) class(o metav1.Object, specClass *string) (fragment.Settings, bool) {
	for _, s := range j.classes.Ours {
		if s.Owns(o.GetAnnotations(), specClass) {
			return s, true
		}
	}
	return fragment.Settings{}, false
}

// view returns what translators see in a class.
func (j *judge) view(settings fragment.Settings, self fragment.Owner) *view {
	return &view{settings: settings, schemas: j.schemas, lookup: j.lookup, self: self}
}

// keep takes over the view's error.
func (j *judge) keep(v *view) {
	if j.err == nil {
		j.err = v.err
	}
}

// without returns a message without the consequence that translators put at its
// end: nothing follows from what was refused.
func without(message string) string {
	if i := strings.LastIndex(message, "; "); i > 0 {
		return message[:i]
	}
	return message
}

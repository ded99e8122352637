// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	netv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// BenchmarkReview judges objects in a cluster with 5000 Ingresses and 500
// consumers, beside Kong's own controller: the most that has to be looked at.
func BenchmarkReview(b *testing.B) {
	class := "kong"
	c := ourClass()
	c.classes.Shared = true
	for i := range 5000 {
		ing := &netv1.Ingress{}
		ing.Namespace, ing.Name, ing.Spec.IngressClassName = fmt.Sprintf("ns-%d", i%50), fmt.Sprintf("ing-%d", i), &class
		c.objects = append(c.objects, ing)
	}
	for i := range 500 {
		consumer := &kongv1.KongConsumer{Username: fmt.Sprintf("user-%d", i)}
		consumer.Namespace, consumer.Name = "ns-1", consumer.Username
		consumer.Annotations = map[string]string{"kubernetes.io/ingress.class": class}
		c.objects = append(c.objects, consumer)
	}
	p := &kongv1.KongPlugin{PluginName: "cors", Config: apiextensionsv1.JSON{Raw: []byte(`{}`)}}
	p.Namespace, p.Name = "ns-1", "p"
	ann := &kongv1.KongConsumer{Username: "ann"}
	ann.Namespace, ann.Name, ann.Annotations = "ns-1", "ann", map[string]string{"kubernetes.io/ingress.class": class}
	for name, o := range map[string]metav1.Object{"plugin": p, "consumer": ann} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if d, err := admission.Review(o, nil, schemas.All(), c); err != nil || len(d.Violations) > 0 {
					b.Fatal(d, err)
				}
			}
		})
	}
}

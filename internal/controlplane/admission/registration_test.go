// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"encoding/json"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

func live(bundle, expression string, names ...string) *admissionv1.ValidatingWebhookConfiguration {
	c := &admissionv1.ValidatingWebhookConfiguration{}
	c.Name = admission.ConfigurationName
	for _, name := range names {
		w := admissionv1.ValidatingWebhook{Name: name, MatchConditions: []admissionv1.MatchCondition{{Name: "kong-annotations", Expression: "x"}}}
		w.ClientConfig.CABundle = []byte(bundle)
		if expression != "" {
			w.MatchConditions = append(w.MatchConditions, admissionv1.MatchCondition{Name: admission.ConditionName, Expression: expression})
		}
		c.Webhooks = append(c.Webhooks, w)
	}
	return c
}

func TestRegistration(t *testing.T) {
	const (
		objects    = "objects.validation.gateway.konghq.com"
		consumers  = "class-objects.validation.gateway.konghq.com"
		ingresses  = "ingresses.validation.gateway.konghq.com"
		custom     = "custom-entities.validation.gateway.konghq.com"
		annotation = "object.metadata.?annotations.orValue({})[?'kubernetes.io/ingress.class'].orValue('')"
	)
	none := admission.Classes{}
	two := admission.Classes{Ours: []fragment.Settings{{Class: "kong"}, {Class: "b'a", DefaultClass: true}}}
	for name, c := range map[string]struct {
		live    *admissionv1.ValidatingWebhookConfiguration
		bundle  []byte
		classes admission.Classes
		due     bool
		want    string
	}{
		"new": {live("", "", objects, "somebody.else"), []byte("pem"), none, true,
			`[{"clientConfig":{"caBundle":"cGVt"},"matchConditions":[{"expression":"false","name":"class-of-ours"}],"name":"objects.validation.gateway.konghq.com"}]`},
		"up to date": {live("pem", "false", objects), []byte("pem"), none, false,
			`[{"clientConfig":{"caBundle":"cGVt"},"matchConditions":[{"expression":"false","name":"class-of-ours"}],"name":"objects.validation.gateway.konghq.com"}]`},
		"another bundle": {live("old", "false", objects), []byte("pem"), none, true,
			`[{"clientConfig":{"caBundle":"cGVt"},"matchConditions":[{"expression":"false","name":"class-of-ours"}],"name":"objects.validation.gateway.konghq.com"}]`},
		"somebody else's certificates": {live("old", "false", objects), nil, none, false,
			`[{"matchConditions":[{"expression":"false","name":"class-of-ours"}],"name":"objects.validation.gateway.konghq.com"}]`},
		"without a class": {live("", "false", objects), nil, two, true,
			`[{"matchConditions":[{"expression":"true","name":"class-of-ours"}],"name":"objects.validation.gateway.konghq.com"}]`},
		"class by annotation": {live("", "", consumers), nil, two, true,
			`[{"matchConditions":[{"expression":"` + annotation + ` in ['', 'b\\'a', 'kong']","name":"class-of-ours"}],"name":"class-objects.validation.gateway.konghq.com"}]`},
		"class by field": {live("", "", custom), nil, two, true,
			`[{"matchConditions":[{"expression":"object.spec.?controllerName.orValue('') in ['b\\'a', 'kong']","name":"class-of-ours"}],"name":"custom-entities.validation.gateway.konghq.com"}]`},
		"class by either": {live("", "", ingresses), nil, two, true,
			`[{"matchConditions":[{"expression":"(` + annotation + ` != '' ? ` + annotation + ` : object.spec.?ingressClassName.orValue('')) in ['', 'b\\'a', 'kong']","name":"class-of-ours"}],"name":"ingresses.validation.gateway.konghq.com"}]`},
		"nothing to keep": {live("", "", "somebody.else"), []byte("pem"), two, false, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			content, due := admission.Registration(c.live, c.bundle, c.classes)
			got, err := json.Marshal(content["webhooks"])
			if err != nil || string(got) != c.want || due != c.due {
				t.Errorf("due %v, webhooks\n%s\nwant %v\n%s (%v)", due, got, c.due, c.want, err)
			}
		})
	}
}

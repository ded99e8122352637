// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// ConfigurationName is the ValidatingWebhookConfiguration that config/webhook
// ships.
const ConfigurationName = "kong-istio-gateway"

// ConditionName is the match condition that the manager keeps in each webhook of
// the configuration: it lets through what names a class of ours.
const ConditionName = "class-of-ours"

// nameSuffix ends the names of all webhooks of the configuration.
const nameSuffix = ".validation.gateway.konghq.com"

// The expressions that find an object's class (CEL, with Kubernetes' optional
// types).
const (
	celAnnotation = "object.metadata.?annotations.orValue({})[?'" + fragment.AnnotationClass + "'].orValue('')"
	celIngress    = "(" + celAnnotation + " != '' ? " + celAnnotation + " : object.spec.?ingressClassName.orValue(''))"
	celController = "object.spec.?controllerName.orValue('')"
)

// classOf holds, for each webhook of the configuration, the expression that
// finds the class; "" for kinds that have none.
var classOf = map[string]string{
	"objects" + nameSuffix:         "",
	"class-objects" + nameSuffix:   celAnnotation,
	"custom-entities" + nameSuffix: celController,
	"ingresses" + nameSuffix:       celIngress,
	"services" + nameSuffix:        "",
	"credentials" + nameSuffix:     "",
	"plugin-secrets" + nameSuffix:  "",
}

// condition returns the expression that admits a webhook's objects to it: those
// of our classes, and those without a class while there is any class of ours.
func condition(expression string, classes Classes) string {
	if len(classes.Ours) == 0 {
		return "false"
	}
	if expression == "" {
		return "true"
	}
	var names []string
	for _, s := range classes.Ours {
		names = append(names, "'"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s.Class)+"'")
		if s.DefaultClass && expression != celController {
			names = append(names, "''")
		}
	}
	slices.Sort(names)
	return expression + " in [" + strings.Join(slices.Compact(names), ", ") + "]"
}

// Registration returns what the manager is to apply to the configuration: the
// certificates by which the API server knows the webhook, and the conditions. A
// nil bundle leaves the certificates to somebody else. Webhooks that are not in
// the configuration, because somebody took them out, stay out. ok is false when
// the configuration already says all of it.
func Registration(live *admissionv1.ValidatingWebhookConfiguration, bundle []byte, classes Classes) (content map[string]any, ok bool) {
	var webhooks []any
	for i := range live.Webhooks {
		w := &live.Webhooks[i]
		expression, known := classOf[w.Name]
		if !known {
			continue
		}
		want := condition(expression, classes)
		entry := map[string]any{
			"name":            w.Name,
			"matchConditions": []any{map[string]any{"name": ConditionName, "expression": want}},
		}
		if bundle != nil {
			entry["clientConfig"] = map[string]any{"caBundle": base64.StdEncoding.EncodeToString(bundle)}
			ok = ok || !bytes.Equal(w.ClientConfig.CABundle, bundle)
		}
		ok = ok || !slices.Contains(w.MatchConditions, admissionv1.MatchCondition{Name: ConditionName, Expression: want})
		webhooks = append(webhooks, entry)
	}
	return map[string]any{
		"apiVersion": admissionv1.SchemeGroupVersion.String(), "kind": "ValidatingWebhookConfiguration",
		"metadata": map[string]any{"name": live.Name}, "webhooks": webhooks,
	}, ok
}

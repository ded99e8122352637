// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// generation sets the generation of a manifest's object, as the API server counts.
func generation(manifest string, n int) string {
	return strings.Replace(manifest, "metadata: {", fmt.Sprintf("metadata: {generation: %d, ", n), 1)
}

func TestChanges(t *testing.T) {
	bob := consumer("bob", "username: x")
	clash := "KongConsumer shop/ann username: consumer already exists: the older KongConsumer shop/bob has the same username (choose another username)"
	marked := strings.Replace(badLimit, "metadata: {", "metadata: {finalizers: [a/b], annotations: {kubectl.kubernetes.io/last-applied-configuration: x}, ", 1)
	runRows(t, []row{
		{name: "a write that leaves the content alone", object: generation(marked, 1), old: generation(badLimit, 1)},
		{name: "a write that changes the content", object: generation(badLimit, 2), old: generation(badLimit, 1), refused: []string{"KongPlugin shop/limit " + refusedMinute}},
		{name: "a write that changes an annotation of Kong's", object: generation(strings.Replace(badLimit, "name: limit", "name: limit, annotations: {konghq.com/tags: a}", 1), 1),
			old: generation(badLimit, 1), refused: []string{"KongPlugin shop/limit " + refusedMinute}},
		{name: "an object that is being deleted", object: strings.Replace(badLimit, "metadata: {", `metadata: {deletionTimestamp: "2026-01-01T00:00:00Z", `, 1)},
		{name: "a clash that was there before", object: generation(consumer("ann", "username: x, custom_id: id"), 2), old: generation(consumer("ann", "username: x"), 1),
			others: []string{bob}, warnings: []string{clash}},
		{name: "a clash that is new", object: generation(consumer("ann", "username: x"), 2), old: generation(consumer("ann", "username: other"), 1),
			others: []string{bob}, refused: []string{clash}},
		{name: "an Ingress as it was", object: ingressWith("", "/~/a("), old: ingressWith("", "/~/a(")},
		{name: "a Secret as it was", object: badSecret, old: badSecret, others: []string{fromSecret}},
		{name: "a Secret that gets the label", object: credential("c", "none", "key: a"), old: `{apiVersion: v1, kind: Secret, metadata: {name: c}, stringData: {key: a}}`, refused: []string{
			`Secret shop/c data: consumer credential failed validation: Secret c: label konghq.com/credential has the unknown type "none" (set the label to key-auth, basic-auth, hmac-auth, jwt or acl)`}},
	})
}

func TestWithoutClassesNothingIsJudged(t *testing.T) {
	for _, manifest := range []string{badLimit, ingressWith("", "/~/a("), credential("c", "none", "key: a"), consumer("ann", "credentials: []")} {
		d, err := admission.Review(object(t, manifest), nil, schemas.All(), &cluster{})
		if err != nil || len(d.Violations)+len(d.Warnings) > 0 {
			t.Errorf("%s: %v, %v", manifest, d, err)
		}
	}
}

func TestWhatIsNotKnownIsAnError(t *testing.T) {
	for _, manifest := range []string{fromSecret, consumer("ann", "username: ann, credentials: [c]")} {
		c := ourClass()
		c.silent = true
		if d, err := admission.Review(object(t, manifest), nil, schemas.All(), c); err == nil || len(d.Violations) > 0 {
			t.Errorf("%s: %v, %v", manifest, lines(d.Violations), err)
		}
	}
}

// pathOf puts a value at a path of a schema, such as "redis.hosts[].name".
func pathOf(path string, value any) map[string]any {
	steps := strings.Split(path, ".")
	for _, step := range slices.Backward(steps) {
		name, isList := strings.CutSuffix(step, "[]")
		if isList {
			value = []any{value}
		}
		value = map[string]any{name: value}
	}
	return value.(map[string]any)
}

// Texts about a plugin's config hold no value of a field that is secret, and
// none at all that comes from a Secret.
func TestPluginsAreNotQuoted(t *testing.T) {
	const marker = "(hunter2["
	texts := 0
	for _, schema := range schemas.All().Plugins() {
		for _, path := range schema.Config.Paths() {
			config := pathOf(path, marker)
			text, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			meta := metav1.ObjectMeta{Name: "p", Namespace: "shop"}
			s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "shop"}, Data: map[string][]byte{"k": text, "v": []byte(`"` + marker + `"`)}}
			in := func(key string) kongv1.SecretValueFromSource {
				return kongv1.SecretValueFromSource{Secret: "s", Key: key}
			}
			for how, p := range map[string]*kongv1.KongPlugin{
				"config":     {ObjectMeta: meta, PluginName: schema.Name, Config: apiextensionsv1.JSON{Raw: text}},
				"configFrom": {ObjectMeta: meta, PluginName: schema.Name, ConfigFrom: &kongv1.ConfigSource{SecretValue: in("k")}},
				"configPatches": {ObjectMeta: meta, PluginName: schema.Name, ConfigPatches: []kongv1.ConfigPatch{
					{Path: "/" + strings.NewReplacer(".", "/", "[]", "/0").Replace(path), ValueFrom: kongv1.ConfigSource{SecretValue: in("v")}}}},
			} {
				if how == "config" && len(schema.Config.Secrets(config)) == 0 {
					continue
				}
				d, err := admission.Review(p, nil, schemas.All(), ourClass(s))
				if err != nil {
					t.Fatal(err)
				}
				texts += len(d.Violations)
				if text := fmt.Sprint(lines(d.Violations), lines(d.Warnings)); strings.Contains(text, "hunter2") {
					t.Errorf("%s, %s in %s: %s", schema.Name, path, how, text)
				}
			}
		}
	}
	if texts < 100 {
		t.Errorf("only %d texts: the test sees too little", texts)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

const (
	hookedPlugin = `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: %s}
plugin: rate-limiting
config: {minute: %s, policy: local}
`
	hookedConsumer = `
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: %s, annotations: {kubernetes.io/ingress.class: %s}}
username: %s
credentials: [%s]
`
	hookedSecret = `
apiVersion: v1
kind: Secret
metadata: {name: %s, labels: {%s}}
stringData: {%s}
`
	hookedIngress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %s, annotations: {%s}}
spec:
  ingressClassName: %s
  rules:
  - http: {paths: [{path: "%s", pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}
`
)

func checkRefusals(t *testing.T, user *people) {
	t.Helper()
	const class = "kubernetes.io/ingress.class: hooked"
	for _, manifest := range []string{
		fmt.Sprintf(hookedSecret, "key", "konghq.com/credential: key-auth", "key: hunter2hunter2"),
		fmt.Sprintf(hookedConsumer, "ann", "hooked", "ann", "key"),
		fmt.Sprintf(hookedSecret, "config", "konghq.com/validate: plugin", `text: "{minute: 5}"`),
		"apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {name: secretly}\nplugin: rate-limiting\nconfigFrom: {secretKeyRef: {name: config, key: text}}\n",
	} {
		user.must(t, strings.Replace(manifest, "metadata: {name: ", "metadata: {namespace: hooked, name: ", 1), "apply", "-f", "-")
	}
	group := "apiVersion: configuration.konghq.com/v1beta1\nkind: KongConsumerGroup\nmetadata: {name: gold, annotations: {" + class + "}}\n"
	vault := "apiVersion: configuration.konghq.com/v1alpha1\nkind: KongVault\nmetadata: {name: one, annotations: {" + class + "}}\nspec: {backend: env, prefix: mine}\n"
	user.must(t, vault, "apply", "-f", "-")
	user.must(t, group, "apply", "-f", "-", "-n", "default")
	for _, c := range []struct{ name, manifest, webhook, want string }{
		{"plugin", fmt.Sprintf(hookedPlugin, "limit", "many"), "objects",
			"KongPlugin hooked/limit config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)"},
		{"plugin with a missing Secret", "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {name: limit}\nplugin: rate-limiting\nconfigFrom: {secretKeyRef: {name: none, key: text}}\n", "objects",
			"KongPlugin hooked/limit configFrom.secretKeyRef.name: could not load secret plugin configuration: Secret hooked/none does not exist (create the Secret or correct its name)"},
		{"cluster plugin", "apiVersion: configuration.konghq.com/v1\nkind: KongClusterPlugin\nmetadata: {name: limit, annotations: {" + class + "}}\nplugin: teleport\n", "class-objects",
			`KongClusterPlugin limit plugin: plugin failed schema validation: the gateway has no plugin "teleport" (correct the name; the documentation lists the plugins)`},
		{"consumer, name taken", fmt.Sprintf(hookedConsumer, "bob", "hooked", "ann", ""), "class-objects",
			"KongConsumer hooked/bob username: consumer already exists: the older KongConsumer hooked/ann has the same username (choose another username)"},
		{"consumer, missing Secret", fmt.Sprintf(hookedConsumer, "bob", "hooked", "bob", "none"), "class-objects",
			`KongConsumer hooked/bob credentials[0]: consumer referenced non-existent credentials secret "none" (create the Secret or correct its name)`},
		{"consumer, credential of another", fmt.Sprintf(hookedConsumer, "bob", "hooked", "bob", "key"), "class-objects",
			"KongConsumer hooked/bob credentials[0]: consumer credential failed validation: Consumer has conflicting credentials: KongConsumer hooked/ann has the same one as Secret key (give each consumer a credential of its own)"},
		{"credential, unknown type", fmt.Sprintf(hookedSecret, "c", "konghq.com/credential: password", "key: hunter2hunter2"), "credentials",
			`Secret hooked/c data: consumer credential failed validation: Secret c: label konghq.com/credential has the unknown type "password" (set the label to key-auth, basic-auth, hmac-auth, jwt or acl)`},
		{"credential, field missing", fmt.Sprintf(hookedSecret, "key", "konghq.com/credential: key-auth", `key: ""`), "credentials",
			"Secret hooked/key data: consumer credential failed validation: Secret key: the field key is missing or empty (add it to the Secret's data)"},
		{"Secret of a plugin", fmt.Sprintf(hookedSecret, "config", "konghq.com/validate: plugin", `text: "{minute: hunter2hunter2}"`), "plugin-secrets",
			"Secret hooked/config data: KongPlugin hooked/secretly config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)"},
		{"vault", strings.Replace(vault, "name: one", "name: two", 1), "class-objects",
			`spec.prefix "mine" is duplicate`},
		{"group", group, "class-objects",
			"KongConsumerGroup hooked/gold metadata.name: the older KongConsumerGroup default/gold has the same name (choose another name)"},
		{"custom entity", "apiVersion: configuration.konghq.com/v1alpha1\nkind: KongCustomEntity\nmetadata: {name: e}\nspec: {controllerName: hooked, type: dragons, fields: {}}\n", "custom-entities",
			`KongCustomEntity hooked/e spec.type: the gateway has no entities of type "dragons"`},
		{"Ingress, regex", fmt.Sprintf(hookedIngress, "web", "", "hooked", "/~/a("), "ingresses", "Ingress failed schema validation: the Kong route hooked.web.web..80 is not valid: paths[0]: invalid regex: '/a('"},
		{"Ingress, protocols", fmt.Sprintf(hookedIngress, "web", "konghq.com/protocols: gopher", "hooked", "/"), "ingresses",
			"Ingress has invalid Kong annotations: invalid konghq.com/protocols value: gopher"},
		{"Ingress, class by annotation", fmt.Sprintf(hookedIngress, "web", "kubernetes.io/ingress.class: hooked, konghq.com/protocols: gopher", `""`, "/"), "ingresses",
			"Ingress has invalid Kong annotations: invalid konghq.com/protocols value: gopher"},
		{"TCPIngress", "apiVersion: configuration.konghq.com/v1beta1\nkind: TCPIngress\nmetadata: {name: db, annotations: {" + class + "}}\nspec: {rules: [{host: 'a b', port: 5432, backend: {serviceName: db, servicePort: 5432}}]}\n", "class-objects",
			"TCPIngress failed schema validation: the Kong route hooked.db.0 is not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			manifest := strings.Replace(c.manifest, `  ingressClassName: ""`+"\n", "", 1)
			// The managers learn of what was applied above a moment later.
			apiserver.Eventually(t, "refused", func() error {
				out, ok := user.kubectl(t, manifest, "apply", "-n", "hooked", "--dry-run=server", "-f", "-")
				prefix := `admission webhook "` + c.webhook + `.validation.gateway.konghq.com" denied the request: `
				if ok || !strings.Contains(out, prefix) || !strings.Contains(out, c.want) {
					return fmt.Errorf("kubectl says\n%s\nwant\n%s%s", out, prefix, c.want)
				}
				if _, text, _ := strings.Cut(out, prefix); strings.Contains(text, "hunter2") {
					return fmt.Errorf("a Secret's value is told: %s", text)
				}
				return nil
			})
		})
	}
}

func checkWarnings(t *testing.T, user *people) {
	t.Helper()
	for _, c := range []struct{ name, manifest, want string }{
		{"Ingress", fmt.Sprintf(hookedIngress, "web", "konghq.com/strip-path: maybe", "hooked", "/"),
			`Warning: Ingress hooked/web metadata.annotations[konghq.com/strip-path]: the value "maybe" is not valid; the annotation is ignored (use "true" or "false")`},
		{"Service", "apiVersion: v1\nkind: Service\nmetadata: {name: web, annotations: {konghq.com/override: k}}\nspec: {ports: [{port: 80}]}\n",
			"Warning: Service hooked/web metadata.annotations[konghq.com/override]: the annotation is deprecated"},
		{"KongIngress", "apiVersion: configuration.konghq.com/v1\nkind: KongIngress\nmetadata: {name: k}\nupstream: {algorithm: round-robin}\n",
			"Warning: KongIngress hooked/k upstream: KongIngress is deprecated (say the same in a KongUpstreamPolicy)"},
	} {
		if out, ok := user.apply(t, c.manifest); !ok || !strings.Contains(out, c.want) {
			t.Errorf("%s: kubectl says\n%s\nwant\n%s", c.name, out, c.want)
		}
	}
}

// checkStrangers applies what has nothing to do with us, or is not ours.
func checkStrangers(t *testing.T, user *people) {
	t.Helper()
	before := calls(t)
	for _, manifest := range []string{
		fmt.Sprintf(hookedIngress, "theirs", "konghq.com/protocols: gopher", "nginx", "/~/a("),
		fmt.Sprintf(hookedConsumer, "theirs", "kic", "ann", "none"),
		fmt.Sprintf(hookedSecret, "theirs", "a: b", "key: x"),
		"apiVersion: v1\nkind: Service\nmetadata: {name: theirs}\nspec: {ports: [{port: 80}]}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n",
		"apiVersion: configuration.konghq.com/v1alpha1\nkind: KongCustomEntity\nmetadata: {name: theirs}\nspec: {controllerName: kic, type: dragons, fields: {}}\n",
	} {
		if out, ok := user.apply(t, manifest); !ok {
			t.Errorf("%s", out)
		}
	}
	if after := calls(t); after != before {
		t.Errorf("%v reviews were asked for", after-before)
	}
}

// checkKept takes away what the manager wrote.
func checkKept(t *testing.T) {
	t.Helper()
	configuration := &admissionv1.ValidatingWebhookConfiguration{}
	key := types.NamespacedName{Name: admission.ConfigurationName}
	must(t, kube.Get(t.Context(), key, configuration))
	n := len(configuration.Webhooks)
	configuration.Webhooks = configuration.Webhooks[:n-1] // an administrator does without the last
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = nil
		configuration.Webhooks[i].MatchConditions = nil
	}
	must(t, kube.Update(t.Context(), configuration))
	apiserver.Eventually(t, "written again", func() error {
		must(t, kube.Get(t.Context(), key, configuration))
		for _, w := range configuration.Webhooks {
			if len(w.ClientConfig.CABundle) == 0 || len(w.MatchConditions) == 0 {
				return fmt.Errorf("%+v", w)
			}
		}
		return nil
	})
	if len(configuration.Webhooks) != n-1 {
		t.Error("the webhook that was taken out is back")
	}
}

// checkOutage writes while no manager runs.
func checkOutage(t *testing.T, user *people) {
	t.Helper()
	start := time.Now()
	for _, manifest := range []string{
		fmt.Sprintf(hookedPlugin, "outage", "many"),
		fmt.Sprintf(hookedIngress, "outage", "konghq.com/protocols: gopher", "hooked", "/"),
		fmt.Sprintf(hookedSecret, "outage", "konghq.com/credential: password", "key: x"),
		fmt.Sprintf(hookedConsumer, "outage", "hooked", "ann", "none"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: outage}\n",
	} {
		if out, ok := user.apply(t, manifest); !ok {
			t.Errorf("%s", out)
		}
	}
	user.must(t, "", "delete", "-n", "hooked", "kongplugin/outage", "ingress/outage", "secret/outage", "kongconsumer/outage", "configmap/outage")
	if spent := time.Since(start); spent > 30*time.Second {
		t.Errorf("it took %s", spent)
	}
	gw := &v1alpha1.KongIstioGateway{}
	must(t, kube.Get(t.Context(), types.NamespacedName{Namespace: "hooked", Name: "edge"}, gw))
	gw.Finalizers = nil
	must(t, kube.Update(t.Context(), gw))
	must(t, client.IgnoreNotFound(kube.Delete(t.Context(), gw)))
	user.must(t, "", "delete", "ingressclass", "hooked", "--ignore-not-found")
}

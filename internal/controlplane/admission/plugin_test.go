// SPDX-License-Identifier: Apache-2.0

package admission_test

import "testing"

const (
	plugin = `{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: limit}, plugin: `

	limited     = plugin + `rate-limiting, config: {minute: 5, policy: local}}`
	badLimit    = plugin + `rate-limiting, config: {minute: many, policy: local}}`
	badCluster  = `{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: limit, annotations: {kubernetes.io/ingress.class: kong}}, plugin: rate-limiting, config: {minute: many, policy: local}}`
	global      = `{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: a, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: kong}}, plugin: correlation-id}`
	otherGlobal = `{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: b, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: kong}}, plugin: correlation-id}`

	fromSecret    = plugin + `rate-limiting, configFrom: {secretKeyRef: {name: config, key: text}}}`
	patched       = plugin + `rate-limiting, config: {policy: local}, configPatches: [{path: /minute, valueFrom: {secretKeyRef: {name: config, key: text}}}]}`
	configSecret  = `{apiVersion: v1, kind: Secret, metadata: {name: config, labels: {konghq.com/validate: plugin}}, stringData: {text: `
	goodSecret    = configSecret + `"{minute: 5}"}}`
	badSecret     = configSecret + `"{minute: hunter2hunter2}"}}`
	unreadable    = configSecret + `"just hunter2hunter2"}}`
	otherKey      = `{apiVersion: v1, kind: Secret, metadata: {name: config}, stringData: {else: x}}`
	clusterSecret = `{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: limit, annotations: {kubernetes.io/ingress.class: kong}}, plugin: rate-limiting, configFrom: {secretKeyRef: {name: config, key: text, namespace: shop}}}`
)

const refusedMinute = "config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)"

func TestPlugins(t *testing.T) {
	runRows(t, []row{
		{name: "valid", object: limited},
		{name: "invalid", object: badLimit, refused: []string{"KongPlugin shop/limit " + refusedMinute}},
		{name: "several fields", object: plugin + `rate-limiting, config: {minute: -1, policy: loud, colour: red}}`, refused: []string{
			"KongPlugin shop/limit config.minute: plugin failed schema validation: config.minute: value must be greater than 0; " +
				"config.policy: expected one of: local, redis; config.colour: unknown field (correct the field)"}},
		{name: "no such plugin", object: plugin + `teleport}`, refused: []string{
			`KongPlugin shop/limit plugin: plugin failed schema validation: the gateway has no plugin "teleport" (correct the name; the documentation lists the plugins)`}},
		{name: "not a mapping", object: plugin + `rate-limiting, config: "text"}`, refused: []string{
			"KongPlugin shop/limit config: could not parse plugin configuration: the configuration is not a mapping (write a mapping of the plugin's configuration fields)"}},
		{name: "endpoint that the proxies refuse", object: plugin + `http-log, config: {http_endpoint: "http://localhost:15000/quitquitquit"}}`, warnings: []string{
			"KongPlugin shop/limit config: the proxies refuse to connect to localhost: it is their own pod, or a link-local address (name a Service or another host)"}},
		{name: "cluster", object: badCluster, refused: []string{"KongClusterPlugin limit " + refusedMinute}},
		{name: "cluster, of another class", object: `{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: limit}, plugin: teleport}`},
		{name: "global", object: global},
		{name: "second global of a type", object: otherGlobal, others: []string{global}, warnings: []string{
			"KongClusterPlugin b metadata.labels[global]: KongClusterPlugin a is global and of type correlation-id as well; neither is applied, and requests are served without it (remove the label from one of the two)"}},
		{name: "the same global again", object: global, others: []string{global}},
	})
}

func TestPluginsWithSecrets(t *testing.T) {
	runRows(t, []row{
		{name: "valid", object: fromSecret, others: []string{goodSecret}},
		{name: "missing Secret", object: fromSecret, refused: []string{
			"KongPlugin shop/limit configFrom.secretKeyRef.name: could not load secret plugin configuration: Secret shop/config does not exist (create the Secret or correct its name)"}},
		{name: "missing key", object: fromSecret, others: []string{otherKey}, refused: []string{
			`KongPlugin shop/limit configFrom.secretKeyRef.key: could not load secret plugin configuration: Secret shop/config has no key "text" (add the key to the Secret or correct its name)`}},
		{name: "unreadable", object: fromSecret, others: []string{unreadable}, refused: []string{
			"KongPlugin shop/limit configFrom.secretKeyRef: could not load secret plugin configuration: the value of the Secret is not a JSON or YAML mapping (write a mapping of the plugin's configuration fields)"}},
		{name: "invalid", object: fromSecret, others: []string{badSecret}, refused: []string{"KongPlugin shop/limit " + refusedMinute}},
		{name: "missing Secret of a patch", object: patched, refused: []string{
			"KongPlugin shop/limit configPatches[0].valueFrom.secretKeyRef.name: could not load secret plugin configuration: Secret shop/config does not exist (create the Secret or correct its name)"}},
		{name: "invalid patch", object: patched, others: []string{unreadable}, refused: []string{"KongPlugin shop/limit " + refusedMinute}},
	})
}

func TestSecretsOfPlugins(t *testing.T) {
	refused := []string{"Secret shop/config data: KongPlugin shop/limit config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)"}
	runRows(t, []row{
		{name: "valid", object: goodSecret, others: []string{fromSecret}},
		{name: "invalid", object: badSecret, others: []string{fromSecret}, refused: refused},
		{name: "invalid as a patch", object: unreadable, others: []string{patched}, refused: refused},
		{name: "key removed", object: configSecret + `"", else: x}}`, old: goodSecret, others: []string{clusterSecret}, refused: []string{
			"Secret shop/config data: KongClusterPlugin limit @entity: plugin failed schema validation: @entity: at least one of these fields must be non-empty: 'config.second', 'config.minute', 'config.hour', 'config.day', 'config.month', 'config.year' (correct the field)"}},
		{name: "unused", object: badSecret},
		{name: "of another namespace", object: badSecret, others: []string{`{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: limit, namespace: elsewhere}, plugin: rate-limiting, configFrom: {secretKeyRef: {name: config, key: text}}}`}},
		{name: "without the label", object: `{apiVersion: v1, kind: Secret, metadata: {name: config}, stringData: {text: x}}`, others: []string{fromSecret}},
	})
}

// Where Kong's own controller has a class too, a KongPlugin may be its.
func TestPluginsBesideKong(t *testing.T) {
	const ingress = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {konghq.com/plugins: %s}}, spec: {ingressClassName: %s, defaultBackend: {service: {name: web, port: {number: 80}}}}}`
	refused := []string{"KongPlugin shop/limit " + refusedMinute}
	service := `{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {konghq.com/plugins: limit}}}`
	runRows(t, []row{
		{name: "used by nobody", shared: true, object: badLimit},
		{name: "used by the other", shared: true, object: badLimit, others: []string{sprintf(ingress, "limit", "kic")}},
		{name: "used by an Ingress", shared: true, object: badLimit, others: []string{sprintf(ingress, `"a, limit"`, "kong")}, refused: refused},
		{name: "used from elsewhere", shared: true, object: badLimit, refused: refused, others: []string{
			`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: elsewhere, annotations: {konghq.com/plugins: "shop:limit"}}, spec: {ingressClassName: kong}}`}},
		{name: "used by a Service of an Ingress", shared: true, object: badLimit, others: []string{sprintf(ingress, `""`, "kong"), service}, refused: refused},
		{name: "used by a Service of the other", shared: true, object: badLimit, others: []string{sprintf(ingress, `""`, "kic"), service}},
		{name: "used by a consumer", shared: true, object: badLimit, refused: refused, others: []string{
			`{apiVersion: configuration.konghq.com/v1, kind: KongConsumer, metadata: {name: ann, annotations: {kubernetes.io/ingress.class: kong, konghq.com/plugins: limit}}, username: ann}`}},
	})
}

// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/test/apiserver"
)

var crdRows = []row{
	{
		name: "TCPIngress", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: TCPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS, konghq.com/plugins: allow, konghq.com/tags: team-s}}
spec:
  rules:
  - {port: 9000, backend: {serviceName: web, servicePort: 80}}
  - {port: 9443, host: stream.$NS.test, backend: {serviceName: web, servicePort: 80}}
  tls: [{hosts: [stream.$NS.test], secretName: pair}]
---
` + plugin("allow", "plugin: ip-restriction\nconfig: {allow: [10.0.0.0/8]}\nprotocols: [tcp, tls]") + "---" + tlsSecret,
		want: []string{
			`routes {"name":"$NS.stream.0","protocols":["tcp","tls"],"destinations":[{"port":9000}],"snis":null}`,
			`routes {"name":"$NS.stream.1","destinations":[{"port":9443}],"snis":["stream.$NS.test"]}`,
			`services {"protocol":"tcp"}`, `plugins {"name":"ip-restriction"}`, `snis {"name":"stream.$NS.test"}`, `targets {"target":"192.0.2.1:8080"}`,
		},
		status: []string{"TCPIngress stream: 192.0.2.7", "KongPlugin allow: Programmed=True/Programmed"},
	},
	{
		name: "UDPIngress", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: UDPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {rules: [{port: 5300, backend: {serviceName: web, servicePort: 53}}]}
`,
		want:   []string{`routes {"name":"$NS.stream.0.udp","protocols":["udp"],"destinations":[{"port":5300}]}`, `services {"protocol":"udp"}`, `targets {"target":"192.0.2.1:5353"}`},
		status: []string{"UDPIngress stream: 192.0.2.7"},
	},
	{
		name: "a TCPIngress without class is nobody's", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: TCPIngress
metadata: {name: stream, namespace: $NS}
spec: {rules: [{port: 9001, backend: {serviceName: web, servicePort: 80}}]}
`,
		want: []string{`!routes {"name":"$NS.stream.0"}`}, status: []string{"TCPIngress stream: none"},
	},
	{
		name: "KongIngress", service: on("override", "old"), objects: `
apiVersion: configuration.konghq.com/v1
kind: KongIngress
metadata: {name: old, namespace: $NS}
upstream: {algorithm: consistent-hashing, hash_on: header, hash_on_header: X-User, slots: 20, healthchecks: {threshold: 50}}
`,
		want: []string{`upstreams {"algorithm":"consistent-hashing","hash_on":"header","hash_on_header":"X-User","slots":20,"healthchecks":{"threshold":50}}`},
	},
	{
		name: "KongUpstreamPolicy", service: on("upstream-policy", "checks"), objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: KongUpstreamPolicy
metadata: {name: checks, namespace: $NS}
spec:
  algorithm: least-connections
  slots: 30
  healthchecks:
    active: {type: http, httpPath: /healthy, healthy: {interval: 5, successes: 2}, unhealthy: {interval: 5, httpFailures: 3}}
    passive: {type: http, unhealthy: {httpFailures: 4}}
---
apiVersion: configuration.konghq.com/v1beta1
kind: KongUpstreamPolicy
metadata: {name: unused, namespace: $NS}
spec: {algorithm: latency}
`,
		want: []string{`upstreams {"algorithm":"least-connections","slots":30,"healthchecks":{"active":{"type":"http","http_path":"/healthy","healthy":{"interval":5,"successes":2}},"passive":{"unhealthy":{"http_failures":4}}}}`},
		status: []string{
			"KongUpstreamPolicy checks: Service web by gateway.konghq.com/kong-istio-gateway Accepted=True/Accepted: The policy applies to the Service.; " +
				"Programmed=True/Programmed: The Service was successfully configured in Kong.",
			"KongUpstreamPolicy unused: none",
		},
	},
	{
		name: "KongVault", objects: vault("$NS", "$NS", "{prefix: secret_}"),
		want:   []string{`vaults {"name":"env","prefix":"$NS","config":{"prefix":"secret_"}}`},
		status: []string{"KongVault $NS: Programmed=True/Programmed: Object was successfully configured in Kong."},
	},
	{
		name: "KongCustomEntity",
		objects: strings.Replace(consumer("carol", ""), "$CLASS}", "$CLASS, konghq.com/plugins: limit}", 1) + "---" +
			plugin("limit", "plugin: rate-limiting\nconfig: {minute: 5, policy: local}") + `---
apiVersion: configuration.konghq.com/v1alpha1
kind: KongCustomEntity
metadata: {name: key, namespace: $NS}
spec:
  type: keyauth_credentials
  controllerName: $CLASS
  fields: {key: custom-$NS}
  parentRef: {group: configuration.konghq.com, kind: KongPlugin, name: limit}
---
apiVersion: configuration.konghq.com/v1alpha1
kind: KongCustomEntity
metadata: {name: theirs, namespace: $NS}
spec: {type: keyauth_credentials, controllerName: somebody-else, fields: {key: other-$NS}}
`,
		want:   []string{`credentials {"type":"keyauth_credentials","fields":{"key":"custom-$NS"}}`, `!credentials {"fields":{"key":"other-$NS"}}`},
		status: []string{"KongCustomEntity key: Programmed=True/Programmed", "KongCustomEntity theirs: none"},
	},
	{
		name: "KongConsumer and Secrets with credentials",
		objects: consumer("dave", "custom_id: '7-$NS'\nconsumerGroups: [silver-$NS]\ncredentials: [key, basic, hmac, jwt, acl]") +
			credential("key", "key-auth", "key: k-$NS") + credential("basic", "basic-auth", "username: b-$NS, password: p") +
			credential("hmac", "hmac-auth", "username: h-$NS, secret: s") + credential("jwt", "jwt", "key: j-$NS, algorithm: HS256, secret: s") +
			credential("acl", "acl", "group: g") + `
apiVersion: configuration.konghq.com/v1beta1
kind: KongConsumerGroup
metadata: {name: silver-$NS, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
`,
		want: []string{
			`consumers {"username":"dave-$NS","custom_id":"7-$NS"}`, `consumer_groups {"name":"silver-$NS"}`,
			`credentials {"type":"keyauth_credentials","fields":{"key":"k-$NS"}}`, `credentials {"type":"basicauth_credentials","fields":{"username":"b-$NS"}}`,
			`credentials {"type":"hmacauth_credentials","fields":{"username":"h-$NS"}}`, `credentials {"type":"jwt_secrets","fields":{"key":"j-$NS","algorithm":"HS256"}}`,
			`credentials {"type":"acls","fields":{"group":"g"}}`,
		},
		status: []string{"KongConsumerGroup silver-$NS: Programmed=True/Programmed"},
	},
	{
		name: "KongClusterPlugin and KongPlugin with configuration in Secrets", ingress: on("plugins", "$NS,patched"), objects: `
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {name: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
plugin: rate-limiting
configFrom: {secretKeyRef: {name: config, key: limits, namespace: $NS}}
---
` + plugin("patched", `plugin: cors
instance_name: mine
protocols: [http]
config: {max_age: 5}
configPatches: [{path: /origins, valueFrom: {secretKeyRef: {name: config, key: origins}}}]`) + `---
apiVersion: v1
kind: Secret
metadata: {name: config, namespace: $NS}
stringData: {limits: '{"minute": 6, "policy": "local"}', origins: '["https://a.test"]'}
`,
		want: []string{
			`plugins {"name":"rate-limiting","config":{"minute":6,"policy":"local"}}`,
			`plugins {"name":"cors","protocols":["http"],"config":{"max_age":5,"origins":["https://a.test"]}}`,
		},
		status: []string{"KongClusterPlugin $NS: Programmed=True/Programmed", "KongPlugin patched: Programmed=True/Programmed"},
	},
	{
		name: "a disabled KongPlugin", ingress: on("plugins", "cors"), objects: plugin("cors", "plugin: cors\ndisabled: true"),
		want: []string{`plugins {"name":"cors","enabled":false}`},
	},
	{
		name: "a plugin of a consumer and a route is for both together", ingress: on("plugins", "limit"),
		objects: strings.Replace(consumer("erin", ""), "$CLASS}", "$CLASS, konghq.com/plugins: limit}", 1) + "---" +
			plugin("limit", "plugin: rate-limiting\nconfig: {minute: 5, policy: local}"),
		want: []string{`!plugins {"route":null}`, `!plugins {"consumer":null}`, `plugins {"name":"rate-limiting"}`},
	},
	{
		name: "Ingress: TLS, several hosts and path types", objects: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: large, namespace: $NS}
spec:
  ingressClassName: $CLASS
  tls: [{hosts: [a.$NS.test, b.$NS.test], secretName: pair}]
  rules:
  - {host: a.$NS.test, http: {paths: [{path: /p, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}, {path: /e, pathType: Exact, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: '*.$NS.test', http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}
---
` + tlsSecret,
		want: []string{
			`routes {"hosts":["a.$NS.test"],"paths":["/p/","~/p$","~/e$"]}`, `routes {"hosts":["*.$NS.test"],"paths":["/"]}`,
			`snis {"name":"a.$NS.test"}`, `snis {"name":"b.$NS.test"}`,
		},
		status: []string{"Ingress large: 192.0.2.7"},
	},
}

// TestKinds has a row for each of Kong's kinds.
func TestKinds(t *testing.T) {
	tb := startTable(t, "crds", crdRows)
	tb.check(t)
	tb.quiet(t)
	for i, r := range crdRows {
		if list, err := tb.warnings(tb.namespace(i)); err != nil || len(list) > 0 {
			t.Errorf("%s: events %q, error %v", r.name, list, err)
		}
	}
}

// TestEveryKindHasARow holds that the tables know all CRDs that are shipped but
// KongLicense, whose object says something of Kong Enterprise only.
func TestEveryKindHasARow(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(apiserver.Root(), "config", "kong-crds", "configuration.konghq.com_*.yaml"))
	if err != nil || len(files) != 12 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	var all strings.Builder
	for _, list := range [][]row{routeAnnotations, serviceAnnotations, otherAnnotations, crdRows} {
		for _, r := range list {
			all.WriteString(r.objects)
		}
	}
	all.WriteString(classParameters)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\n    kind: ")
		kind, _, _ := strings.Cut(rest, "\n")
		if kind != "KongLicense" && !strings.Contains(all.String(), "\nkind: "+kind+"\n") {
			t.Errorf("%s has no row", kind)
		}
	}
}

const classParameters = `
apiVersion: configuration.konghq.com/v1alpha1
kind: IngressClassParameters
metadata: {name: parameters, namespace: $NS-00}
spec: {serviceUpstream: true, enableLegacyRegexDetection: true}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: $NS, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec:
  controller: gateway.konghq.com/kong-istio-gateway
  parameters: {apiGroup: configuration.konghq.com, kind: IngressClassParameters, name: parameters, namespace: $NS-00, scope: Namespace}
`

// TestIngressClassParameters holds what a class itself says, for all its objects:
// what its parameters ask for, and that it is the default one.
func TestIngressClassParameters(t *testing.T) {
	const class = "parameters"
	rows := []row{{name: "objects", objects: ingressTo("regex", `/a\d`, "ImplementationSpecific", toWeb, "") + `---
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: anyone, namespace: $NS}
username: anyone-$NS
`}}
	tb := startTable(t, class, rows)
	says := func(what string, wants ...string) {
		t.Helper()
		eventually(t, what, func() error { return tb.published(tb.namespace(0), 0, wants) })
	}
	says("without parameters", `targets {"target":"192.0.2.1:8080"}`, `routes {"paths":["/a\\d"]}`, `!consumers {}`)
	kubectl(t, strings.ReplaceAll(classParameters, "$NS", class), "apply", "-f", "-")
	t.Cleanup(func() { kubectl(t, "", "delete", "ingressclass", class) })
	says("with parameters", `targets {"target":"web.$NS.svc:80"}`, `routes {"paths":["~/a\\d"]}`, `consumers {"username":"anyone-$NS"}`)
	kubectl(t, "", "-n", tb.namespace(0), "delete", "ingressclassparameters", "parameters")
	says("parameters deleted", `targets {"target":"192.0.2.1:8080"}`, `routes {"paths":["/a\\d"]}`, `consumers {"username":"anyone-$NS"}`)
}

// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// tableAddresses are those of the gateway of a table.
var tableAddresses = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.7"}}

// on returns one annotation of Kong's.
func on(name, value string) map[string]string { return map[string]string{"konghq.com/" + name: value} }

func with(m map[string]string, name, value string) map[string]string {
	out := on(name, value)
	for k, v := range m {
		out[k] = v
	}
	return out
}

const corsPlugin = `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: cors, namespace: $NS}
plugin: cors
`

const consumerWithKey = `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: $NS, labels: {konghq.com/credential: key-auth}}
stringData: {key: secret-$NS}
---
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: alice, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
username: alice-$NS
credentials: [key]
`

var routeAnnotations = []row{
	{
		name: "none: the defaults of the ingress controller",
		want: []string{
			`routes {"name":"$NS.web.web.$NS.test.80","strip_path":false,"preserve_host":true,"hosts":["$NS.test"],"paths":["/foo"],"protocols":null}`,
			`services {"name":"$NS.web.80","host":"web.$NS.80.svc","protocol":null,"path":null,"retries":null,"read_timeout":null}`,
			`upstreams {"name":"web.$NS.80.svc"}`, `targets {"target":"192.0.2.1:8080"}`,
		},
		status: []string{"Ingress web: 192.0.2.7"},
	},
	{
		name: "plugins", ingress: on("plugins", "cors"), objects: corsPlugin, want: []string{`plugins {"name":"cors","service":null}`},
		status: []string{"KongPlugin cors: Programmed=True/Programmed: Object was successfully configured in Kong."},
	},
	{name: "protocols", ingress: on("protocols", "https"), want: []string{`routes {"protocols":["https"]}`}},
	{name: "strip-path", ingress: on("strip-path", "True"), want: []string{`routes {"strip_path":true}`}},
	{name: "preserve-host", ingress: on("preserve-host", "false"), want: []string{`routes {"preserve_host":false}`}},
	{
		name: "https-redirect-status-code", ingress: with(on("protocols", "https"), "https-redirect-status-code", "308"),
		want: []string{`routes {"https_redirect_status_code":308,"protocols":["https"]}`},
	},
	{name: "regex-priority", ingress: on("regex-priority", "7"), want: []string{`routes {"regex_priority":7}`}},
	{
		name: "regex-prefix", objects: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: regex, namespace: $NS, annotations: {konghq.com/regex-prefix: "/re:"}}
spec:
  ingressClassName: $CLASS
  rules: [{http: {paths: [{path: '/re:/\d+', pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}}]
`,
		want: []string{`routes {"paths":["~/\\d+"]}`},
	},
	{name: "methods", ingress: on("methods", "get, POST"), want: []string{`routes {"methods":["GET","POST"]}`}},
	{name: "snis", ingress: on("snis", "a.test,b.test"), want: []string{`routes {"snis":["a.test","b.test"]}`}},
	{name: "request-buffering", ingress: on("request-buffering", "0"), want: []string{`routes {"request_buffering":false}`}},
	{name: "response-buffering", ingress: on("response-buffering", "false"), want: []string{`routes {"response_buffering":false}`}},
	{name: "host-aliases", ingress: on("host-aliases", "b.test,$NS.test"), want: []string{`routes {"hosts":["$NS.test","b.test"]}`}},
	{name: "headers.", ingress: on("headers.X-Tier", "gold,~*^s"), want: []string{`routes {"headers":{"X-Tier":["gold","~*^s"]}}`}},
	{
		name: "headers-separator", ingress: with(on("headers.X-Tier", "a,b;c"), "headers-separator", ";"),
		want: []string{`routes {"headers":{"X-Tier":["a,b","c"]}}`},
	},
	{name: "path-handling", ingress: on("path-handling", "v1"), want: []string{`routes {"path_handling":"v1"}`}},
	{name: "rewrite", ingress: on("rewrite", "/bar"), want: []string{`plugins {"name":"request-transformer","config":{"replace":{"uri":"/bar"}}}`}},
	{name: "tags", ingress: on("tags", "team-a, $NS"), want: []string{
		`routes {"tags":["k8s-name:web","k8s-namespace:$NS","k8s-kind:Ingress","k8s-uid:UID","k8s-group:networking.k8s.io","k8s-version:v1","managed-by-ingress-controller","team-a","$NS"]}`,
	}},
	{
		name: "force-ssl-redirect", ingress: map[string]string{"ingress.kubernetes.io/force-ssl-redirect": "true"},
		want: []string{`routes {"protocols":["https"],"https_redirect_status_code":302}`},
	},
	{
		name:    "force-ssl-redirect is undone by protocols",
		ingress: map[string]string{"ingress.kubernetes.io/force-ssl-redirect": "true", "konghq.com/protocols": "http,https"},
		want:    []string{`routes {"protocols":["http","https"]}`},
	},
	{
		name: "ingress.class", objects: byAnnotation("ours", "$CLASS") + "---" + byAnnotation("theirs", "somebody-else"),
		want:   []string{`routes {"paths":["/ours"]}`, `!routes {"paths":["/theirs"]}`},
		status: []string{"Ingress ours: 192.0.2.7", "Ingress theirs: none"},
	},
	{
		name: "plugins of another namespace", ingress: on("plugins", "$NS-other:cors"),
		objects: `
apiVersion: v1
kind: Namespace
metadata: {name: $NS-other}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: cors, namespace: $NS-other}
plugin: cors
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: let, namespace: $NS-other}
spec:
  from: [{group: networking.k8s.io, kind: Ingress, namespace: $NS}]
  to: [{group: configuration.konghq.com, kind: KongPlugin}]
`,
		want: []string{`plugins {"name":"cors"}`},
	},
}

var serviceAnnotations = []row{
	{name: "plugins", service: on("plugins", "cors"), objects: corsPlugin, want: []string{`plugins {"name":"cors","route":null}`}},
	{name: "protocol", service: on("protocol", "grpc"), want: []string{`services {"protocol":"grpc","path":null}`}},
	{name: "path", service: on("path", "/api"), want: []string{`services {"path":"/api"}`}},
	{
		name: "client-cert", service: with(on("protocol", "https"), "client-cert", "pair"), objects: tlsSecret,
		want: []string{`certificates {}`, `!services {"client_certificate":null}`},
	},
	{name: "host-header", service: on("host-header", "inner.test"), want: []string{`upstreams {"host_header":"inner.test"}`}},
	{
		name: "upstream-policy", service: on("upstream-policy", "hash"),
		objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: KongUpstreamPolicy
metadata: {name: hash, namespace: $NS}
spec: {algorithm: consistent-hashing, hashOn: {header: X-User}}
`,
		want: []string{`upstreams {"algorithm":"consistent-hashing","hash_on":"header","hash_on_header":"X-User"}`},
		status: []string{
			"KongUpstreamPolicy hash: Service web by gateway.konghq.com/kong-istio-gateway Accepted=True/Accepted: The policy applies to the Service.; " +
				"Programmed=True/Programmed: The Service was successfully configured in Kong.",
		},
	},
	{
		name: "override", service: on("override", "old"),
		objects: `
apiVersion: configuration.konghq.com/v1
kind: KongIngress
metadata: {name: old, namespace: $NS}
upstream: {algorithm: least-connections, host_header: inner.test}
`,
		want: []string{`upstreams {"algorithm":"least-connections","host_header":"inner.test"}`},
	},
	{name: "connect-timeout", service: on("connect-timeout", "1000"), want: []string{`services {"connect_timeout":1000}`}},
	{name: "write-timeout", service: on("write-timeout", "2000"), want: []string{`services {"write_timeout":2000}`}},
	{name: "read-timeout", service: on("read-timeout", "3000"), want: []string{`services {"read_timeout":3000}`}},
	{name: "retries", service: on("retries", "0"), want: []string{`services {"retries":0}`}},
	{name: "tls-verify", service: with(on("protocol", "https"), "tls-verify", "true"), want: []string{`services {"tls_verify":true}`}},
	{name: "tls-verify-depth", service: with(on("protocol", "https"), "tls-verify-depth", "2"), want: []string{`services {"tls_verify_depth":2}`}},
	{
		name:    "ca-certificates-secrets",
		service: with(with(on("protocol", "https"), "tls-verify", "true"), "ca-certificates-secrets", "authority"),
		objects: `
apiVersion: v1
kind: Secret
metadata: {name: authority, namespace: $NS, labels: {konghq.com/ca-cert: "true"}}
data: {ca.crt: $CRT, id: MmIzYzFjNGUtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAx}
`,
		want: []string{`services {"tls_verify":true,"ca_certificates":["2b3c1c4e-0000-4000-8000-000000000001"]}`, `ca_certificates {"id":"2b3c1c4e-0000-4000-8000-000000000001"}`},
	},
	{
		name:    "ca-certificates-configmaps",
		service: with(with(on("protocol", "https"), "tls-verify", "true"), "ca-certificates-configmaps", "authority"),
		objects: `
apiVersion: v1
kind: ConfigMap
metadata: {name: authority, namespace: $NS, labels: {konghq.com/ca-cert: "true"}}
data: {ca.crt: $TEXT, id: 2b3c1c4e-0000-4000-8000-000000000002}
`,
		want: []string{`services {"tls_verify":true,"ca_certificates":["2b3c1c4e-0000-4000-8000-000000000002"]}`, `ca_certificates {"id":"2b3c1c4e-0000-4000-8000-000000000002"}`},
	},
	{name: "tags", service: on("tags", "team-b"), want: []string{
		`services {"tags":["k8s-name:web","k8s-namespace:$NS","k8s-kind:Service","k8s-uid:UID","k8s-version:v1","managed-by-ingress-controller","team-b"]}`,
	}},
	{
		name: "service-upstream", service: map[string]string{"ingress.kubernetes.io/service-upstream": "true"},
		want: []string{`targets {"target":"web.$NS.svc:80"}`, `!targets {"target":"192.0.2.1:8080"}`},
	},
}

// byAnnotation is an Ingress that says its class as one did before 1.18.
func byAnnotation(name, class string) string {
	return `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ` + name + `, namespace: $NS, annotations: {kubernetes.io/ingress.class: ` + class + `}}
spec:
  rules: [{http: {paths: [{path: /` + name + `, pathType: ImplementationSpecific, backend: {service: {name: web, port: {name: http}}}}]}}]
`
}

const tlsSecret = `
apiVersion: v1
kind: Secret
metadata: {name: pair, namespace: $NS}
type: kubernetes.io/tls
data: {tls.crt: $CRT, tls.key: $KEY}
`

var otherAnnotations = []row{
	{
		name: "plugins of a KongConsumer", objects: strings.Replace(consumerWithKey, "$CLASS}", `$CLASS, konghq.com/plugins: limit}`, 1) + `
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: limit, namespace: $NS}
plugin: rate-limiting
config: {minute: 5, policy: local}
`,
		want:   []string{`plugins {"name":"rate-limiting","route":null,"service":null}`, `consumers {"username":"alice-$NS"}`},
		status: []string{"KongConsumer alice: Programmed=True/Programmed", "KongPlugin limit: Programmed=True/Programmed"},
	},
	{
		name: "plugins of a KongConsumerGroup", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: KongConsumerGroup
metadata: {name: gold-$NS, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS, konghq.com/plugins: limit}}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: limit, namespace: $NS}
plugin: rate-limiting
config: {minute: 5, policy: local}
`,
		want:   []string{`plugins {"name":"rate-limiting","route":null,"service":null,"consumer":null}`, `consumer_groups {"name":"gold-$NS"}`},
		status: []string{"KongConsumerGroup gold-$NS: Programmed=True/Programmed"},
	},
	{
		name: "the label global", objects: `
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {name: $NS, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: $CLASS}}
plugin: correlation-id
`,
		want:   []string{`plugins {"name":"correlation-id","route":null,"service":null,"consumer":null}`},
		status: []string{"KongClusterPlugin $NS: Programmed=True/Programmed"},
	},
	{
		name: "a KongConsumer without class is nobody's", objects: strings.Replace(consumerWithKey, "kubernetes.io/ingress.class: $CLASS", "", 1),
		want: []string{`!consumers {}`}, status: []string{"KongConsumer alice: Programmed=Unknown/Pending: Waiting for controller"},
	},
	{
		name: "an unreferenced KongPlugin stays pending", objects: corsPlugin,
		want: []string{`!plugins {}`}, status: []string{"KongPlugin cors: none"},
	},
}

// TestAnnotations has a row for each annotation of Kong's.
func TestAnnotations(t *testing.T) {
	rows := append(append(append([]row{}, routeAnnotations...), serviceAnnotations...), otherAnnotations...)
	tb := startTable(t, "annotations", rows)
	tb.check(t)
	tb.quiet(t)
	for i, r := range rows {
		if list, err := tb.warnings(tb.namespace(i)); err != nil || len(list) > 0 {
			t.Errorf("%s: events %q, error %v", r.name, list, err)
		}
	}
}

// TestEveryAnnotationHasARow holds that the tables know all annotations that
// the translators do.
func TestEveryAnnotationHasARow(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(apiserver.Root(), "internal", "controlplane", "translate", "fragment", "annotation.go"))
	if err != nil {
		t.Fatal(err)
	}
	var used strings.Builder
	for _, list := range [][]row{routeAnnotations, serviceAnnotations, otherAnnotations, badInput} {
		for _, r := range list {
			for _, annotations := range []map[string]string{r.ingress, r.service} {
				for k := range annotations {
					used.WriteString(k + "\n")
				}
			}
			used.WriteString(r.objects)
		}
	}
	found := 0
	for _, m := range regexp.MustCompile(`Annotation\w+\s+= AnnotationPrefix \+ "([a-z.-]+)"`).FindAllStringSubmatch(string(text), -1) {
		found++
		if !strings.Contains(used.String(), "konghq.com/"+m[1]) {
			t.Errorf("konghq.com/%s has no row", m[1])
		}
	}
	if found < 25 {
		t.Errorf("only %d annotations were found in the source", found)
	}
}

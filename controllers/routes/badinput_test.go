// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// consumer is a KongConsumer of the class.
func consumer(name, more string) string {
	return `
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: ` + name + `, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
username: ` + name + `-$NS
` + more + "\n"
}

// credential is a Secret with a credential.
func credential(name, kind, data string) string {
	return `
---
apiVersion: v1
kind: Secret
metadata: {name: ` + name + `, namespace: $NS, labels: {konghq.com/credential: ` + kind + `}}
stringData: {` + data + `}
---
`
}

// plugin is a KongPlugin.
func plugin(name, text string) string {
	return `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: ` + name + `, namespace: $NS}
` + text + "\n"
}

// ingressTo is an Ingress with one path and, by its name, an own host.
func ingressTo(name, path, pathType, backend, more string) string {
	return `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ` + name + `, namespace: $NS}
spec:
  ingressClassName: $CLASS
  rules: [{host: ` + name + `.$NS.test, http: {paths: [{path: '` + path + `', pathType: ` + pathType + `, backend: ` + backend + `}]}}]
` + more
}

const toWeb = `{service: {name: web, port: {number: 80}}}`

// broken is the plugin on routes whose own plugin has no usable version.
const broken = `plugins {"name":"unusable"}`

var badAnnotations = []row{
	{name: "strip-path", ingress: on("strip-path", "yes"), want: []string{`routes {"strip_path":false}`}},
	{name: "preserve-host", ingress: on("preserve-host", "1"), want: []string{`routes {"preserve_host":true}`}},
	{name: "protocols: one bad entry voids the list", ingress: on("protocols", "https,spdy"), want: []string{`routes {"protocols":null}`}},
	{name: "https-redirect-status-code", ingress: on("https-redirect-status-code", "200"), want: []string{`routes {"https_redirect_status_code":null}`}},
	{name: "regex-priority", ingress: on("regex-priority", "high"), want: []string{`routes {"regex_priority":null}`}},
	{name: "methods", ingress: on("methods", "GET,P@ST"), want: []string{`routes {"methods":null}`}},
	{name: "snis", ingress: on("snis", "a b"), want: []string{`routes {"snis":null}`}},
	{name: "host-aliases", ingress: on("host-aliases", "a/b"), want: []string{`routes {"hosts":["$NS.test"]}`}},
	{name: "request-buffering", ingress: on("request-buffering", "perhaps"), want: []string{`routes {"request_buffering":null}`}},
	{name: "response-buffering", ingress: on("response-buffering", "perhaps"), want: []string{`routes {"response_buffering":null}`}},
	{name: "path-handling", ingress: on("path-handling", "v3"), want: []string{`routes {"path_handling":null}`}},
	{name: "headers.Host", ingress: on("headers.Host", "a"), want: []string{`routes {"headers":null}`}},
	{name: "two at once", ingress: with(on("strip-path", "yes"), "methods", "P@ST"), want: []string{`routes {"methods":null}`}},
	{name: "protocol of a Service", service: on("protocol", "spdy"), want: []string{`services {"protocol":null}`}},
	{name: "protocol of a Service that does not fit an Ingress", service: on("protocol", "tls_passthrough"), want: []string{`services {"protocol":"https"}`}},
	{name: "headers: a bad regular expression", ingress: on("headers.X-A", "~*("), want: []string{`!routes {}`}},
	{name: "path of a Service", service: on("path", "api"), want: []string{`services {"path":null}`}},
	{name: "connect-timeout", service: on("connect-timeout", "soon"), want: []string{`services {"connect_timeout":null}`}},
	{name: "retries", service: on("retries", "many"), want: []string{`services {"retries":null}`}},
	{name: "tls-verify", service: with(on("protocol", "https"), "tls-verify", "perhaps"), want: []string{`services {"tls_verify":null}`}},
	{name: "client-cert without TLS", service: on("client-cert", "pair"), objects: tlsSecret, want: []string{`services {"client_certificate":null}`}},
	{name: "client-cert that does not exist", service: with(on("protocol", "https"), "client-cert", "pair")},
	{name: "ca-certificates-secrets without tls-verify", service: with(on("protocol", "https"), "ca-certificates-secrets", "authority")},
	{name: "ca-certificates-secrets that does not exist", service: with(with(on("protocol", "https"), "tls-verify", "true"), "ca-certificates-secrets", "authority")},
	{name: "ca-certificates-configmaps without the label", service: with(with(on("protocol", "https"), "tls-verify", "true"), "ca-certificates-configmaps", "authority"), objects: `
apiVersion: v1
kind: ConfigMap
metadata: {name: authority, namespace: $NS}
data: {ca.crt: $TEXT, id: 2b3c1c4e-0000-4000-8000-000000000003}
`},
	{name: "upstream-policy that does not exist", service: on("upstream-policy", "none"), want: []string{`upstreams {"algorithm":null}`}},
	{name: "override that does not exist", service: on("override", "none"), want: []string{`upstreams {"algorithm":null}`}},
}

var badPlugins = []row{
	{name: "a plugin that does not exist", ingress: on("plugins", "none"), want: []string{broken}},
	{
		name: "a plugin of an unknown type", ingress: on("plugins", "odd"), objects: plugin("odd", "plugin: odd-plugin"), want: []string{broken},
	},
	{
		name: "a config that the schema refuses", ingress: on("plugins", "limit"), objects: plugin("limit", "plugin: rate-limiting\nconfig: {minute: -1, policy: local}"),
		want: []string{broken},
	},
	{
		name: "configFrom without its Secret", ingress: on("plugins", "limit"),
		objects: plugin("limit", "plugin: rate-limiting\nconfigFrom: {secretKeyRef: {name: none, key: config}}"), want: []string{broken},
	},
	{
		name: "configFrom with a Secret that is no mapping", ingress: on("plugins", "limit"),
		objects: plugin("limit", "plugin: rate-limiting\nconfigFrom: {secretKeyRef: {name: text, key: config}}") + credential("text", "none", `config: "hidden: [sesame"`), want: []string{broken},
	},
	{
		name: "configPatches that need quotes", ingress: on("plugins", "limit"),
		objects: plugin("limit", "plugin: rate-limiting\nconfig: {minute: 5}\nconfigPatches: [{path: /policy, valueFrom: {secretKeyRef: {name: text, key: policy}}}]") +
			credential("text", "none", `policy: "{sesame"`), want: []string{broken},
	},
	{
		name: "a plugin of another namespace without ReferenceGrant", ingress: on("plugins", "default:cors"), want: []string{broken},
	},
	{
		name: "of two global plugins that guard the oldest applies", objects: `
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {name: $NS-a, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: $CLASS}}
plugin: bot-detection
---
apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {name: $NS-b, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: $CLASS}}
plugin: bot-detection
`,
		want: []string{`plugins {"name":"bot-detection"}`},
	},
	{
		name: "a plugin that runs on none of the route's protocols", ingress: with(on("plugins", "tcp-only"), "protocols", "http"),
		objects: plugin("tcp-only", "plugin: ip-restriction\nprotocols: [tcp]\nconfig: {allow: [10.0.0.1]}"),
	},
}

var badConsumers = []row{
	{name: "a credential that does not exist", objects: consumer("alice", "credentials: [none]"), want: []string{`consumers {"username":"alice-$NS"}`}},
	{name: "a Secret without the label", objects: consumer("alice", "credentials: [plain]") + `
---
apiVersion: v1
kind: Secret
metadata: {name: plain, namespace: $NS}
stringData: {key: sesame, kongCredType: key-auth}
`, want: []string{`!keyauth_credentials {}`}},
	{name: "an unknown type of credential", objects: consumer("alice", "credentials: [odd]") + credential("odd", "telepathy", "key: sesame")},
	{name: "a field is missing", objects: consumer("alice", "credentials: [odd]") + credential("odd", "basic-auth", "username: sesame")},
	{name: "a field is empty", objects: consumer("alice", "credentials: [odd]") + credential("odd", "key-auth", `key: ""`)},
	{name: "two consumers with one key are both left out", objects: consumer("alice", "credentials: [one]") + "---" + consumer("bob", "credentials: [two]") +
		credential("one", "key-auth", "key: sesame-$NS") + credential("two", "key-auth", "key: sesame-$NS"),
		want: []string{`!consumers {}`}},
	{name: "two consumers with one name", objects: consumer("alice", "") + "---" + `
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: zoe, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
username: alice-$NS
`},
	{name: "a group that does not exist", objects: consumer("alice", "consumerGroups: [none]")},
}

var badRoutes = []row{
	{name: "a Service that does not exist", objects: ingressTo("lost", "/", "Prefix", "{service: {name: none, port: {number: 80}}}", ""),
		want: []string{`routes {"hosts":["lost.$NS.test"]}`}},
	{name: "a port that does not exist", objects: ingressTo("lost", "/", "Prefix", "{service: {name: web, port: {number: 81}}}", "")},
	{name: "a Service without ready endpoints: nothing is wrong, the balancer answers 503", objects: ingressTo("lost", "/", "Prefix", "{service: {name: empty, port: {number: 80}}}", "") + `
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: $NS}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: empty-1, namespace: $NS, labels: {kubernetes.io/service-name: empty}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [192.0.2.9], conditions: {ready: false}}]
`, want: []string{
		`routes {"hosts":["lost.$NS.test"]}`, `services {"host":"empty.$NS.80.svc"}`, `upstreams {"name":"empty.$NS.80.svc"}`,
		`!targets {"target":"192.0.2.9:8080"}`,
	}},
	{name: "a backend that is no Service", objects: ingressTo("lost", "/", "Prefix", "{resource: {kind: Bucket, name: b, apiGroup: example.com}}", "")},
	{name: "a bad regular expression", objects: ingressTo("odd", "/~/a(", "ImplementationSpecific", toWeb, ""), want: []string{`!routes {"hosts":["odd.$NS.test"]}`}},
	{name: "a regular expression that the router has not", objects: ingressTo("odd", `/~/a\Kb`, "ImplementationSpecific", toWeb, ""), want: []string{`!routes {"hosts":["odd.$NS.test"]}`}},
	{name: "a TLS Secret that does not exist", objects: ingressTo("tls", "/", "Prefix", toWeb, "  tls: [{hosts: [tls.$NS.test], secretName: none}]\n"),
		want: []string{`routes {"hosts":["tls.$NS.test"]}`, `!snis {}`}},
	{name: "a TLS Secret with something else", objects: ingressTo("tls", "/", "Prefix", toWeb, "  tls: [{hosts: [tls.$NS.test], secretName: odd}]\n") + `
---
apiVersion: v1
kind: Secret
metadata: {name: odd, namespace: $NS}
data: {tls.crt: $KEY, tls.key: $CRT}
`, want: []string{`!snis {}`}},
	{
		name: "only the oldest default backend counts, and TLS neither redirects nor restricts", objects: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a-default, namespace: $NS}
spec: {ingressClassName: $CLASS, defaultBackend: {service: {name: web, port: {number: 80}}}, tls: [{hosts: [d.$NS.test], secretName: pair}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: b-default, namespace: $NS}
spec: {ingressClassName: $CLASS, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
` + tlsSecret,
		want: []string{
			`routes {"name":"$NS.a-default","paths":["/"],"protocols":null,"snis":null,"hosts":null,"https_redirect_status_code":null}`,
			`!routes {"name":"$NS.b-default"}`, `snis {"name":"d.$NS.test"}`,
		},
	},
	{name: "annotations that mean nothing for a TCPIngress", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: TCPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS, konghq.com/strip-path: "true"}}
spec: {rules: [{port: 9000, backend: {serviceName: web, servicePort: 80}}]}
`, want: []string{`routes {"protocols":["tcp","tls"]}`}},
	{name: "stream routes at ports without a listener", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: TCPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {rules: [{port: 9000, backend: {serviceName: web, servicePort: 80}}, {port: 5300, backend: {serviceName: web, servicePort: 80}}]}
---
apiVersion: configuration.konghq.com/v1beta1
kind: UDPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {rules: [{port: 9443, backend: {serviceName: web, servicePort: 53}}]}
`},
	{name: "a UDPIngress to a port of TCP", objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: UDPIngress
metadata: {name: stream, namespace: $NS, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {rules: [{port: 9000, backend: {serviceName: web, servicePort: 80}}]}
`},
}

var badOthers = []row{
	{name: "two vaults with one prefix", objects: vault("$NS-a", "$NS", "{prefix: a}") + "---" + vault("$NS-b", "$NS", "{prefix: b}"),
		want: []string{`vaults {"prefix":"$NS"}`}},
	{name: "a vault with a bad config", objects: vault("$NS-a", "$NS", "{prefix: 7}"), want: []string{`!vaults {}`}},
	{name: "a vault of an unknown backend", objects: `
apiVersion: configuration.konghq.com/v1alpha1
kind: KongVault
metadata: {name: $NS-a, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {backend: carrier-pigeon, prefix: $NS, config: {}}
`},
	{name: "a custom entity of an unknown type", objects: customEntity("odd_things", "{a: b}")},
	{name: "a custom entity with a field missing", objects: customEntity("snis", "{name: a.test}")},
}

func vault(name, prefix, config string) string {
	return `
apiVersion: configuration.konghq.com/v1alpha1
kind: KongVault
metadata: {name: ` + name + `, annotations: {kubernetes.io/ingress.class: $CLASS}}
spec: {backend: env, prefix: ` + prefix + `, config: ` + config + `}
`
}

func customEntity(kind, fields string) string {
	return `
apiVersion: configuration.konghq.com/v1alpha1
kind: KongCustomEntity
metadata: {name: extra, namespace: $NS}
spec: {type: ` + kind + `, controllerName: $CLASS, fields: ` + fields + `}
`
}

var badInput = func() (all []row) {
	for _, list := range [][]row{badAnnotations, badPlugins, badConsumers, badRoutes, badOthers} {
		all = append(all, list...)
	}
	return all
}()

// TestBadInputIsTold holds that people see the object, the field, the reason and
// the fix of what they got wrong, in events, each once, and in conditions where
// the kind has them, and that everything else goes on. What they see is in
// testdata/badinput.golden; UPDATE_GOLDEN=1 rewrites it.
func TestBadInputIsTold(t *testing.T) {
	tb := startTable(t, "bad-rows", badInput)
	for i, r := range badInput {
		eventually(t, r.name, func() error { return tb.published(tb.namespace(i), i, r.want) })
	}
	tb.quiet(t)
	golden := filepath.Join("testdata", "badinput.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		last, same := "", 0
		eventually(t, "all that is told", func() error {
			tb.acknowledge()
			if now := tb.told(t); now != last {
				last, same = now, 0
			}
			if same++; same < 20 {
				return errors.New("it still changes")
			}
			return nil
		})
		if err := os.WriteFile(golden, []byte(last), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, golden, func() error {
		tb.acknowledge()
		return firstDifference(tb.told(t), string(want))
	})
}

// told is all that people are told about the rows.
func (tb *table) told(t *testing.T) string {
	t.Helper()
	events, err := tb.allWarnings()
	if err != nil {
		t.Fatal(err)
	}
	statuses := tb.statuses(t)
	var out strings.Builder
	for i, r := range tb.rows {
		ns := tb.namespace(i)
		fmt.Fprintf(&out, "# %s\n", r.name)
		for _, line := range append(events[ns], statuses[ns]...) {
			fmt.Fprintln(&out, strings.ReplaceAll(line, ns, "$NS"))
		}
	}
	return out.String()
}

// statuses are those of the rows' objects, by namespace.
func (tb *table) statuses(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, kind := range slices.Sorted(maps.Keys(tableKinds)) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(tableKinds[kind].WithKind(kind + "List"))
		if err := kube.List(context.Background(), list); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			ns := cmp.Or(o.GetNamespace(), tb.rowOf(o.GetName()))
			out[ns] = append(out[ns], fmt.Sprintf("status %s %s: %s", kind, o.GetName(), statusText(&o)))
		}
	}
	return out
}

func firstDifference(got, want string) error {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Errorf("line %d is\n  %s\nwant\n  %s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d lines, want %d", len(a), len(b))
	}
	return nil
}

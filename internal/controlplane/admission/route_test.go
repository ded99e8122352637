// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

func ingressWith(annotations, path string) string {
	return `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {` + annotations + `}}, spec: {ingressClassName: kong, rules: [{http: {paths: [{path: "` + path +
		`", pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`
}

func TestIngresses(t *testing.T) {
	regex := ingressWith("", "/~/a(")
	runRows(t, []row{
		{name: "valid, with everything missing that it names", object: ingressWith("konghq.com/plugins: none", "/")},
		{name: "bad regex", object: regex, refused: []string{
			"Ingress shop/web spec.rules[0].http.paths[0].backend: Ingress failed schema validation: the Kong route shop.web.web..80 is not valid: paths[0]: invalid regex: '/a(' (missing closing ): `/a(`) (correct the path, host or annotation)"}},
		{name: "bad regex, of another class", object: strings.Replace(regex, "ingressClassName: kong", "ingressClassName: nginx", 1)},
		{name: "bad regex, class by annotation", object: ingressWith("kubernetes.io/ingress.class: nginx", "/~/a(")},
		{name: "host without certificate", object: strings.Replace(ingressWith("", "/"), "rules:", `tls: [{secretName: s, hosts: ["a.*.b"]}], rules:`, 1), warnings: []string{
			`Ingress shop/web spec.tls[0].secretName: host "a.*.b" cannot have a certificate: wildcard must be leftmost or rightmost character (correct the host)`}},
		{name: "bad protocols", object: ingressWith(`konghq.com/protocols: "http,gopher"`, "/"), refused: []string{
			"Ingress shop/web metadata.annotations[konghq.com/protocols]: Ingress has invalid Kong annotations: invalid konghq.com/protocols value: http,gopher (use a comma list of http, https, grpc, grpcs, ws, wss, tcp, tls, tls_passthrough)"}},
		{name: "bad annotation that Kong's controller ignores", object: ingressWith(`konghq.com/strip-path: maybe`, "/"), warnings: []string{
			`Ingress shop/web metadata.annotations[konghq.com/strip-path]: the value "maybe" is not valid; the annotation is ignored (use "true" or "false")`}},
	})
}

func TestStreamIngresses(t *testing.T) {
	const object = `{apiVersion: configuration.konghq.com/v1beta1, kind: %s, metadata: {name: db, annotations: {kubernetes.io/ingress.class: %s}}, spec: {rules: [{%sport: %s, backend: {serviceName: db, servicePort: 5432}}]}}`
	refused := func(kind, route string) []string {
		return []string{kind + " shop/db spec.rules[0]: " + kind + " failed schema validation: the Kong route " + route +
			" is not valid: destinations[0].port: value should be between 0 and 65535 (correct the port, host or annotation)"}
	}
	runRows(t, []row{
		{name: "TCP", object: sprintf(object, "TCPIngress", "kong", "host: db.example.com, ", "5432")},
		{name: "TCP, bad port", object: sprintf(object, "TCPIngress", "kong", "", "99999"), refused: refused("TCPIngress", "shop.db.0")},
		{name: "TCP, of another class", object: sprintf(object, "TCPIngress", "kic", "", "99999")},
		{name: "UDP", object: sprintf(object, "UDPIngress", "kong", "", "53")},
		{name: "UDP, bad port", object: sprintf(object, "UDPIngress", "kong", "", "99999"), refused: refused("UDPIngress", "shop.db.0.udp")},
	})
}

func TestServices(t *testing.T) {
	const service = `{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {%s}}, spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}}`
	warned := []string{"Service shop/web metadata.annotations[konghq.com/override]: the annotation is deprecated; only the upstream part of a KongIngress has an effect (name a KongUpstreamPolicy in konghq.com/upstream-policy)"}
	runRows(t, []row{
		{name: "plain", object: sprintf(service, "konghq.com/retries: '3'")},
		{name: "override", object: sprintf(service, "konghq.com/override: k"), warnings: warned},
		{name: "bad annotation", object: sprintf(service, "konghq.com/retries: many"), warnings: []string{
			`Service shop/web metadata.annotations[konghq.com/retries]: the value "many" is not valid; the annotation is ignored (use a number from 0 to 32767)`}},
		{name: "a protocol for streams", object: sprintf(service, "konghq.com/protocol: tls_passthrough")},
		{name: "a protocol for streams, behind an Ingress", object: sprintf(service, "konghq.com/protocol: tls_passthrough"), others: []string{ingressWith("", "/")}, warnings: []string{
			`Service shop/web metadata.annotations[konghq.com/protocol]: the protocol "tls_passthrough" does not fit the routes of an Ingress; https is used for them (use one of http, https, grpc, grpcs, ws, wss, or a TCPIngress or UDPIngress)`}},
		{name: "beside Kong", object: sprintf(service, "konghq.com/override: k"), shared: true},
		{name: "beside Kong, behind an Ingress of ours", object: sprintf(service, "konghq.com/override: k"), shared: true, others: []string{ingressWith("", "/")}, warnings: warned},
		{name: "unchanged", object: sprintf(service, "konghq.com/override: k"), old: sprintf(service, "konghq.com/override: k")},
	})
}

func TestKongIngresses(t *testing.T) {
	const object = `{apiVersion: configuration.konghq.com/v1, kind: KongIngress, metadata: {name: k}, upstream: {algorithm: round-robin}}`
	warned := []string{"KongIngress shop/k upstream: KongIngress is deprecated (say the same in a KongUpstreamPolicy)"}
	service := `{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {konghq.com/override: k}}}`
	runRows(t, []row{
		{name: "warned of", object: object, warnings: warned},
		{name: "beside Kong", object: object, shared: true, others: []string{service}},
		{name: "beside Kong, used by ours", object: object, shared: true, others: []string{service, ingressWith("", "/")}, warnings: warned},
	})
}

func TestUpstreamPolicies(t *testing.T) {
	const policy = `{apiVersion: configuration.konghq.com/v1beta1, kind: KongUpstreamPolicy, metadata: {name: p}, spec: %s}`
	service := `{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {konghq.com/upstream-policy: p}}}`
	bad := sprintf(policy, "{healthchecks: {active: {httpPath: no-slash}}}")
	refused := []string{"KongUpstreamPolicy shop/p spec: KongUpstreamPolicy failed schema validation: healthchecks.active.http_path: should start with: / (correct the field)"}
	runRows(t, []row{
		{name: "valid", object: sprintf(policy, "{algorithm: least-connections, slots: 100}")},
		{name: "invalid", object: bad, refused: refused},
		{name: "beside Kong", object: bad, shared: true, others: []string{service}},
		{name: "beside Kong, used by ours", object: bad, shared: true, others: []string{service, ingressWith("", "/")}, refused: refused},
	})
}

// What a path means depends on the class's parameters.
func TestLegacyRegexDetection(t *testing.T) {
	c := ourClass()
	o := object(t, ingressWith("", `/a/(\\d+`))
	for _, legacy := range []bool{false, true} {
		c.classes.Ours[0].LegacyRegexDetection = legacy
		d, err := admission.Review(o, nil, schemas.All(), c)
		if err != nil || legacy != strings.Contains(strings.Join(lines(d.Violations), ""), "invalid regex") {
			t.Errorf("legacy %v: %v, %v", legacy, lines(d.Violations), err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// What the rows of TestLikeKongsController refer to.
const kongsBackends = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, uid: uid-of-web, annotations: {konghq.com/tags: "team-a,team-b"}}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
  - {addresses: [10.1.0.1]}
  - {addresses: [10.1.0.2], conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ["fd00::1"]}]
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: shop}
spec: {type: ExternalName, externalName: away.example.org, ports: [{port: 5432}]}
---
`

// kongsRoute is what Kong's ingress controller makes of one rule. Names are
// put together of the objects' names; an id is the UUIDv5 of the name, within
// the UUIDv5 of the kind, within the namespace of Kong's declarative ids, worked
// out with another program.
type kongsRoute struct {
	name     string
	spec     string
	id       entity.ID
	route    string
	hosts    []string
	paths    []string
	service  string
	ofID     entity.ID
	upstream string
	port     *int // the Service's, nil for 80
	targets  []string
	tags     []string // of the Service
}

var kongsRoutes = []kongsRoute{
	{
		name: "a port by number",
		spec: `rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]`,
		id:   "4072f508-8520-58ee-a1d7-1b598607146f", route: "shop.site.web.shop.example.com.80",
		hosts: []string{"shop.example.com"}, paths: []string{"/"},
		service: "shop.web.80", ofID: "24b7278c-bf6b-539d-bd6b-7c83220ed5b6", upstream: "web.shop.80.svc",
	},
	{
		name: "a port by name, all paths of a host in one route",
		spec: `rules: [{host: shop.example.com, http: {paths: [
			{path: /foo, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}},
			{path: /exact, pathType: Exact, backend: {service: {name: web, port: {name: http}}}},
			{path: '/~/items/\d+', pathType: ImplementationSpecific, backend: {service: {name: web, port: {name: http}}}},
			{path: /plain, pathType: ImplementationSpecific, backend: {service: {name: web, port: {name: http}}}}]}}]`,
		id: "7cab01b8-71ad-516b-9b95-0a4baa3dc9c5", route: "shop.site.web.shop.example.com.http",
		hosts: []string{"shop.example.com"}, paths: []string{"/foo/", "~/foo$", "~/exact$", `~/items/\d+`, "/plain"},
		service: "shop.web.http", ofID: "1a271fc7-d763-55bb-91b7-11dca1096baa", upstream: "web.shop.http.svc",
	},
	{
		name: "a wildcard host",
		spec: `rules: [{host: "*.example.com", http: {paths: [{path: /a.b, pathType: Exact, backend: {service: {name: web, port: {name: http}}}}]}}]`,
		id:   "a28a86a3-9906-5fac-9077-2c699f862391", route: "shop.site.web._.example.com.http",
		hosts: []string{"*.example.com"}, paths: []string{"~/a.b$"},
		service: "shop.web.http", ofID: "1a271fc7-d763-55bb-91b7-11dca1096baa", upstream: "web.shop.http.svc",
	},
	{
		name: "no host, no path",
		spec: `rules: [{http: {paths: [{pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}}]`,
		id:   "0643f453-8f19-5437-8d02-b08d567a40ef", route: "shop.site.web..80", paths: []string{"/"},
		service: "shop.web.80", ofID: "24b7278c-bf6b-539d-bd6b-7c83220ed5b6", upstream: "web.shop.80.svc",
	},
	{
		name: "a default backend",
		spec: `defaultBackend: {service: {name: web, port: {number: 80}}}`,
		id:   "77754795-e5da-5eaf-b559-1147c6b8ea48", route: "shop.site", paths: []string{"/"},
		service: "shop.web.80", ofID: "24b7278c-bf6b-539d-bd6b-7c83220ed5b6", upstream: "web.shop.80.svc",
	},
	{
		name: "an ExternalName",
		spec: `rules: [{http: {paths: [{path: /, pathType: Exact, backend: {service: {name: away, port: {number: 5432}}}}]}}]`,
		id:   "3379e2eb-f40c-5028-bfdc-a116e622be28", route: "shop.site.away..5432", paths: []string{"~/$"},
		service: "shop.away.5432", ofID: "820fee2c-3d32-5d3e-8639-7c4d7109a750", upstream: "away.shop.5432.svc", port: new(5432),
		targets: []string{"away.example.org:5432"},
		tags:    []string{"k8s-name:away", "k8s-namespace:shop", "k8s-kind:Service", "k8s-version:v1", "managed-by-ingress-controller"},
	},
}

// TestLikeKongsController holds what is made of Ingresses, without a mesh, to
// what Kong's ingress controller makes of them: names, ids, tags, hosts, paths
// and targets, and the few fields that it sets to something else than Kong's
// default. Whoever moves from it must not see entities change.
func TestLikeKongsController(t *testing.T) {
	no, yes := false, true
	for _, row := range kongsRoutes {
		t.Run(row.name, func(t *testing.T) {
			set := translateText(t, kongsBackends+`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: site, namespace: shop, uid: uid-of-site, annotations: {kubernetes.io/ingress.class: kong, konghq.com/tags: mine}}
spec: {`+strings.ReplaceAll(row.spec, "\t", " ")+"}\n")
			tags := row.tags
			if tags == nil {
				tags = []string{
					"k8s-name:web", "k8s-namespace:shop", "k8s-kind:Service", "k8s-uid:uid-of-web", "k8s-version:v1",
					"managed-by-ingress-controller", "team-a", "team-b",
				}
			}
			want := []*entity.Route{{
				ID: row.id, Name: row.route, Service: &entity.Ref{ID: row.ofID}, Hosts: row.hosts, Paths: row.paths,
				StripPath: &no, PreserveHost: &yes,
				Tags: []string{
					"k8s-name:site", "k8s-namespace:shop", "k8s-kind:Ingress", "k8s-uid:uid-of-site", "k8s-group:networking.k8s.io", "k8s-version:v1",
					"managed-by-ingress-controller", "mine",
				},
			}}
			if diff := cmp.Diff(want, set.Routes); diff != "" {
				t.Errorf("routes differ (-want +got):\n%s", diff)
			}
			services := []*entity.Service{{ID: row.ofID, Name: row.service, Host: row.upstream, Port: row.port, Tags: tags}}
			if diff := cmp.Diff(services, set.Services); diff != "" {
				t.Errorf("services differ (-want +got):\n%s", diff)
			}
			if len(set.Upstreams) != 1 || set.Upstreams[0].Name != row.upstream || !slices.Equal(set.Upstreams[0].Tags, tags) {
				t.Errorf("upstreams are %+v", set.Upstreams)
			}
			targets := row.targets
			if targets == nil {
				targets = []string{"10.1.0.1:8080", "[fd00::1]:8080"}
			}
			var got []string
			for _, target := range set.Targets {
				got = append(got, target.Target)
			}
			if diff := cmp.Diff(targets, got); diff != "" {
				t.Errorf("targets differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConsumersLikeKongsController holds the ids of consumers, by username, and
// of groups to those of Kong's ingress controller.
func TestConsumersLikeKongsController(t *testing.T) {
	set := translateText(t, `
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: object, namespace: shop, annotations: {kubernetes.io/ingress.class: kong}}
username: alice
consumerGroups: [gold]
---
apiVersion: configuration.konghq.com/v1beta1
kind: KongConsumerGroup
metadata: {name: gold, namespace: shop, annotations: {kubernetes.io/ingress.class: kong}}
`)
	if len(set.Consumers) != 1 || set.Consumers[0].ID != "b32379d9-3d28-5683-a79c-72139be6e34f" || set.Consumers[0].Username != "alice" {
		t.Errorf("consumers are %+v", set.Consumers)
	}
	if len(set.ConsumerGroups) != 1 || set.ConsumerGroups[0].ID != "292e2838-e71a-5766-868d-840f7af2afa2" || set.ConsumerGroups[0].Name != "gold" {
		t.Errorf("groups are %+v", set.ConsumerGroups)
	}
}

// translateText translates manifests that nothing is wrong with.
func translateText(t *testing.T, manifests string) *entity.Set {
	t.Helper()
	objects, _, err := Decode(strings.NewReader(manifests))
	if err != nil {
		t.Fatal(err)
	}
	result := Translate(objects, fragment.Settings{Class: "kong"}, schemas.All())
	if len(result.Problems) > 0 {
		t.Errorf("problems: %+v", result.Problems)
	}
	return result.Set
}

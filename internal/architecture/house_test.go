// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"regexp"
	"strings"
	"testing"
)

// Trees of the house, as patterns of paths relative to the module.
const (
	api          = `api(/.*)?`
	entity       = `internal/entity(/.*)?`
	contract     = `internal/plugin(/plugintest)?`
	configsync   = `internal/configsync(/.*)?`
	pluginkit    = `internal/pluginkit(/.*)?`
	schemas      = `internal/plugins/[^/]+/schema|internal/plugins/schemas`
	registry     = `internal/plugins/registry`
	plugins      = `internal/plugins(/.*)?`
	operator     = `internal/operator(/.*)?`
	controlplane = `internal/controlplane(/.*)?`
	dataplane    = `internal/dataplane(/.*)?`
	controllers  = `controllers(/.*)?`
	kubernetes   = `no Kubernetes, no Istio: those belong to the manager`
)

// Every package of ours has a floor; a new folder needs a place in the house and rules.
func TestEveryPackageHasAFloor(t *testing.T) {
	floors := regexp.MustCompile("^(?:" + strings.Join([]string{
		api, entity, contract, configsync, pluginkit, plugins, operator, controlplane, dataplane, controllers,
		`cmd/(manager|proxy|kubectl-kig)`,
		`internal/architecture`, `internal/asynctest`,
		`hack/[^/]+`,
		`config`, `bundle(/.*)?`,
		`test(/.*)?`,
	}, "|") + ")$")
	for _, path := range load(t).own(t, ".*") {
		if !floors.MatchString(path) {
			t.Errorf("%s belongs to no floor of the house", path)
		}
	}
}

func TestProxyKnowsNoKubernetes(t *testing.T) {
	g := load(t)
	g.never(t, `cmd/proxy`, kubernetes, within("k8s.io", "sigs.k8s.io", "istio.io"))
	g.never(t, `cmd/proxy`, "the proxy knows only the stream", oursExcept(strings.Join([]string{
		`cmd/proxy`, dataplane, plugins, pluginkit, configsync, contract, entity,
	}, "|")))
}

func TestManagerRunsNoPlugin(t *testing.T) {
	g := load(t)
	g.never(t, `cmd/manager`, "of plugins the manager knows only their schemas", func(path string) bool {
		relative, ours := relativeTo(path)
		return ours && strings.HasPrefix(relative, "internal/plugins/") && !regexp.MustCompile("^(?:"+schemas+")$").MatchString(relative)
	})
	heavy := regexp.MustCompile(`(?i)kafka|sarama|franz-go|ldap|(^|[/.-])(go-?|gopher-)?lua([/.-]|$)`)
	g.never(t, `cmd/manager`, "no Kafka, Lua or LDAP library", heavy.MatchString)
	g.never(t, `cmd/manager`, "wings never import each other", isWithin(dataplane))
}

func TestGroundFloorImportsNothingOfOurs(t *testing.T) {
	g := load(t)
	g.never(t, entity, "entity imports nothing of ours", oursExcept(entity))
	g.never(t, entity, kubernetes, within("k8s.io", "sigs.k8s.io", "istio.io"))
	g.never(t, api, "api imports nothing of ours", oursExcept(api))
	g.never(t, api, "api is types, for any client", within("sigs.k8s.io/controller-runtime", "k8s.io/client-go"))
}

func TestSharedFloor(t *testing.T) {
	g := load(t)
	g.never(t, contract, "the plugin contract imports only entity", oursExcept(contract+"|"+entity))
	g.never(t, contract, kubernetes, within("k8s.io", "sigs.k8s.io", "istio.io"))
	g.never(t, configsync, "the stream is below the wings and the plugins", oursExcept(configsync+"|"+contract+"|"+entity))
	g.never(t, configsync, "the server's authenticator is passed in", within("k8s.io", "sigs.k8s.io", "istio.io"))
}

func TestWingsNeverImportEachOther(t *testing.T) {
	g := load(t)
	shared := strings.Join([]string{configsync, pluginkit, contract, entity, api, schemas}, "|")
	const reason = "wings never import each other, nor what is above them"
	g.never(t, operator, reason, oursExcept(operator+"|"+shared))
	g.never(t, controlplane, reason, oursExcept(controlplane+"|"+shared))
	g.never(t, dataplane, reason, oursExcept(strings.Join([]string{dataplane, schemas, pluginkit, configsync, contract, entity}, "|")))
	g.never(t, dataplane, kubernetes, within("k8s.io", "sigs.k8s.io", "istio.io"))
}

func TestPluginsStandAlone(t *testing.T) {
	g := load(t)
	for _, plugin := range g.own(t, `internal/plugins/[^/]+`) {
		if plugin == "internal/plugins/schemas" || plugin == "internal/plugins/registry" {
			continue
		}
		tree := regexp.QuoteMeta(plugin) + `(/.*)?`
		g.never(t, tree, "a plugin imports plugin, pluginkit, entity and its own schema, no other plugin and no data plane",
			oursExcept(strings.Join([]string{tree, pluginkit, contract, entity}, "|")))
		if _, has := g[module+"/"+plugin+"/schema"]; !has {
			t.Errorf("%s has no package schema: the manager could not check its config", plugin)
		}
	}
	g.never(t, registry, "the list of plugins imports plugins",
		oursExcept(strings.Join([]string{plugins, pluginkit, contract, entity}, "|")))
	g.never(t, dataplane, "the data plane knows plugins only by their contract: cmd/proxy passes them in", func(path string) bool {
		return isWithin(plugins)(path) && !isWithin(schemas)(path)
	})
}

func TestProgramsHoldNoTestCode(t *testing.T) {
	load(t).never(t, `cmd/[^/]+|internal/plugins(/.*)?|internal/dataplane(/.*)?`, "test code is for tests",
		isWithin(`internal/plugin/plugintest|internal/asynctest|test(/.*)?`))
}

func TestSchemasKnowOnlyEntity(t *testing.T) {
	g := load(t)
	for _, schema := range g.own(t, `internal/plugins/[^/]+/schema`) {
		g.never(t, regexp.QuoteMeta(schema), "a schema imports only entity", oursExcept(regexp.QuoteMeta(schema)+"|"+entity))
	}
	g.never(t, `internal/plugins/schemas`, "the list of schemas imports schemas", oursExcept(schemas+"|"+entity))
}

// isWithin is true for every package of ours that the pattern matches.
func isWithin(pattern string) func(string) bool {
	expression := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(path string) bool {
		relative, ours := relativeTo(path)
		return ours && expression.MatchString(relative)
	}
}

// The rules themselves: a house that breaks them is seen, with the chain.
func TestARuleSeesABreach(t *testing.T) {
	g := graph{
		module + "/cmd/proxy":                 {Imports: []string{module + "/internal/dataplane/engine", "fmt"}},
		module + "/internal/dataplane/engine": {Imports: []string{"vendored/yaml"}, ImportMap: map[string]string{"vendored/yaml": "sigs.k8s.io/yaml"}},
		"sigs.k8s.io/yaml":                    {},
	}
	got := strings.Join(g.chain("cmd/proxy", within("k8s.io", "sigs.k8s.io")), " ")
	want := module + "/cmd/proxy " + module + "/internal/dataplane/engine sigs.k8s.io/yaml"
	if got != want {
		t.Errorf("chain\ngot  %s\nwant %s", got, want)
	}
	if steps := g.chain("cmd/proxy", within("sigs.k8s.io/yam")); steps != nil {
		t.Errorf("half a path element matches: %v", steps)
	}
	if forbidden := oursExcept(entity); forbidden(module+"/internal/entity/schema") || !forbidden(module+"/internal/plugin") || forbidden("fmt") {
		t.Error("oursExcept is wrong")
	}
}

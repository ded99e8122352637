// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// testSchemas is a small set of plugins, enough for every path of the codec.
func testSchemas(t testing.TB) entity.SchemaSet {
	t.Helper()
	s, err := entity.NewSchemaSet(
		entity.PluginSchema{
			Name: "limit", Config: schema.NewRecord(
				schema.Number("minute").Greater(0),
				schema.String("password").Secret(),
				schema.Map("headers", schema.String(""), schema.String("")),
			),
			Checks: []schema.EntityCheck{schema.AtLeastOneOf("config.minute")},
		},
		entity.PluginSchema{
			Name: "auth", Config: schema.NewRecord(schema.Boolean("hide").Default(false)),
			Protocols: entity.HTTPProtocols(), NoConsumer: true,
			Credentials: []entity.CredentialType{
				{Collection: "keys", UniqueKey: "key", Record: schema.NewRecord(schema.String("key").Secret())},
				{Collection: "acls", Key: []string{"consumer", "group"}, Record: schema.NewRecord(schema.String("group").Required())},
				{Collection: "passwords", UniqueKey: "username", Transformed: true, Record: schema.NewRecord(
					schema.String("username").Required(), schema.String("password").Required().Secret())},
			},
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustDecode(t testing.TB, data string) *entity.Set {
	t.Helper()
	set, problems := entity.Decode([]byte(data), testSchemas(t))
	if len(problems) > 0 {
		t.Fatalf("%s\n%s", entity.Problems(problems).Error(), data)
	}
	return set
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// update rewrites golden files when UPDATE_GOLDEN is set.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, name); string(want) != string(got) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it); got:\n%s", name, got)
	}
}

// The nested document and the flat one that Encode makes of it mean the same.
func TestDecodeNested(t *testing.T) {
	t.Parallel()
	s := testSchemas(t)
	set := mustDecode(t, string(readFile(t, "testdata/nested.yml")))
	flat, err := entity.Encode(set)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/nested.flat.yml", flat)
	if problems := entity.CheckSet(set, s); len(problems) > 0 {
		t.Errorf("CheckSet: %v", problems)
	}
	again := mustDecode(t, string(flat))
	if changes := entity.Diff(set, again); len(changes) > 0 {
		t.Errorf("flat form differs: %+v", changes)
	}
	printable, err := entity.Encode(entity.RedactSet(set, s))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/nested.redacted.yml", printable)
	if strings.Contains(string(printable), "hunter2") || strings.Contains(string(printable), "PRIVATE KEY") {
		t.Error("the printable form holds a secret")
	}
}

func TestDecodeProblems(t *testing.T) {
	t.Parallel()
	problems := decodeProblems(t, string(readFile(t, "testdata/problems.yml")))
	golden(t, "testdata/problems.golden", []byte(strings.Join(problems, "\n")+"\n"))
}

func decodeProblems(t *testing.T, data string) []string {
	t.Helper()
	set, problems := entity.Decode([]byte(data), testSchemas(t))
	if set != nil && len(problems) > 0 {
		t.Error("Decode returned a Set beside problems")
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.Error())
	}
	return lines
}

func TestDecodeDocument(t *testing.T) {
	t.Parallel()
	const v3 = "_format_version: \"3.0\"\n"
	tests := []struct {
		name, data string
		want       []string
	}{
		{"minimal", v3, nil},
		{"JSON", `{"_format_version": "3.0", "services": []}`, nil},
		{"JSON with tabs and escapes", "{\n\t\"_format_version\": \"3.0\",\n\t\"consumers\": [{\"username\": \"\\ud83d\\ude00\"}]\n}", nil},
		{"flow YAML", `{_format_version: "3.0", services: [{host: a}]}`, nil},
		{"byte order mark", "\xef\xbb\xbf" + v3, nil},
		{"tolerated", v3 + "_comment: x\n_info: {select_tags: [a]}\n_ignore: [a]\n_transform: true\nservices:\n- host: a\n  _comment: x\n  _ignore: [1]\n", nil},
		{"unknown info", v3 + "_info: {select_tag: [a]}\n", []string{"line 2: _info.select_tag: unknown field"}},
		{"info of other shapes", v3 + "_info: {select_tags: a, defaults: [1]}\n_plugin_configs: 1\n",
			[]string{"line 2: _info.select_tags: expected an array", "line 2: _info.defaults: expected a record", "line 3: _plugin_configs: expected a record"}},
		{"defaults of what has none", v3 + "_info:\n  defaults:\n    plugin: {enabled: false}\n    route: 1\n",
			[]string{"line 4: _info.defaults.plugin: unknown field: there are defaults for service, route, upstream and target", "line 5: _info.defaults.route: expected a record"}},
		{"a default that does not fit", v3 + "_info:\n  defaults:\n    service: {retry: 1}\nservices:\n- host: a\n", []string{"line 6: services[0]: retry: unknown field"}},
		{"workspaces", v3 + "_workspace: default\n", nil},
		{"another workspace", v3 + "_workspace: dev\n", []string{"line 2: _workspace: this gateway has one workspace, default"}},
		{"a shared config that is not there", v3 + "plugins:\n- name: auth\n  _config: a\n",
			[]string{"line 4: plugins[0] 'auth': _config: invalid reference '_config: a' (no such entry in '_plugin_configs')"}},
		{"old formats", "_format_version: \"1.1\"\n", nil},
		{"null lists", v3 + "services: ~\nroutes: null\n", nil},
		{"empty", " \n", []string{"line 1: the document is empty"}},
		{"only a comment", "# nothing\n", []string{"line 1: the document is empty"}},
		{"text", "hello", []string{"line 1: expected a mapping with _format_version and lists of entities"}},
		{"no version", "services: []\n", []string{`line 1: _format_version: required field missing: write _format_version: "3.0"`}},
		{"version as a number", "_format_version: 3.0\n", []string{`line 1: _format_version: expected a string: write "3.0" in quotes`}},
		{"other version", "_format_version: \"4.0\"\n", []string{"line 1: _format_version: expected one of: 1.1, 2.1, 3.0"}},
		{"unknown lists", v3 + "_what: 1\nfoo: []\ncredentials: []\n",
			[]string{"line 2: _what: unknown field", "line 3: foo: unknown field", "line 4: credentials: unknown field"}},
		{"not a list", v3 + "services: {}\nroutes: 1\n", []string{"line 2: services: expected an array", "line 3: routes: expected an array"}},
		{"not a record", v3 + "services:\n- a\n", []string{"line 3: services[0]: expected a record"}},
		{"transform", v3 + "_transform: 1\n", []string{"line 2: _transform: expected a boolean"}},
		{"hashed passwords", v3 + "_transform: false\nconsumers:\n- username: a\n  passwords:\n  - {username: u, password: p}\n",
			[]string{"line 6: consumers[0].passwords[0]: _transform: false says that secrets are hashed already, which this gateway cannot read: give them in clear and leave _transform out"}},
		{"not transformed, without passwords", v3 + "_transform: false\nconsumers:\n- username: a\n", nil},
		{"broken YAML", v3 + "services: [\n", []string{"line 2: did not find expected node content"}},
		{"two documents", v3 + "---\n" + v3, []string{"line 2: there is more than one document; only one is allowed"}},
		{"duplicate field", v3 + "services:\n- host: a\n  host: b\n", []string{"line 4: field 'host' is given twice"}},
		{"broken JSON", "{\"_format_version\": \"3.0\",\n \"services\": [}", []string{"line 2: invalid character '}' looking for beginning of value"}},
		{"short JSON", "{\"_format_version\": \"3.0\"", []string{"line 1: the document ends too early"}},
		{"duplicate field in JSON", "{\"_format_version\": \"3.0\",\n\"_format_version\": \"3.0\"}", []string{"line 2: field '_format_version' is given twice"}},
		{"more JSON", `{"_format_version": "3.0"} {}`, []string{"line 1: there is more after the end of the document"}},
		{"deep JSON", `{"_format_version": "3.0", "services": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}",
			[]string{"line 1: the document nests more than 100 levels deep"}},
		{"anchors and merges", v3 + "services:\n- &a {host: a, name: a}\n- {<<: *a, name: b}\n", nil},
		{"merge of a list", v3 + "services:\n- &a {host: a, name: a}\n- {<<: [*a, {port: 1}], name: b}\n", nil},
		{"merge of text", v3 + "services:\n- {<<: a}\n", []string{"line 3: only a mapping can be merged"}},
		{"cycle", v3 + "services: &a\n- name: x\n  tags: *a\n", []string{"line 4: anchor 'a' contains itself"}},
		{"key that is a list", v3 + "? [a]\n: b\n", []string{"line 2: a key must be text"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decodeProblems(t, tt.data); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestDecodeAliasesAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\n_comment:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	got := decodeProblems(t, b.String())
	if len(got) != 1 || !strings.Contains(got[0], "aliases make the document too large") {
		t.Errorf("got %q", got)
	}
}

func TestDecodeReferences(t *testing.T) {
	t.Parallel()
	set := mustDecode(t, `
_format_version: "3.0"
services:
- {name: s, host: a, id: AAAAAAAA-0000-4000-8000-000000000001}
routes:
- {name: by-name, paths: [/a], service: s}
- {name: by-id, paths: [/b], service: aaaaaaaa-0000-4000-8000-000000000001}
- {name: by-record, paths: [/c], service: {id: AAAAAAAA-0000-4000-8000-000000000001}}
- {name: by-named-record, paths: [/d], service: {name: s}}
`)
	for _, r := range set.Routes {
		if r.Service == nil || r.Service.ID != "aaaaaaaa-0000-4000-8000-000000000001" {
			t.Errorf("%s: service %v", r.Name, r.Service)
		}
	}
}

func TestDecodeConsumerGroups(t *testing.T) {
	t.Parallel()
	set := mustDecode(t, `
_format_version: "3.0"
consumers:
- {username: a, groups: [{name: gold}]}
- {username: b, groups: [gold, silver]}
- {username: c}
consumer_groups:
- name: gold
  consumers: [a, {username: c}]
  plugins: [{name: limit, config: {minute: 1}}]
- name: silver
`)
	gold, silver := set.ConsumerGroups[0].ID, set.ConsumerGroups[1].ID
	want := [][]entity.Ref{{{ID: gold}}, {{ID: gold}, {ID: silver}}, {{ID: gold}}}
	for i, c := range set.Consumers {
		if !reflect.DeepEqual(c.Groups, want[i]) {
			t.Errorf("%s: groups %v, want %v", c.Username, c.Groups, want[i])
		}
	}
	if p := set.Plugins[0]; p.ConsumerGroup == nil || p.ConsumerGroup.ID != gold {
		t.Errorf("plugin of the group: %+v", p)
	}
	bad := decodeProblems(t, "_format_version: \"3.0\"\nconsumer_groups:\n- name: gold\n  consumers: [nobody]\n")
	if want := []string{"line 4: consumer_groups[0] 'gold': consumers[0]: invalid reference 'consumers: nobody' (no such entry in 'consumers')"}; !reflect.DeepEqual(bad, want) {
		t.Errorf("got %q, want %q", bad, want)
	}
}

func TestDecodeLaterPluginWins(t *testing.T) {
	t.Parallel()
	set := mustDecode(t, `
_format_version: "3.0"
plugins:
- {id: 00000000-0000-4000-8000-000000000001, name: limit, config: {minute: 1}}
- {id: 00000000-0000-4000-8000-000000000002, name: limit, config: {minute: 2}}
`)
	if len(set.Plugins) != 1 || set.Plugins[0].Config["minute"] != int64(2) {
		t.Errorf("plugins %+v", set.Plugins)
	}
}

func TestDecodeMigratesOldRoutePaths(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]string{
		"2.1": {"/plain", `~/v\d+$`}, "3.0": {"/plain", `/v\d+$`},
	} {
		set, _ := entity.Decode(fmt.Appendf(nil, "_format_version: %q\nservices:\n- host: a\n  routes:\n  - paths: [/plain, '/v\\d+$']\n", version), testSchemas(t))
		if set == nil || !reflect.DeepEqual(set.Routes[0].Paths, want) {
			t.Errorf("format %s: %+v, want paths %q", version, set, want)
		}
	}
}

func TestDecodeNamelessEntities(t *testing.T) {
	t.Parallel()
	const doc = `
_format_version: "3.0"
services:
- host: a
  routes: [{paths: [/a]}, {paths: [/b], strip_path: false}, {paths: [/a]}]
consumers:
- username: u
  keys: [{}, {key: k}]
`
	first := mustDecode(t, doc)
	ids := map[entity.ID]bool{}
	for e := range first.All() {
		if !schema.IsUUID(string(e.EntityID())) || ids[e.EntityID()] {
			t.Errorf("id %q of %T", e.EntityID(), e)
		}
		ids[e.EntityID()] = true
	}
	if changes := entity.Diff(first, mustDecode(t, doc)); len(changes) > 0 {
		t.Errorf("the same document has other ids: %+v", changes)
	}
	// What a route does is not what it is.
	edited := mustDecode(t, strings.Replace(doc, "strip_path: false", "strip_path: true", 1))
	changes := entity.Diff(first, edited)
	if len(changes) != 1 || changes[0].Type != entity.Changed || !slices.Equal(changes[0].Fields, []string{"strip_path"}) {
		t.Errorf("after an edit: %+v", changes)
	}
}

// manyRoutes is a document with n routes, each with a plugin.
func manyRoutes(n int) []byte {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range n / 10 {
		fmt.Fprintf(&b, "- name: s%d\n  host: s%d.default.svc\n  routes:\n", i, i)
		for j := range 10 {
			fmt.Fprintf(&b, "  - name: r%d-%d\n    hosts: [h%d.example.com]\n    paths: [/a/%d, '~/b/%d$']\n    strip_path: false\n"+
				"    plugins:\n    - name: limit\n      config: {minute: 5, headers: {a: b}}\n", i, j, j, j, j)
		}
	}
	return []byte(b.String())
}

func TestDecodeManyRoutes(t *testing.T) {
	t.Parallel()
	start := time.Now()
	set := mustDecode(t, string(manyRoutes(5000)))
	if len(set.Routes) != 5000 || len(set.Plugins) != 5000 {
		t.Fatalf("%d routes, %d plugins", len(set.Routes), len(set.Plugins))
	}
	t.Logf("5000 routes with plugins in %s", time.Since(start))
}

func BenchmarkDecode5000Routes(b *testing.B) {
	data, s := manyRoutes(5000), testSchemas(b)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if set, _ := entity.Decode(data, s); set == nil {
			b.Fatal("not decoded")
		}
	}
}

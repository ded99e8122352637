// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// generator makes valid Sets at random.
type generator struct{ *rand.Rand }

var awkward = []string{
	"yes", "NO", "1.0", "1:30", "010", "~", "null", "", " lead", "trail ", "a: b", "- x", "#c", "{a", "[b", "*c", "&d", "!e", "|", ">",
	"'", `"`, "\\", "tab\t", "nl\n", "\n\n", "\r\n", "ü", "\u0085", "\u2028", "\ufeff", "\x00", "\x7f", "😀", "%", "@", "`", "a\n b\n",
	"-----BEGIN X-----\n a\n", "-----BEGIN X-----\na", "2001-01-01", "0x1f", ".inf", "<<", "=", "true", "{vault://env/x}",
}

func (g generator) text() string {
	if g.IntN(2) == 0 {
		return awkward[g.IntN(len(awkward))]
	}
	return awkward[g.IntN(len(awkward))] + awkward[g.IntN(len(awkward))]
}

func (g generator) value(depth int) any {
	switch n := g.IntN(8); {
	case n == 0:
		return nil
	case n == 1:
		return g.IntN(2) == 0
	case n == 2:
		return int64(g.IntN(1 << 30))
	case n == 3:
		return g.Float64() * 1e6
	case n == 4 && depth > 0:
		out := []any{}
		for range g.IntN(4) {
			out = append(out, g.value(depth-1))
		}
		return out
	case n == 5 && depth > 0:
		out := map[string]any{}
		for range g.IntN(4) {
			out[g.text()] = g.value(depth - 1)
		}
		return out
	}
	return g.text()
}

func some[T any](g generator, v T) *T {
	if g.IntN(2) == 0 {
		return nil
	}
	return &v
}

func (g generator) set() *entity.Set {
	set := new(entity.Set)
	add := func(e entity.Entity) entity.ID {
		set.Add(e)
		return e.EntityID()
	}
	id := func() entity.ID {
		return entity.NewID("test", fmt.Sprint(g.Uint64()))
	}
	for i := range g.IntN(3) {
		s := add(&entity.Service{ID: id(), Name: fmt.Sprintf("s%d", i), Host: "h", Port: some(g, g.IntN(65536)), Enabled: some(g, false)})
		for j := range g.IntN(3) {
			r := &entity.Route{
				ID: id(), Service: some(g, entity.Ref{ID: s}), Paths: []string{fmt.Sprintf("/%d", j)}, StripPath: some(g, g.IntN(2) == 0),
				Headers: map[string][]string{"X-A": {"yes", "1:30"}}, RegexPriority: some(g, g.IntN(9)), CreatedAt: some(g, int64(g.IntN(1<<30))),
			}
			if g.IntN(2) == 0 {
				r.Name = fmt.Sprintf("r%d-%d", i, j)
			}
			add(r)
			add(&entity.Plugin{
				ID: id(), Name: "free", Route: &entity.Ref{ID: r.ID},
				Config: map[string]any{"any": g.value(4), "secret": "hunter2"}, Enabled: some(g, false),
			})
		}
	}
	group := add(&entity.ConsumerGroup{ID: id(), Name: "g"})
	for i := range g.IntN(3) {
		c := &entity.Consumer{ID: id(), Username: fmt.Sprintf("%d%s", i, strings.TrimSpace(g.text())+"x")}
		if g.IntN(2) == 0 {
			c.Groups = []entity.Ref{{ID: group}}
		}
		add(c)
		add(&entity.Credential{ID: id(), Type: "keys", Consumer: &entity.Ref{ID: c.ID}, Fields: map[string]any{"key": fmt.Sprintf("%d%s", i, g.text())}})
	}
	return set
}

func roundTripSchemas(t testing.TB) entity.SchemaSet {
	t.Helper()
	s, err := entity.NewSchemaSet(freePlugin, entity.PluginSchema{
		Name: "keys", Config: freePlugin.Config, Credentials: []entity.CredentialType{keysType},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Encode and Decode are inverse to each other, and so are the codecs of single
// entities.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := roundTripSchemas(t)
	for seed := range uint64(300) {
		set := generator{rand.New(rand.NewPCG(seed, 1))}.set()
		data, err := entity.Encode(set)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		back, problems := entity.Decode(data, s)
		if len(problems) > 0 {
			t.Fatalf("seed %d: %v\n%s", seed, problems, data)
		}
		if !reflect.DeepEqual(back, set) {
			t.Fatalf("seed %d: %+v\n%s", seed, entity.Diff(set, back), data)
		}
		if again, err := entity.Encode(back); err != nil || string(again) != string(data) {
			t.Fatalf("seed %d: encoded again, it differs (%v):\n%s\n%s", seed, err, data, again)
		}
		for e := range set.All() {
			checkEntityRoundTrip(t, e)
		}
	}
}

func checkEntityRoundTrip(t *testing.T, e entity.Entity) {
	t.Helper()
	data, err := entity.MarshalEntity(e)
	if err != nil {
		t.Fatal(err)
	}
	back, err := entity.UnmarshalEntity(e.EntityKind(), data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if !reflect.DeepEqual(back, e) {
		t.Fatalf("%s came back as %+v", data, back)
	}
	first, err1 := entity.HashEntity(e)
	second, err2 := entity.HashEntity(back)
	if err1 != nil || err2 != nil || first != second {
		t.Fatalf("hashes differ for %s: %v %v", data, err1, err2)
	}
}

// FuzzDecode looks for documents that break the codec, and for accepted ones
// that do not survive being written and read again.
func FuzzDecode(f *testing.F) {
	f.Add(readFile(f, "testdata/nested.yml"))
	f.Add(readFile(f, "testdata/nested.flat.yml"))
	f.Add(readFile(f, "testdata/problems.yml"))
	f.Add([]byte(`{"_format_version":"3.0","services":[{"url":"http://a:1/b","routes":[{"paths":["/"]}]}]}`))
	f.Add([]byte("_format_version: \"1.1\"\nservices:\n- &a {host: a}\n- {<<: *a, path: /x}\n"))
	s := testSchemas(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		set, problems := entity.Decode(data, s)
		if (set == nil) != (len(problems) > 0) {
			t.Fatalf("set %v with problems %v", set, problems)
		}
		if set == nil {
			return
		}
		if found := entity.CheckSet(set, s); len(found) > 0 {
			t.Fatalf("decoded, but: %v", found)
		}
		if _, err := entity.CompleteSet(set, s); err != nil {
			t.Fatalf("decoded, but not completed: %v", err)
		}
		out, err := entity.Encode(set)
		if err != nil {
			t.Fatal(err)
		}
		back, problems := entity.Decode(out, s)
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", problems, out)
		}
		// A document has one list per type of credentials.
		slices.SortStableFunc(set.Credentials, func(a, b *entity.Credential) int { return strings.Compare(a.Type, b.Type) })
		if !reflect.DeepEqual(back, set) {
			t.Fatalf("%+v\n%s", entity.Diff(set, back), out)
		}
	})
}

// FuzzUnmarshalEntity wants what is accepted to have one canonical form.
func FuzzUnmarshalEntity(f *testing.F) {
	f.Add("services", []byte(`{"id":"x","host":"a","port":80}`))
	f.Add("plugins", []byte(`{"name":"x","config":{"a":[1.0,{"b":null}],"c":1e3}}`))
	f.Add("credentials", []byte(`{"type":"keys","fields":{"key":"k"}}`))
	f.Add("routes", []byte(`{"headers":{"a":["b"]},"sources":[{"ip":"::1"}]}`))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		e, err := entity.UnmarshalEntity(entity.Kind(kind), data)
		if err != nil {
			return
		}
		first, err := entity.MarshalEntity(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := entity.UnmarshalEntity(entity.Kind(kind), first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		second, err := entity.MarshalEntity(back)
		if err != nil || string(first) != string(second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
		if !utf8.Valid(first) {
			t.Fatalf("not UTF-8: %q", first)
		}
	})
}

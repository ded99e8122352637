// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden translates each testdata/*.yaml and compares the declarative file,
// the backends and the problems with the *.golden file beside it. A first line
// "# settings: mesh, default-class, run-without, service-host" sets those settings.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			manifest, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			got := render(t, manifest, nil)
			golden := strings.TrimSuffix(input, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("translation differs from %s (-want +got); -update rewrites it:\n%s", golden, diff)
			}
			for seed := range uint64(3) {
				shuffled := render(t, manifest, rand.New(rand.NewPCG(seed, 1)))
				if diff := cmp.Diff(string(got), string(shuffled)); diff != "" {
					t.Fatalf("the order of objects matters (seed %d):\n%s", seed, diff)
				}
			}
		})
	}
}

// render translates a manifest, with its objects in random order if asked to.
func render(t *testing.T, manifest []byte, shuffle *rand.Rand) []byte {
	t.Helper()
	objects, skipped, err := Decode(bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	if len(skipped) > 0 {
		t.Fatalf("kinds %v are not read by translation", skipped)
	}
	if shuffle != nil {
		shuffle.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	}
	settings := fragment.Settings{Class: "kong"}
	first, _, _ := strings.Cut(string(manifest), "\n")
	settings.Mesh = strings.Contains(first, "mesh")
	settings.LocalRefused = strings.Contains(first, "local-refused")
	settings.ServiceHost = strings.Contains(first, "service-host")
	settings.RunWithoutBrokenPlugins = strings.Contains(first, "run-without")
	result := Translate(objects, settings, schemas.All())
	if problems := entity.CheckSet(result.Set, schemas.All()); len(problems) > 0 {
		t.Errorf("the outcome is not a valid configuration: %v", problems)
	}
	out, err := entity.Encode(result.Set)
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.NewBuffer(out)
	for _, k := range result.Backends {
		fmt.Fprintf(b, "# backend %+v\n", k)
	}
	for _, p := range result.Problems {
		fmt.Fprintf(b, "# problem %s %s %s\n#   %s\n#   fix: %s\n", p.Object, p.Field, p.Reason, p.Message, p.Fix)
	}
	return b.Bytes()
}

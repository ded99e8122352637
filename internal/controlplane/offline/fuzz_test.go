// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// FuzzTranslate feeds arbitrary manifests: whatever is read yields a valid
// configuration and the same one each time.
func FuzzTranslate(f *testing.F) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, input := range inputs {
		manifest, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(manifest, true)
		for _, document := range bytes.Split(manifest, []byte("---\n")) {
			f.Add(document, false)
		}
	}
	all := schemas.All()
	f.Fuzz(func(t *testing.T, manifest []byte, meshed bool) {
		objects, _, err := Decode(bytes.NewReader(manifest))
		if err != nil {
			return
		}
		settings := fragment.Settings{Class: "kong", DefaultClass: true, Mesh: meshed}
		first := Translate(objects, settings, all)
		if problems := entity.CheckSet(first.Set, all); len(problems) > 0 {
			t.Errorf("not a valid configuration: %v", problems)
		}
		a, err := entity.Encode(first.Set)
		if err != nil {
			t.Fatal(err)
		}
		b, err := entity.Encode(Translate(objects, settings, all).Set)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("two translations differ:\n%s\n%s", a, b)
		}
	})
}

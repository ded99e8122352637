// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// TestWithdrawnGrant holds that a reference counts as long as it is permitted:
// once the ReferenceGrant is gone, what the plugin's owner has is what it was.
func TestWithdrawnGrant(t *testing.T) {
	manifest, err := os.ReadFile("testdata/granted-references.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects, _, err := Decode(bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(fragment.Settings{Class: "kong"}, schemas.All())
	var grant client.Object
	for _, o := range objects {
		if o.GetName() == "friends" {
			grant = o
			continue
		}
		l.put(o)
	}
	denied := encode(t, collect(l.units))
	l.put(grant)
	if encode(t, collect(l.units)) == denied {
		t.Fatal("the grant changed nothing")
	}
	l.Delete(grant)
	for _, d := range l.Deliver() { // one delivery has all that follows
		for _, f := range d.Changed {
			l.units[f.Owner] = f.Entities
		}
		for _, o := range d.Removed {
			delete(l.units, o)
		}
	}
	if diff := cmp.Diff(denied, encode(t, collect(l.units))); diff != "" {
		t.Errorf("a withdrawn grant still counts (-denied +withdrawn):\n%s", diff)
	}
}

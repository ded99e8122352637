// SPDX-License-Identifier: Apache-2.0

package addons

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
)

func TestCoreDNS(t *testing.T) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(CoreDNS()), 4096)
	var image, address string
	objects := 0
	for {
		var document map[string]any
		if err := decoder.Decode(&document); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects++
		switch document["kind"] {
		case "Deployment":
			containers, _, err := unstructured.NestedSlice(document, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatalf("containers %v, %v", containers, err)
			}
			image, _, _ = unstructured.NestedString(containers[0].(map[string]any), "image")
		case "Service":
			address, _, _ = unstructured.NestedString(document, "spec", "clusterIP")
		}
	}
	if objects != 6 || image != layout.CoreDNSImage || address != layout.DNSAddress.String() {
		t.Errorf("%d objects, image %q, address %q", objects, image, address)
	}
}

func TestIstioArgs(t *testing.T) {
	args := IstioArgs(RegistryOnly)
	for _, want := range []string{"meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY", "tag=" + layout.IstioVersion, "values.pilot.env.PILOT_ENABLE_ALPN_FILTER=false"} {
		if !slices.Contains(args, want) {
			t.Errorf("%q is missing in %q", want, args)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for value, ok := range map[string]bool{"ALLOW_ANY": true, "REGISTRY_ONLY": true, "allow_any": false, "": false} {
		if got, err := ParsePolicy(value); (err == nil) != ok || (ok && string(got) != value) {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// TestTranslateExamples translates the echo walkthrough as it is shipped.
func TestTranslateExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "echo", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var out, problems bytes.Buffer
	code := runTranslate(append([]string{"--mesh-mode=None"}, files...), nil, &out, &problems)
	if code != 0 {
		t.Fatalf("exit %d:\n%s", code, problems.String())
	}
	set, bad := entity.Decode(out.Bytes(), schemas.All())
	if len(bad) > 0 {
		t.Fatalf("the outcome is no valid declarative file: %v\n%s", bad, out.String())
	}
	for _, name := range []string{"echo.kong-ingress.http-echo..8080", "echo.kong-ingress-2.http-echo-2..8080"} {
		if !slices.ContainsFunc(set.Routes, func(r *entity.Route) bool { return r.Name == name }) {
			t.Errorf("route %s is missing:\n%s", name, out.String())
		}
	}
}

func TestTranslateReportsProblems(t *testing.T) {
	manifest := `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: one, namespace: shop}
spec:
  ingressClassName: kong
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]
`
	var out, problems bytes.Buffer
	if code := runTranslate([]string{"-"}, strings.NewReader(manifest), &out, &problems); code != 1 {
		t.Errorf("exit %d", code)
	}
	if want := "Ingress shop/one: spec.rules[0].http.paths[0].backend: BackendNotFound: Service shop/gone does not exist"; !strings.Contains(problems.String(), want) {
		t.Errorf("problems are %q", problems.String())
	}
	for _, args := range [][]string{{}, {"--mesh-mode=Perhaps", "-"}, {"/does/not/exist"}, {"--nonsense"}} {
		if code := runTranslate(args, strings.NewReader(""), &out, &problems); code != 2 {
			t.Errorf("%v: exit %d", args, code)
		}
	}
	if code := runTranslate([]string{"-"}, strings.NewReader("kind: ["), &out, &problems); code != 2 {
		t.Errorf("bad YAML: exit %d", code)
	}
}

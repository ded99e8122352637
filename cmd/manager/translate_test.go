// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/offline"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// TestTranslateExamples translates the echo walkthrough as it is shipped.
func TestTranslateExamples(t *testing.T) {
	for _, mesh := range []string{"--mesh=off", "--mesh=on"} {
		var out, problems bytes.Buffer
		code := runTranslate([]string{mesh, "-f", "../../examples/echo"}, nil, &out, &problems)
		if code != 0 || problems.Len() > 0 {
			t.Fatalf("%s: exit %d:\n%s", mesh, code, problems.String())
		}
		set, bad := entity.Decode(out.Bytes(), schemas.All())
		if len(bad) > 0 {
			t.Fatalf("%s: the outcome is no valid declarative file: %v\n%s", mesh, bad, out.String())
		}
		for _, name := range []string{"echo.kong-ingress.http-echo..8080", "echo.kong-ingress-2.http-echo-2..8080"} {
			if !slices.ContainsFunc(set.Routes, func(r *entity.Route) bool { return r.Name == name }) {
				t.Errorf("%s: route %s is missing:\n%s", mesh, name, out.String())
			}
		}
		if !slices.ContainsFunc(set.Targets, func(g *entity.Target) bool { return g.Target == "http-echo.echo.svc:8080" }) {
			t.Errorf("%s: nothing leads to http-echo:\n%s", mesh, out.String())
		}
	}
}

const ingressOne = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: one, namespace: shop}
spec:
  ingressClassName: kong
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
`

const serviceWeb = `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}`

func TestTranslateReportsProblems(t *testing.T) {
	var out, problems bytes.Buffer
	if code := runTranslate([]string{"-"}, strings.NewReader(ingressOne), &out, &problems); code != 1 {
		t.Errorf("exit %d", code)
	}
	want := "Ingress shop/one spec.rules[0].http.paths[0].backend: BackendNotFound: " +
		"Service shop/web does not exist; requests are answered with 503 (create the Service or correct its name)\n"
	if problems.String() != want {
		t.Errorf("problems are %q, want %q", problems.String(), want)
	}
	empty := t.TempDir()
	for _, args := range [][]string{{}, {"--mesh=Perhaps", "-"}, {"-f", "/does/not/exist"}, {"--nonsense"}, {"-f", empty}, {"-", "--nonsense"}} {
		if code := runTranslate(args, strings.NewReader(""), &out, &problems); code != 2 {
			t.Errorf("%v: exit %d", args, code)
		}
	}
	if code := runTranslate([]string{"-"}, strings.NewReader("kind: ["), &out, &problems); code != 2 {
		t.Errorf("bad YAML: exit %d", code)
	}
}

// TestTranslateTellsWhatIsLeftOut holds that a forgotten class and a kind that
// is not read are told, without being problems.
func TestTranslateTellsWhatIsLeftOut(t *testing.T) {
	const (
		consumer  = "apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {name: joe, namespace: shop}\nusername: joe\n---\n"
		global    = "apiVersion: configuration.konghq.com/v1\nkind: KongClusterPlugin\nmetadata: {name: all}\nplugin: key-auth\n---\n"
		other     = "apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {name: ann, annotations: {kubernetes.io/ingress.class: other}}\nusername: ann\n---\n"
		http      = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n---\n"
		facade    = "apiVersion: incubator.ingress-controller.konghq.com/v1alpha1\nkind: KongServiceFacade\nmetadata: {name: f}\n---\n"
		gateway   = "apiVersion: gateway.konghq.com/v1alpha1\nkind: KongIstioGateway\nmetadata: {name: g}\n---\n"
		pod       = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n---\n"
		byDefault = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\n" +
			"metadata: {name: kong, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}\n" +
			"spec: {controller: ingress-controllers.konghq.com/kong}\n---\n"
	)
	classless := strings.Replace(ingressOne, "  ingressClassName: kong\n", "", 1)
	for _, tt := range []struct{ in, want string }{
		{consumer + global + other, "KongConsumer shop/joe: names no ingress class and is left out (add the annotation kubernetes.io/ingress.class: kong)\n" +
			"KongClusterPlugin all: names no ingress class and is left out (add the annotation kubernetes.io/ingress.class: kong)\n"},
		{classless, "Ingress shop/one: names no ingress class and is left out (add the annotation kubernetes.io/ingress.class: kong)\n"},
		{classless + "---\n" + byDefault + serviceWeb, ""},
		{classless + "---\n" + strings.Replace(byDefault, "ingress-controllers.konghq.com/kong", "example.com/other", 1) + serviceWeb,
			"Ingress shop/one: names no ingress class and is left out (add the annotation kubernetes.io/ingress.class: kong)\n"},
		{http + facade + gateway + pod, "-: kind HTTPRoute of gateway.networking.k8s.io/v1 plays no part in translation\n" +
			"-: kind KongServiceFacade of incubator.ingress-controller.konghq.com/v1alpha1 plays no part in translation\n"},
		{strings.Replace(consumer, "/v1\n", "/v1alpha1\n", 1) + strings.Replace(ingressOne, "/v1\n", "/v1beta1\n", 1),
			"-: kind KongConsumer of configuration.konghq.com/v1alpha1 plays no part in translation; that of configuration.konghq.com/v1 does\n" +
				"-: kind Ingress of networking.k8s.io/v1beta1 plays no part in translation; that of networking.k8s.io/v1 does\n"},
		{strings.Replace(consumer, "username:", "usrname: x\nusername:", 1) + strings.Replace(ingressOne, "rules:", "ruls:", 1), "" +
			"-: KongConsumer shop/joe: unknown field \"usrname\" (kubectl would refuse it)\n" +
			"-: Ingress shop/one: unknown field \"spec.ruls\" (kubectl would refuse it)\n" +
			"KongConsumer shop/joe: names no ingress class and is left out (add the annotation kubernetes.io/ingress.class: kong)\n"},
		{"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: old}\n",
			"-: kind Ingress of extensions/v1beta1 plays no part in translation; that of networking.k8s.io/v1 does\n"},
	} {
		var out, told bytes.Buffer
		if code := runTranslate([]string{"-"}, strings.NewReader(tt.in), &out, &told); code != 0 || told.String() != tt.want {
			t.Errorf("exit %d, told %q, want %q\n%s", code, told.String(), tt.want, tt.in)
		}
	}
}

// TestTranslateChecksItsOutcome holds that an outcome that proxies would refuse
// is printed, and told.
func TestTranslateChecksItsOutcome(t *testing.T) {
	twice := &entity.Service{ID: "5bf0e8b4-2e7f-5bb8-a7cc-9e3f8d8a0001", Name: "one", Host: "a.example"}
	again := &entity.Service{ID: twice.ID, Name: "two", Host: "b.example"}
	var out, problems bytes.Buffer
	code, err := printResult(&offline.Result{Set: &entity.Set{Services: []*entity.Service{twice, again}}}, &out, &problems)
	want := "the outcome is not a valid declarative file: services 'two': " +
		"uniqueness violation: 'services' entity with primary key set to '5bf0e8b4-2e7f-5bb8-a7cc-9e3f8d8a0001' already declared\n"
	if code != 1 || err != nil || problems.String() != want || strings.Count(out.String(), string(twice.ID)) != 2 {
		t.Errorf("exit %d, %v: %q, want %q\n%s", code, err, problems.String(), want, out.String())
	}
	out.Reset()
	problems.Reset()
	if code, err := printResult(&offline.Result{Set: &entity.Set{Services: []*entity.Service{twice}}}, &out, &problems); code != 0 || err != nil || problems.Len() > 0 {
		t.Errorf("a valid outcome: exit %d, %v, %q", code, err, problems.String())
	}
}

// TestTranslateFiles reads directories, files and standard input, named before,
// between and after flags.
func TestTranslateFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/ingress.yaml": ingressOne, "b/c/service.json": serviceWeb, "notes.txt": "kind: [",
		"z.yml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	skipped := filepath.Join(dir, "z.yml") + ": kind Namespace of v1 plays no part in translation\n"
	for _, tt := range []struct {
		args  []string
		stdin string
		errs  string
		route bool
	}{
		{args: []string{"-f", dir, "--class", "kong"}, route: true},
		{args: []string{"-v", dir}, errs: skipped, route: true},
		{args: []string{filepath.Join(dir, "a", "ingress.yaml"), "--mesh=on", "-f", "-"}, stdin: serviceWeb, route: true},
		{args: []string{"-f", filepath.Join(dir, "a"), "-f", filepath.Join(dir, "b"), "--class=other"}},
	} {
		var out, errs bytes.Buffer
		code := runTranslate(tt.args, strings.NewReader(tt.stdin), &out, &errs)
		if code != 0 || errs.String() != tt.errs || strings.Contains(out.String(), "shop.one.web..80") != tt.route {
			t.Errorf("%q: exit %d, %q\n%s", tt.args, code, errs.String(), out.String())
		}
	}
}

// TestHelp asks both ways of using the program for help.
func TestHelp(t *testing.T) {
	var translate, manager bytes.Buffer
	if code := runTranslate([]string{"-h"}, nil, nil, &translate); code != 0 || !strings.HasPrefix(translate.String(), "Usage: manager translate") {
		t.Errorf("translate -h: exit %d: %s", code, translate.String())
	}
	getenv := func(string) string { return "" }
	if code := run([]string{"-h"}, getenv, &manager); code != 0 || !strings.Contains(manager.String(), "-leader-elect") {
		t.Errorf("-h: exit %d: %s", code, manager.String())
	}
	if code := run([]string{"--nonsense"}, getenv, &manager); code != 2 {
		t.Errorf("an unknown flag: exit %d", code)
	}
}

// TestControllerIsOne holds that translation knows the classes that the operator makes.
func TestControllerIsOne(t *testing.T) {
	if fragment.Controller != render.IngressController {
		t.Errorf("%s is not %s", fragment.Controller, render.IngressController)
	}
}

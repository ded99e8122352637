// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const input = `
{apiVersion: v1, kind: Namespace, metadata: {name: system, labels: {istio-injection: disabled}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gates.example.com}
spec:
  group: example.com
  names: {kind: Gate, plural: gates}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          spec:
            properties:
              mode: {type: string, enum: [Open, Closed], description: "mode is\n  how it stands."}
              doors:
                type: array
                items: {properties: {width: {type: integer, description: width in mm.}}}
              template: {type: object, properties: {raw: {type: string}}}
          status: {properties: {ready: {type: boolean}}}
---
{apiVersion: example.com/v1, kind: Gate, metadata: {name: front}, spec: {mode: Open}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: keeper, namespace: system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: keeper}
rules: [{apiGroups: [example.com], resources: [gates], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: viewer}
rules: [{apiGroups: [example.com], resources: [gates], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: own, namespace: system}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: keeper}
roleRef: {kind: ClusterRole, name: keeper}
subjects: [{kind: ServiceAccount, name: keeper, namespace: system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: own, namespace: system}
roleRef: {kind: Role, name: own}
subjects: [{kind: ServiceAccount, name: keeper, namespace: system}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: keeper, namespace: system, labels: {app: keeper}}
spec:
  template:
    spec:
      serviceAccountName: keeper
      containers:
      - name: manager
        image: keeper:dev
        env: [{name: RELATED_IMAGE_DOOR, value: "door:dev"}, {name: OTHER, value: "x"}]
---
{apiVersion: v1, kind: Service, metadata: {name: keeper, namespace: system}, spec: {ports: [{port: 1}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: policy}}
---
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {name: base, annotations: {capabilities: Basic Install}}
spec:
  displayName: Gates
  install: {strategy: deployment}
  customresourcedefinitions:
    owned:
    - name: gates.example.com
      version: v1
      kind: Gate
      specDescriptors:
      - {path: mode, displayName: Mode}
      - {path: doors, displayName: Doors, description: As written.}
      - {path: "doors[0].width", displayName: Width}
      - {path: template, displayName: Template, x-descriptors: [own]}
      statusDescriptors:
      - {path: ready, displayName: Ready}
---
{apiVersion: scorecard.operatorframework.io/v1alpha3, kind: Configuration, metadata: {name: config}, stages: []}
`

func flags(output, icon string) settings {
	return settings{version: "1.2.3", channel: "candidate", output: output, icon: icon,
		images: map[string]string{"keeper": "example.com/keeper:1.2.3", "door": "example.com/door@sha256:00"}}
}

func generated(t *testing.T, text string) (files, []string, error) {
	t.Helper()
	objects, err := decode(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return generate(flags("", ""), []byte("<svg/>"), objects)
}

func TestGenerate(t *testing.T) {
	out, left, err := generated(t, input)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, name := range []string{
		"bundle/manifests/kong-istio-gateway.clusterserviceversion.yaml",
		"bundle/manifests/keeper_v1_service.yaml",
		"bundle/manifests/viewer_rbac.authorization.k8s.io_v1_clusterrole.yaml",
	} {
		text.WriteString("--- " + name + "\n")
		text.Write(out[name])
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("testdata/bundle.golden", text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/bundle.golden")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Errorf("the bundle changed (UPDATE_GOLDEN=1 accepts it): got\n%s\nwant\n%s", text.Bytes(), want)
	}
	var names []string
	for name := range out {
		names = append(names, name)
	}
	// Three of the golden, the definition, the scorecard's configuration, annotations and Dockerfile.
	if len(names) != 7 {
		t.Errorf("files: %q", names)
	}
	if len(left) != 2 || !strings.HasPrefix(left[0], "Namespace system:") || !strings.HasPrefix(left[1], "ValidatingAdmissionPolicy policy:") {
		t.Errorf("not carried: %q", left)
	}
	again, _, err := generated(t, input)
	if err != nil || !reflect.DeepEqual(out, again) {
		t.Errorf("the same input gives other bytes: %v", err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"a kind OLM does not apply", "kind: Service,", "kind: Ingress,", "Ingress keeper: OLM does not apply"},
		{"an image without reference", "keeper:dev", "other:dev", "image other:dev has no reference; add -image other="},
		{"a reference that nothing uses", "door:dev", "keeper:dev", "-image door: nothing in config/manifests uses it"},
		{"a binding to a missing role", "roleRef: {kind: Role, name: own}", "roleRef: {kind: Role, name: gone}", "holds no Role gone"},
		{"a binding with a foreign subject", "subjects: [{kind: ServiceAccount, name: keeper, namespace: system}]\n---\napiVersion: apps/v1",
			"subjects: [{kind: ServiceAccount, name: keeper, namespace: system}, {kind: User, name: eve}]\n---\napiVersion: apps/v1", "a binding of its own"},
		{"a new field without descriptor", "width: {type: integer", "height: {type: integer}, width: {type: integer", `path "doors[0].height" has no descriptor`},
		{"a new status field without descriptor", "ready: {type: boolean}", "ready: {type: boolean}, size: {type: integer}", `path "size" has no descriptor`},
		{"a descriptor of no field", "{path: ready,", "{path: reddy,", `path "reddy" is not in the schema of status`},
		{"a descriptor twice", "{path: doors, displayName: Doors", "{path: mode, displayName: Doors", `path "mode" is described twice`},
		{"a descriptor without a name", "{path: mode, displayName: Mode}", "{path: mode}", `path "mode" has no displayName`},
		{"a version that is not defined", "version: v1\n      kind: Gate", "version: v2\n      kind: Gate", "owns gates.example.com v2"},
		{"a definition that is not owned", "- name: gates.example.com\n      version", "- name: walls.example.com\n      version", "walls.example.com v1, of which"},
		{"no scorecard", "kind: Configuration", "kind: Role", "holds no scorecard Configuration"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(input, test.old) {
				t.Fatalf("the input has no %q", test.old)
			}
			_, _, err := generated(t, strings.Replace(input, test.old, test.new, 1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	directory := t.TempDir()
	icon := filepath.Join(directory, "icon.svg")
	stale := filepath.Join(directory, "bundle", "manifests", "stale.yaml")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{icon, stale} {
		if err := os.WriteFile(file, []byte("<svg/>"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := flags(directory, icon)
	var notes bytes.Buffer
	if err := run(s, strings.NewReader(input), &notes); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(notes.String(), "not in the bundle: "); got != 2 {
		t.Errorf("%d notes: %s", got, notes.String())
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("a file of an earlier bundle is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(directory, "bundle.Dockerfile")); err != nil {
		t.Error(err)
	}
	for _, version := range []string{"", "1.2", "v1.2.3", "1.2.3+build", "01.2.3"} {
		s.version = version
		if err := run(s, strings.NewReader(input), &notes); err == nil || !strings.Contains(err.Error(), "-version") {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

func TestRepository(t *testing.T) {
	for reference, want := range map[string]string{
		"a":                     "a",
		"a:1":                   "a",
		"host:5000/a/b":         "host:5000/a/b",
		"host:5000/a/b:1":       "host:5000/a/b",
		"host/a@sha256:00":      "host/a",
		"host:5000/a:1@sha256:": "host:5000/a",
	} {
		if got := repository(reference); got != want {
			t.Errorf("repository(%q) = %q, want %q", reference, got, want)
		}
	}
}

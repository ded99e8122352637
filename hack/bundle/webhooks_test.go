// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const webhookInput = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: keeper}
spec: {template: {spec: {containers: [{name: keeper, args: [--old]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: hooks}
spec: {ports: [{port: 443, targetPort: webhook}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: keeper}
webhooks:
- name: own.example.com
  clientConfig: {service: {name: hooks, path: /validate, port: 443}}
  rules: [{apiGroups: [configuration.konghq.com], resources: [kongplugins]}]
  timeoutSeconds: 3
- name: labelled.example.com
  clientConfig: {service: {name: hooks, path: /validate, port: 443}}
  objectSelector: {matchLabels: {a: b}}
  rules: [{apiGroups: [""], resources: [secrets]}]
- name: everybody.example.com
  clientConfig: {service: {name: hooks, path: /validate, port: 443}}
  rules: [{apiGroups: [networking.k8s.io], resources: [ingresses]}]
- name: conditional.example.com
  clientConfig: {service: {name: hooks, path: /validate, port: 443}}
  matchConditions: [{name: a, expression: "true"}]
  rules: [{apiGroups: [configuration.konghq.com], resources: [kongplugins]}]
`

func TestWebhooks(t *testing.T) {
	objects, err := decode(strings.NewReader(webhookInput))
	if err != nil {
		t.Fatal(err)
	}
	deployments, services, configurations := objects[:1], objects[1:2], objects[2:]
	definitions, replaced, notes, err := webhooks(configurations, deployments, services)
	if err != nil {
		t.Fatal(err)
	}
	if len(definitions) != 2 || len(notes) != 2 || !replaced["hooks"] {
		t.Fatalf("%d definitions, notes %q, replaced %v", len(definitions), notes, replaced)
	}
	first, _ := definitions[0].(map[string]any)
	for field, want := range map[string]any{
		"type": "ValidatingAdmissionWebhook", "generateName": "own.example.com", "deploymentName": "keeper",
		"targetPort": "webhook", "webhookPath": "/validate", "timeoutSeconds": int64(3),
	} {
		if first[field] != want {
			t.Errorf("%s is %v, want %v", field, first[field], want)
		}
	}
	if _, has := first["clientConfig"]; has {
		t.Error("OLM has no clientConfig")
	}
	if err := useCertificates(deployments); err != nil {
		t.Fatal(err)
	}
	containers, _, _ := unstructured.NestedSlice(deployments[0].Object, "spec", "template", "spec", "containers")
	args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	if strings.Join(args, " ") != "--old --webhook-cert-dir="+certificates {
		t.Errorf("arguments %q", args)
	}
	if _, _, _, err := webhooks(configurations, deployments, nil); err == nil || !strings.Contains(err.Error(), "no Service hooks") {
		t.Errorf("without the Service: %v", err)
	}
}

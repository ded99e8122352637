// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// certificates is where OLM mounts the webhook's certificate, which it makes and
// registers with the API server.
const certificates = "/tmp/k8s-webhook-server/serving-certs"

// webhookConfiguration is the kind that becomes spec.webhookdefinitions.
const webhookConfiguration = "ValidatingWebhookConfiguration"

// copied are the fields of a webhook that a definition has as well.
var copied = []string{
	"rules", "failurePolicy", "matchPolicy", "objectSelector", "sideEffects", "timeoutSeconds", "admissionReviewVersions", "reinvocationPolicy",
}

// webhooks turns webhook configurations into OLM's definitions. OLM makes the
// Services that lead to them; those that the configurations name are returned. A
// webhook that needs what OLM lacks is left out, and told in notes.
func webhooks(configurations, deployments, services []*object) (definitions []any, replaced map[string]bool, notes []string, err error) {
	replaced = map[string]bool{}
	for _, c := range configurations {
		list, _, err := unstructured.NestedSlice(c.Object, "webhooks")
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%s %s: %w", c.GetKind(), c.GetName(), err)
		}
		for _, item := range list {
			w, _ := item.(map[string]any)
			name, _ := w["name"].(string)
			service, _, _ := unstructured.NestedString(w, "clientConfig", "service", "name")
			replaced[service] = true
			if !narrow(w) {
				notes = append(notes, fmt.Sprintf("%s %s, webhook %s: OLM has no match conditions, and objects of everybody would be sent", c.GetKind(), c.GetName(), name))
				continue
			}
			d, err := definition(w, service, deployments, services)
			if err != nil {
				return nil, nil, nil, fmt.Errorf("%s %s, webhook %s: %w", c.GetKind(), c.GetName(), name, err)
			}
			definitions = append(definitions, d)
		}
	}
	return definitions, replaced, notes, nil
}

// narrow reports whether a webhook gets only what is for this operator without
// any match condition: objects with labels of its own, or kinds that are no
// core ones.
func narrow(w map[string]any) bool {
	if _, conditions := w["matchConditions"]; conditions {
		return false
	}
	if _, selected := w["objectSelector"]; selected {
		return true
	}
	rules, _ := w["rules"].([]any)
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		groups, _ := rule["apiGroups"].([]any)
		for _, g := range groups {
			if g != "configuration.konghq.com" {
				return false
			}
		}
	}
	return true
}

// definition is one entry of spec.webhookdefinitions.
func definition(w map[string]any, service string, deployments, services []*object) (map[string]any, error) {
	target, err := targetPort(service, services)
	if err != nil {
		return nil, err
	}
	port, _, _ := unstructured.NestedFieldNoCopy(w, "clientConfig", "service", "port")
	path, _, _ := unstructured.NestedString(w, "clientConfig", "service", "path")
	d := map[string]any{
		"type": "ValidatingAdmissionWebhook", "generateName": w["name"], "deploymentName": deployments[0].GetName(),
		"containerPort": port, "targetPort": target, "webhookPath": path,
	}
	for _, field := range copied {
		if v, set := w[field]; set {
			d[field] = v
		}
	}
	return d, nil
}

// targetPort is the port of the pods behind a Service.
func targetPort(name string, services []*object) (any, error) {
	for _, s := range services {
		ports, _, _ := unstructured.NestedSlice(s.Object, "spec", "ports")
		if s.GetKind() == "Service" && s.GetName() == name && len(ports) == 1 {
			port, _ := ports[0].(map[string]any)
			return port["targetPort"], nil
		}
	}
	return nil, fmt.Errorf("config/manifests holds no Service %s with one port", name)
}

// useCertificates has the first container of the Deployments take the
// certificate that OLM mounts.
func useCertificates(deployments []*object) error {
	for _, d := range deployments {
		path := []string{"spec", "template", "spec", "containers"}
		containers, _, err := unstructured.NestedSlice(d.Object, path...)
		if err != nil || len(containers) == 0 {
			return fmt.Errorf("Deployment %s has no containers: %w", d.GetName(), err)
		}
		first, _ := containers[0].(map[string]any)
		args, _ := first["args"].([]any)
		first["args"] = append(args, "--webhook-cert-dir="+certificates)
		if err := unstructured.SetNestedSlice(d.Object, containers, path...); err != nil {
			return err
		}
	}
	return nil
}

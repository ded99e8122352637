// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

type object = unstructured.Unstructured

// carried are the kinds that OLM applies as they are, beside the ClusterServiceVersion: those of
// operator-registry, pkg/lib/bundle/supported_resources.go, that this operator may come to need.
// A namespaced one is put into the operator's namespace.
var carried = map[string]bool{
	"ClusterRole": true, "ClusterRoleBinding": true, "Role": true, "RoleBinding": true, "ServiceAccount": true,
	"Service": true, "ConfigMap": true, "PodDisruptionBudget": true, "NetworkPolicy": true,
	"ServiceMonitor": true, "PrometheusRule": true, "PriorityClass": true,
}

// notCarried are the kinds that config/default installs and OLM cannot, with what is done instead.
var notCarried = map[string]string{
	"Namespace": "OLM installs into the namespace of the Subscription; labels and name are in annotation " + suggestedNamespaceTemplate,
	"ValidatingAdmissionPolicy": "OLM applies no admission policies (operator-sdk issue 7038); the description says how to apply " +
		"config/admission",
	"ValidatingAdmissionPolicyBinding": "see ValidatingAdmissionPolicy",
}

// sorted is the input by what becomes of it. Slices keep the order of the input.
type sorted struct {
	base        *object
	scorecard   *object
	namespace   *object
	crds        []*object
	deployments []*object
	webhooks    []*object
	rbac        []*object
	others      []*object
	// examples are the objects of kinds that one of crds defines.
	examples []*object
	// left are those that OLM does not carry.
	left []*object
}

// decode reads a stream of YAML documents.
func decode(input io.Reader) ([]*object, error) {
	var objects []*object
	decoder := utilyaml.NewYAMLOrJSONDecoder(input, 4096)
	for {
		o := &object{}
		if err := decoder.Decode(o); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// sort says what becomes of each object, and refuses what it does not know.
func sort(objects []*object) (*sorted, error) {
	in := &sorted{}
	owned := map[string]bool{}
	for _, o := range objects {
		if o.GetKind() == "CustomResourceDefinition" {
			in.crds = append(in.crds, o)
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
			owned[kind] = true
		}
	}
	for _, o := range objects {
		kind := o.GetKind()
		_, known := notCarried[kind]
		switch {
		case kind == "CustomResourceDefinition":
		case kind == "ClusterServiceVersion":
			in.base = o
		case kind == "Configuration" && o.GroupVersionKind().Group == "scorecard.operatorframework.io":
			in.scorecard = o
		case kind == "Deployment":
			in.deployments = append(in.deployments, o)
		case kind == webhookConfiguration:
			in.webhooks = append(in.webhooks, o)
		case kind == "Namespace":
			in.namespace = o
			in.left = append(in.left, o)
		case o.GroupVersionKind().Group == "rbac.authorization.k8s.io" || kind == "ServiceAccount":
			in.rbac = append(in.rbac, o)
		case owned[kind]:
			in.examples = append(in.examples, o)
		case known:
			in.left = append(in.left, o)
		case carried[kind]:
			in.others = append(in.others, o)
		default:
			return nil, fmt.Errorf("%s %s: OLM does not apply objects of this kind; take it out of config/manifests, or add it to notCarried in hack/bundle with what is done instead",
				kind, o.GetName())
		}
	}
	return in, in.complete()
}

func (in *sorted) complete() error {
	for what, missing := range map[string]bool{
		"ClusterServiceVersion": in.base == nil, "scorecard Configuration": in.scorecard == nil, "Namespace": in.namespace == nil,
		"CustomResourceDefinition": len(in.crds) == 0, "Deployment": len(in.deployments) == 0, "example of an owned kind": len(in.examples) == 0,
	} {
		if missing {
			return fmt.Errorf("config/manifests holds no %s", what)
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rights are the rules that OLM grants to the ServiceAccounts of the Deployments, as the lists of the
// install strategy. OLM grants the namespace's ones in every namespace that the operator watches.
type rights struct {
	cluster, namespace []any
}

// permissions splits the RBAC objects: what is bound to the ServiceAccount of a Deployment becomes
// rights, and OLM makes the ServiceAccount itself; the rest is returned, to be applied as it is.
func permissions(deployments, rbac []*object) (rights, []*object, error) {
	accounts := serviceAccounts(deployments)
	roles := map[string]*object{}
	for _, o := range rbac {
		roles[o.GetKind()+"/"+o.GetName()] = o
	}
	used := map[*object]bool{}
	cluster, namespace := map[string][]any{}, map[string][]any{}
	for _, o := range rbac {
		var granted map[string][]any
		switch o.GetKind() {
		case "ClusterRoleBinding":
			granted = cluster
		case "RoleBinding":
			granted = namespace
		case "ServiceAccount":
			used[o] = accounts[o.GetName()]
			continue
		default:
			continue
		}
		bound, err := boundAccounts(o, accounts)
		if err != nil {
			return rights{}, nil, err
		}
		if len(bound) == 0 {
			continue
		}
		kind, _, _ := unstructured.NestedString(o.Object, "roleRef", "kind")
		name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
		role, found := roles[kind+"/"+name]
		if !found {
			return rights{}, nil, fmt.Errorf("%s %s: roleRef: config/manifests holds no %s %s", o.GetKind(), o.GetName(), kind, name)
		}
		rules, _, err := unstructured.NestedSlice(role.Object, "rules")
		if err != nil {
			return rights{}, nil, fmt.Errorf("%s %s: %w", kind, name, err)
		}
		used[o], used[role] = true, true
		for _, account := range bound {
			granted[account] = append(granted[account], rules...)
		}
	}
	var others []*object
	for _, o := range rbac {
		if !used[o] {
			others = append(others, o)
		}
	}
	return rights{cluster: grants(deployments, cluster), namespace: grants(deployments, namespace)}, others, nil
}

// boundAccounts are the subjects of a binding that OLM makes. It refuses a binding that has others as
// well: the rules would then be both in the ClusterServiceVersion and in an object of their own.
func boundAccounts(binding *object, accounts map[string]bool) ([]string, error) {
	subjects, _, err := unstructured.NestedSlice(binding.Object, "subjects")
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", binding.GetKind(), binding.GetName(), err)
	}
	var bound []string
	for _, s := range subjects {
		subject, _ := s.(map[string]any)
		name, _ := subject["name"].(string)
		if subject["kind"] == "ServiceAccount" && accounts[name] {
			bound = append(bound, name)
		}
	}
	if len(bound) > 0 && len(bound) < len(subjects) {
		return nil, fmt.Errorf("%s %s: subjects: give the ServiceAccount of a Deployment a binding of its own", binding.GetKind(), binding.GetName())
	}
	return bound, nil
}

func serviceAccounts(deployments []*object) map[string]bool {
	accounts := map[string]bool{}
	for _, deployment := range deployments {
		accounts[accountOf(deployment)] = true
	}
	return accounts
}

func accountOf(deployment *object) string {
	name, _, _ := unstructured.NestedString(deployment.Object, "spec", "template", "spec", "serviceAccountName")
	return name
}

// grants lists the rules of each ServiceAccount once, in the order of the Deployments.
func grants(deployments []*object, rules map[string][]any) []any {
	var list []any
	for _, deployment := range deployments {
		account := accountOf(deployment)
		if granted := rules[account]; len(granted) > 0 {
			list = append(list, map[string]any{"serviceAccountName": account, "rules": granted})
			delete(rules, account)
		}
	}
	return list
}

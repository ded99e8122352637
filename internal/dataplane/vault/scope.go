// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"strings"
)

// scope is whose secrets an entity sees: "" for all, else the name of a
// namespace or clusterScope.
type scope string

// clusterScope is that of entities made from objects without a namespace. No
// namespace has this name: they hold no underscore.
const clusterScope scope = "_cluster"

const (
	namespaceTag = "k8s-namespace:"
	kindTag      = "k8s-kind:"
)

// scopeOf returns whose secrets an entity with these tags sees. Who writes an
// object can add tags of their own but cannot take away the control plane's, so
// that a second namespace is refused rather than chosen from.
func scopeOf(tags []string) (scope, error) {
	var found scope
	object := false
	for _, t := range tags {
		object = object || strings.HasPrefix(t, kindTag)
		name, ok := strings.CutPrefix(t, namespaceTag)
		if !ok {
			continue
		}
		if !isNamespace(name) {
			return "", fmt.Errorf("the tag %q names no namespace", t)
		}
		if found != "" && found != scope(name) {
			return "", fmt.Errorf("its tags name the namespaces %q and %q; remove the tag %s from the object's konghq.com/tags", found, name, namespaceTag)
		}
		found = scope(name)
	}
	switch {
	case found != "":
		return found, nil
	case !object:
		return "", errors.New("its tags do not name the object that it was made from")
	}
	return clusterScope, nil
}

// isNamespace reports whether s is a DNS label (RFC 1123), as names of
// namespaces are.
func isNamespace(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

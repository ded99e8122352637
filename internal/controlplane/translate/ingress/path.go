// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"strings"

	netv1 "k8s.io/api/networking/v1"
)

// defaultRegexPrefix marks an ImplementationSpecific path as a regular
// expression, unless the regex-prefix annotation names another marker.
const defaultRegexPrefix = "/~"

// kongPaths returns the paths of a Kong route for one path of an Ingress, in
// the order in which Kong's ingress controller writes them. A leading "~" makes
// a Kong path a regular expression. The text of Exact and Prefix paths is not
// escaped, as in Kong's controller.
func kongPaths(path string, pathType *netv1.PathType, regexPrefix string) []string {
	kind := netv1.PathTypeImplementationSpecific
	if pathType != nil {
		kind = *pathType
	}
	path = collapseSlashes(path)
	switch kind {
	case netv1.PathTypePrefix:
		base := strings.Trim(path, "/")
		if base == "" {
			return []string{"/"}
		}
		return []string{markRegex("/"+base+"/", regexPrefix), "~/" + base + "$"}
	case netv1.PathTypeExact:
		return []string{"~/" + strings.TrimLeft(path, "/") + "$"}
	default:
		if path == "" {
			return []string{"/"}
		}
		return []string{markRegex(path, regexPrefix)}
	}
}

// markRegex turns a path that starts with the marker into a regular expression.
func markRegex(path, marker string) string {
	if regex, found := strings.CutPrefix(path, marker); found {
		return "~" + regex
	}
	return path
}

func collapseSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"regexp"
	"strings"

	netv1 "k8s.io/api/networking/v1"
)

// defaultRegexPrefix marks an ImplementationSpecific path as a regular
// expression, unless the regex-prefix annotation names another marker.
const defaultRegexPrefix = "/~"

// appendKongPaths adds the paths of a Kong route for one path of an Ingress, in
// the order in which Kong's ingress controller writes them. A leading "~" makes
// a Kong path a regular expression. The text of Exact and Prefix paths is not
// escaped, as in Kong's controller.
func appendKongPaths(paths []string, path string, pathType *netv1.PathType, marker regexMarker) []string {
	kind := netv1.PathTypeImplementationSpecific
	if pathType != nil {
		kind = *pathType
	}
	path = collapseSlashes(path)
	switch kind {
	case netv1.PathTypePrefix:
		base := strings.Trim(path, "/")
		if base == "" {
			return append(paths, "/")
		}
		return append(paths, marker.mark("/"+base+"/"), "~/"+base+"$")
	case netv1.PathTypeExact:
		return append(paths, "~/"+strings.TrimLeft(path, "/")+"$")
	default:
		if path == "" {
			return append(paths, "/")
		}
		return append(paths, marker.mark(path))
	}
}

// regexMarker tells which paths are regular expressions.
type regexMarker struct {
	// prefix marks them.
	prefix string
	// legacy takes every path for one that has a character which plain paths of
	// Kong 2 cannot have (IngressClassParameters enableLegacyRegexDetection).
	legacy bool
}

var legacyPlainPath = regexp.MustCompile(`^[a-zA-Z0-9.\-_~/%]*$`)

// mark puts Kong's "~" before a path that is a regular expression.
func (m regexMarker) mark(path string) string {
	if regex, found := strings.CutPrefix(path, m.prefix); found {
		return "~" + regex
	}
	if m.legacy && !strings.HasPrefix(path, "~") && !legacyPlainPath.MatchString(path) {
		return "~" + path
	}
	return path
}

func collapseSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

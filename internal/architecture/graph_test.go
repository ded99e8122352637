// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/kong/kong-istio-gateway"

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	ImportMap  map[string]string
	Module     *struct{ Path string }
}

// graph is the import graph of the module's packages and all their dependencies, without tests.
type graph map[string]*listed

// readGraph reads the graph once. With -e: a package that does not build is for the compiler to report,
// not for every rule here.
var readGraph = sync.OnceValues(func() (graph, error) {
	command := exec.CommandContext(context.Background(), "go", "list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,ImportMap,Module", module+"/...")
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps ./...: %w\n%s", err, failure.String())
	}
	packages := graph{}
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		p := &listed{}
		if err := decoder.Decode(p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages[p.ImportPath] = p
	}
})

func load(t *testing.T) graph {
	t.Helper()
	packages, err := readGraph()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// own returns, sorted, the paths of the module's packages that the pattern matches, relative to the
// module. A pattern that matches nothing fails the test: a rule about nothing holds nothing.
func (g graph) own(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile("^(?:" + pattern + ")$")
	var found []string
	for path := range g {
		if relative, ours := relativeTo(path); ours && expression.MatchString(relative) {
			found = append(found, relative)
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		t.Errorf("no package matches %q: correct the rule, or remove it with what it was about", pattern)
	}
	return found
}

// relativeTo returns the path of one of our packages relative to the module.
func relativeTo(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// imports are the direct imports of a package, as they resolve.
func (g graph) imports(path string) []string {
	p, known := g[path]
	if !known {
		return nil
	}
	resolved := make([]string, 0, len(p.Imports))
	for _, name := range p.Imports {
		if resolvedName, mapped := p.ImportMap[name]; mapped {
			name = resolvedName
		}
		resolved = append(resolved, name)
	}
	return resolved
}

// chain is the shortest chain of imports from one of our packages to one that is forbidden, nil when
// there is none.
func (g graph) chain(from string, forbidden func(path string) bool) []string {
	start := module + "/" + from
	before := map[string]string{start: ""}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g.imports(queue[0]) {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			if forbidden(next) {
				return trail(before, next)
			}
			queue = append(queue, next)
		}
	}
	return nil
}

func trail(before map[string]string, end string) []string {
	var steps []string
	for at := end; at != ""; at = before[at] {
		steps = append(steps, at)
	}
	slices.Reverse(steps)
	return steps
}

// never fails the test for every package of the pattern that reaches what is forbidden.
func (g graph) never(t *testing.T, pattern, reason string, forbidden func(path string) bool) {
	t.Helper()
	for _, from := range g.own(t, pattern) {
		if steps := g.chain(from, forbidden); steps != nil {
			t.Errorf("%s: %s:\n\t%s", from, reason, strings.Join(steps, "\n\t-> "))
		}
	}
}

// within is true for every path that is in one of the trees, or is their root.
func within(trees ...string) func(string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(trees, func(tree string) bool {
			return path == tree || strings.HasPrefix(path, tree+"/")
		})
	}
}

// oursExcept is true for every package of ours that the pattern does not match.
func oursExcept(pattern string) func(string) bool {
	expression := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(path string) bool {
		relative, ours := relativeTo(path)
		return ours && !expression.MatchString(relative)
	}
}

// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure are the packages that hold no client, read no clock and log nothing: input in, objects out.
const pure = `internal/operator/(render|mesh)(/.*)?|internal/controlplane/(translate|admission)(/.*)?|` + schemas

func TestPurePackagesHoldNoClient(t *testing.T) {
	client := within(
		"sigs.k8s.io/controller-runtime", "k8s.io/client-go/kubernetes/typed", "k8s.io/client-go/rest",
		"k8s.io/client-go/dynamic", "k8s.io/client-go/tools", "k8s.io/client-go/informers", "istio.io/client-go/pkg/clientset",
	)
	load(t).never(t, pure, "pure: input in, objects out", func(path string) bool {
		// Kong's API types register themselves through this package, which holds no client.
		return client(path) && path != "sigs.k8s.io/controller-runtime/pkg/scheme"
	})
}

func TestPurePackagesTouchNothing(t *testing.T) {
	g := load(t)
	effects := []string{
		"log", "log/slog", "github.com/go-logr/logr", "k8s.io/klog/v2", "os", "os/exec", "net/http", "math/rand", "math/rand/v2", "crypto/rand",
	}
	for _, path := range g.own(t, pure) {
		for _, name := range g.imports(module + "/" + path) {
			if slices.Contains(effects, name) {
				t.Errorf("%s imports %s: it must be pure, input in, objects out", path, name)
			}
		}
	}
}

func TestPurePackagesReadNoClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}
	eachUse(t, pure, "time", func(where, member string) {
		if slices.Contains(clock, member) {
			t.Errorf("%s: time.%s: it must be pure, take the time as an input", where, member)
		}
	})
}

// All outgoing connections of the proxy go through dataplane/dial, which checks the resolved address.
func TestOneWayOut(t *testing.T) {
	const insiders = dataplane + "|" + plugins + "|" + pluginkit
	for name, doors := range map[string][]string{
		"net":        {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer"},
		"crypto/tls": {"Dial", "DialWithDialer", "Dialer"},
		"net/http":   {"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm"},
	} {
		eachUse(t, insiders, name, func(where, member string) {
			if slices.Contains(doors, member) && !strings.HasPrefix(where, "internal/dataplane/dial/") {
				t.Errorf("%s: %s.%s: outgoing connections go through internal/dataplane/dial", where, name, member)
			}
		})
	}
}

// eachUse calls found for every use of a member of the named package in the non-test files of the
// packages that the pattern matches.
func eachUse(t *testing.T, pattern, imported string, found func(where, member string)) {
	t.Helper()
	g := load(t)
	for _, path := range g.own(t, pattern) {
		p := g[module+"/"+path]
		if !slices.Contains(p.Imports, imported) {
			continue
		}
		for _, file := range p.GoFiles {
			usesIn(t, filepath.Join(p.Dir, file), imported, func(line int, member string) {
				found(path+"/"+file+":"+strconv.Itoa(line), member)
			})
		}
	}
}

func usesIn(t *testing.T, file, imported string, found func(line int, member string)) {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, spec := range tree.Imports {
		if spec.Path.Value == strconv.Quote(imported) {
			name = imported[strings.LastIndex(imported, "/")+1:]
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	if name == "" {
		return
	}
	ast.Inspect(tree, func(node ast.Node) bool {
		if selector, is := node.(*ast.SelectorExpr); is {
			if identifier, is := selector.X.(*ast.Ident); is && identifier.Name == name {
				found(files.Position(selector.Pos()).Line, selector.Sel.Name)
			}
		}
		return true
	})
}

// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// TestEveryReasonAndAnnotationHasACase holds that each reason of a problem is the
// outcome of a golden case, and each annotation and label is in one.
func TestEveryReasonAndAnnotationHasACase(t *testing.T) {
	manifests, goldens := readAll(t, "testdata/*.yaml"), readAll(t, "testdata/*.golden")
	for name, value := range constants(t, "../translate/fragment/fragment.go", "Reason") {
		if !strings.Contains(goldens, " "+value+"\n#   ") {
			t.Errorf("no golden case has a problem with %s = %q", name, value)
		}
	}
	for _, prefix := range []string{"Annotation", "Label"} {
		for name, value := range constants(t, "../translate/fragment/annotation.go", prefix) {
			if value != fragment.AnnotationPrefix && !strings.Contains(manifests, value) {
				t.Errorf("no golden case has %s = %q", name, value)
			}
		}
	}
}

// TestProblemsTellNoSecrets holds that what manifests mark as secret is in no
// problem.
func TestProblemsTellNoSecrets(t *testing.T) {
	if !strings.Contains(readAll(t, "testdata/*.yaml"), "s3cret") {
		t.Fatal("no manifest has a secret")
	}
	for line := range strings.Lines(readAll(t, "testdata/*.golden")) {
		if strings.HasPrefix(line, "#") && strings.Contains(line, "s3cret") {
			t.Errorf("a secret is told: %s", line)
		}
	}
}

func readAll(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// constants returns the text constants of a file whose names start with prefix.
func constants(t *testing.T, file, prefix string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, declaration := range parsed.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			s, ok := spec.(*ast.ValueSpec)
			if ok && len(s.Values) == 1 && strings.HasPrefix(s.Names[0].Name, prefix) {
				found[s.Names[0].Name] = text(t, s.Values[0])
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no constants %s...", file, prefix)
	}
	return found
}

// text returns the value of a literal, of AnnotationPrefix, or of a sum of them.
func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return value
	case *ast.Ident:
		return fragment.AnnotationPrefix
	case *ast.BinaryExpr:
		return text(t, e.X) + text(t, e.Y)
	}
	t.Fatalf("%T is no text", e)
	return ""
}

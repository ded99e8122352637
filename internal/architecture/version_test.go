// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestBuildSetsVersions: the linker drops -X main.version=… without a word where main has no such string variable.
func TestBuildSetsVersions(t *testing.T) {
	programs, err := filepath.Glob(filepath.Join("..", "..", "cmd", "*"))
	if err != nil || len(programs) < 2 {
		t.Fatalf("programs %q, error %v", programs, err)
	}
	for _, program := range programs {
		files, err := filepath.Glob(filepath.Join(program, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			found = found || declaresVersion(file)
		}
		if !found {
			t.Errorf("cmd/%s: no variable version with a constant string: the build's -X main.version has no effect", filepath.Base(program))
		}
	}
}

func declaresVersion(file *ast.File) bool {
	for _, d := range file.Decls {
		vars, ok := d.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, s := range vars.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || v.Names[0].Name != "version" || len(v.Values) != 1 {
				continue
			}
			if literal, ok := v.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				return true
			}
		}
	}
	return false
}

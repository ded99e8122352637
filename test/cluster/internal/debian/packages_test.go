// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"strings"
	"testing"
)

func TestMissing(t *testing.T) {
	packages := []Package{
		{Name: "a", Programs: []string{"a1", "a2"}},
		{Name: "b", Files: []string{"/b"}},
		{Name: "c", Programs: []string{"c"}, Files: []string{"/c"}},
	}
	for _, tt := range []struct {
		there, want string
	}{
		{"a1 a2 /b c /c", ""},
		{"a1 /b c /c", "a"},
		{"a1 a2 c", "b c"},
		{"", "a b c"},
	} {
		there := map[string]bool{}
		for part := range strings.FieldsSeq(tt.there) {
			there[part] = true
		}
		got := strings.Join(names(Missing(packages, func(part string) bool { return there[part] })), " ")
		if got != tt.want {
			t.Errorf("with %q: missing %q, want %q", tt.there, got, tt.want)
		}
	}
}

func TestInstallLine(t *testing.T) {
	want := "apt-get update && apt-get install -y --no-install-recommends a b"
	if got := InstallLine([]Package{{Name: "a"}, {Name: "b"}}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFind(t *testing.T) {
	if path, err := Find("sh"); err != nil || !strings.HasPrefix(path, "/") {
		t.Errorf("sh: %q, %v", path, err)
	}
	if OnDisk("no-such-program-anywhere") || OnDisk("/no/such/file") || !OnDisk("/") {
		t.Error("OnDisk is wrong about what is there")
	}
}

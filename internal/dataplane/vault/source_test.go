// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestFilesAreClosed holds that reading leaves no descriptor to the garbage
// collector, which seldom runs in an idle proxy.
func TestFilesAreClosed(t *testing.T) { //nolint:paralleltest // counts the process's descriptors
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	root := t.TempDir()
	write(t, filepath.Join(root, "shop/partners/token"), "secret")
	s := sources{root: root}
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	for range 50 {
		if _, err := s.read(location{backend: entity.VaultFile, scope: "shop", directory: "partners", resource: "token"}); err != nil {
			t.Fatal(err)
		}
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"DB_PASSWORD": "hunter2", "SSL_CERT": "c", "OLD_PREVIOUS": "before", "JSON": `{"user":"u","n":1,"null":null,"deep":{"a":"b"}}`,
		"ENCODED": "aHVudGVyMg==", "a.SECRET": "of a", "EMPTY": "", "LONG": strings.Repeat("x", maxSecret+1),
	}
	s := sources{lookup: func(name string) (string, bool) { v, ok := environment[name]; return v, ok }}
	for _, c := range []struct {
		name string
		at   location
		want string
		err  string
	}{
		{"dashes and case", location{resource: "db-password"}, "hunter2", ""},
		{"prefix", location{prefix: "ssl_", resource: "cert"}, "c", ""},
		{"previous", location{resource: "old", version: 2}, "before", ""},
		{"first version", location{resource: "empty", version: 1}, "", ""},
		{"key", location{resource: "json", key: "user"}, "u", ""},
		{"missing key", location{resource: "json", key: "password"}, "", `no key "password"`},
		{"number", location{resource: "json", key: "n"}, "", `not text at key "n"`},
		{"null", location{resource: "json", key: "null"}, "", `not text at key "null"`},
		{"nested", location{resource: "json", key: "deep"}, "", `not text at key "deep"`},
		{"no object", location{resource: "db-password", key: "x"}, "", "not a JSON object"},
		{"base64", location{resource: "encoded", decode: true}, "hunter2", ""},
		{"no base64", location{resource: "db-password", decode: true}, "", "not base64"},
		{"of a namespace", location{scope: "a", resource: "secret"}, "of a", ""},
		{"of another namespace", location{scope: "b", resource: "secret"}, "", "b.SECRET is not set in the proxy"},
		{"without its namespace", location{scope: "a", resource: "db-password"}, "", "a.DB_PASSWORD is not set"},
		{"through another namespace", location{scope: "b", resource: "x/../a.secret"}, "", "is not set"},
		{"unset", location{resource: "nope"}, "", "the environment variable NOPE is not set in the proxy"},
		{"no name", location{resource: "a=b"}, "", "names no environment variable"},
		{"too long", location{resource: "long"}, "", "longer than"},
	} {
		c.at.backend = entity.VaultEnv
		got, err := s.read(c.at)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the value: %v", c.name, err)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	root := filepath.Join(base, "root")
	write(t, filepath.Join(base, "outside", "key"), "outside")
	write(t, filepath.Join(root, "a", "plain"), "of a\r\n")
	write(t, filepath.Join(root, "a", "two-lines"), "one\ntwo\n\n")
	write(t, filepath.Join(root, "a", "sub", "json"), `{"user":"u"}`)
	write(t, filepath.Join(root, "b", "plain"), "of b")
	write(t, filepath.Join(root, "_cluster", "plain"), "of the cluster")
	write(t, filepath.Join(root, "a", "huge"), strings.Repeat("x", maxSecret+1))
	// A mounted Secret: files are links into a directory that a link leads to.
	write(t, filepath.Join(root, "a", "mounted", "..2026_11_22", "password"), "hunter2")
	link(t, "..2026_11_22", filepath.Join(root, "a", "mounted", "..data"))
	link(t, "..data/password", filepath.Join(root, "a", "mounted", "password"))
	link(t, "../b/plain", filepath.Join(root, "a", "to-b"))
	link(t, filepath.Join(base, "outside", "key"), filepath.Join(root, "a", "to-outside"))
	link(t, "../../outside", filepath.Join(root, "a", "dir-outside"))
	link(t, base, filepath.Join(root, "c"))
	if err := syscall.Mkfifo(filepath.Join(root, "a", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sources{root: root}
	for _, c := range []struct {
		name string
		at   location
		want string
		err  string
	}{
		{"file", location{scope: "a", resource: "plain"}, "of a", ""},
		{"one line end", location{scope: "a", resource: "two-lines"}, "one\ntwo\n", ""},
		{"another namespace's", location{scope: "b", resource: "plain"}, "of b", ""},
		{"of the cluster", location{scope: clusterScope, resource: "plain"}, "of the cluster", ""},
		{"of all, alone", location{resource: "a/plain"}, "of a", ""},
		{"directory and entry", location{scope: "a", directory: "sub", resource: "json", key: "user"}, "u", ""},
		{"mounted", location{scope: "a", resource: "mounted", key: "password"}, "hunter2", ""},
		{"missing", location{scope: "a", resource: "nope"}, "", "the file a/nope below " + root + " cannot be read: no such file or directory"},
		{"no namespace directory", location{scope: "zz", resource: "plain"}, "", "zz/plain below"},
		{"up", location{scope: "a", resource: "../b/plain"}, "", "leads out"},
		{"up and down", location{scope: "a", resource: "sub/../../b/plain"}, "", "leads out"},
		{"up by key", location{scope: "a", resource: "mounted", key: "../../b/plain"}, "", "leads out"},
		{"up by directory", location{scope: "a", directory: "../b", resource: "plain"}, "", "escapes"},
		{"absolute", location{scope: "a", resource: "/etc/passwd"}, "", "leads out"},
		{"link to a neighbour", location{scope: "a", resource: "to-b"}, "", "escapes"},
		{"link outside", location{scope: "a", resource: "to-outside"}, "", "escapes"},
		{"directory outside", location{scope: "a", resource: "dir-outside", key: "key"}, "", "cannot be read"},
		{"directory setting outside", location{scope: "a", directory: "dir-outside", resource: "key"}, "", "escapes"},
		{"namespace directory outside", location{scope: "c", resource: "outside/key"}, "", "escapes"},
		{"pipe", location{scope: "a", resource: "pipe"}, "", "not a regular file"},
		{"directory", location{scope: "a", resource: "sub"}, "", "not a regular file"},
		{"huge", location{scope: "a", resource: "huge"}, "", "longer than"},
		{"version", location{scope: "a", resource: "plain", version: 1}, "", "no versions"},
	} {
		c.at.backend = entity.VaultFile
		got, err := s.read(c.at)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	_, err := sources{root: filepath.Join(base, "nothing")}.read(location{backend: entity.VaultFile, resource: "x"})
	if err == nil || !strings.Contains(err.Error(), "mount it, or set KONG_VAULT_FILE_ROOT") {
		t.Errorf("no root: %v", err)
	}
}

// Whatever a reference says, what is read lies in the namespace's directory.
func FuzzFiles(f *testing.F) {
	base := f.TempDir()
	root := filepath.Join(base, "root")
	for path, text := range map[string]string{"root/a/inside": "inside", "root/b/x": "outside", "x": "outside"} {
		path = filepath.Join(base, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	f.Add("inside", "", "")
	f.Add("../b/x", "", "")
	f.Add("x", "../b", "")
	f.Add("..", "", "b/x")
	f.Add(".", "./..", "../../x")
	f.Fuzz(func(t *testing.T, resource, directory, key string) {
		got, err := sources{root: root}.read(location{backend: entity.VaultFile, scope: "a", resource: resource, directory: directory, key: key})
		if err == nil && got != "inside" {
			t.Errorf("%q %q %q: %q", directory, resource, key, got)
		}
	})
}

func TestScopeOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tags string
		want scope
		err  string
	}{
		{"k8s-name:p k8s-namespace:a k8s-kind:KongPlugin managed", "a", ""},
		{"k8s-namespace:a k8s-kind:KongPlugin k8s-namespace:a", "a", ""},
		{"k8s-name:p k8s-kind:KongClusterPlugin", clusterScope, ""},
		{"k8s-namespace:a k8s-kind:KongPlugin k8s-namespace:b", "", `the namespaces "a" and "b"; remove the tag`},
		{"k8s-namespace:_cluster k8s-kind:KongPlugin", "", "names no namespace"},
		{"k8s-namespace:../b k8s-kind:KongPlugin", "", "names no namespace"},
		{"k8s-namespace:a.b k8s-kind:KongPlugin", "", "names no namespace"},
		{"k8s-namespace: k8s-kind:KongPlugin", "", "names no namespace"},
		{"mine", "", "do not name the object"},
		{"", "", "do not name the object"},
	} {
		got, err := scopeOf(strings.Fields(c.tags))
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.tags, got, err)
		}
	}
}

func TestReadSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, value, err string
	}{
		{envPrefix, "SECURE_", ""},
		{fileRoot, "/secrets", ""},
		{fileRoot, "secrets", "not an absolute path"},
		{interval, "5", ""},
		{interval, "0", "not a number of seconds from 1"},
		{interval, "NaN", "not a number of seconds from 1"},
		{interval, "soon", "not a number of seconds"},
		{isolation, "off", ""},
		{isolation, "maybe", "neither on nor off"},
	} {
		s, err := ReadSettings(func(name string) (string, bool) { return c.value, name == c.name }, true)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s=%s: %+v, %v", c.name, c.value, s, err)
		}
		if !ReadsSetting(c.name) {
			t.Errorf("%s counts as unread", c.name)
		}
		if err == nil && s.Isolation != (c.value != "off") {
			t.Errorf("%s=%s: isolation %v", c.name, c.value, s.Isolation)
		}
	}
	if ReadsSetting("KONG_VAULT_HCV_TOKEN") {
		t.Error("a setting of a vault that there is not counts as read")
	}
}

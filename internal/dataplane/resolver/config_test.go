// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSystemConfig(t *testing.T) {
	dir := t.TempDir()
	resolv, hosts := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts")
	write(t, resolv, []byte("search ns.svc.test svc.test\nnameserver 10.0.0.10\nnameserver 2001:db8::53\noptions ndots:5 timeout:3 attempts:4\n"))
	write(t, hosts, []byte("# local\n127.0.0.1 localhost Box # me\n::1 localhost\nbroken line\n\n"))
	c, err := SystemConfig(resolv, hosts)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Servers, c.Search, c.Ndots, c.Attempts, c.Timeout, c.Hosts)
	want := "[10.0.0.10:53 [2001:db8::53]:53] [ns.svc.test svc.test] 5 4 3s map[box:[127.0.0.1] localhost:[127.0.0.1 ::1]]"
	if got != want {
		t.Errorf("%s", got)
	}
	if c, err := SystemConfig(filepath.Join(dir, "none"), filepath.Join(dir, "none")); err != nil || len(c.Servers) != 0 {
		t.Errorf("absent files: %v %v", c, err)
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCandidates(t *testing.T) {
	c := Config{Search: []string{"a.test", "b.test."}, Ndots: 2}
	for name, want := range map[string]string{
		"x":     "x.a.test. x.b.test. x.",
		"x.y":   "x.y.a.test. x.y.b.test. x.y.",
		"x.y.Z": "x.y.z. x.y.z.a.test. x.y.z.b.test.",
		"X.":    "x.",
	} {
		if got := strings.Join(c.candidates(name), " "); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add("127.0.0.1 a b # c\n")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseHosts(strings.NewReader(s))
		for name, addrs := range m {
			if err == nil && (name != strings.ToLower(name) || len(addrs) == 0) {
				t.Errorf("%q: %v", name, addrs)
			}
		}
	})
}

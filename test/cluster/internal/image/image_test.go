// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func sample(t *testing.T, content string) (string, Spec) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := Tree{"/etc/passwd": {Data: []byte("root:x:0:0::/:\n"), Mode: 0o644}, "/bin": {Link: "usr/bin"}, "/tmp": {Mode: os.ModeSticky | 0o777}}
	if err := tree.AddFile(path, "/usr/bin/program"); err != nil {
		t.Fatal(err)
	}
	return path, Spec{Ref: "http-echo:latest", User: "65532", Entrypoint: []string{"/usr/bin/program"}, Env: []string{"A=b"}, Layers: []Tree{tree}}
}

func assemble(t *testing.T, spec Spec) *Image {
	t.Helper()
	img, err := Assemble(spec)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestDigestNamesContent(t *testing.T) {
	path, spec := sample(t, "one")
	first := assemble(t, spec)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if again := assemble(t, spec); again.Digest != first.Digest {
		t.Error("the digest depends on a file's time")
	}
	_, other := sample(t, "two")
	if assemble(t, other).Digest == first.Digest {
		t.Error("other content, same digest")
	}
	spec.User = "1"
	if assemble(t, spec).Digest == first.Digest {
		t.Error("other user, same digest")
	}
}

func TestRef(t *testing.T) {
	for in, want := range map[string]string{
		"http-echo:latest":           "docker.io/library/http-echo:latest",
		"docker.io/istio/pilot:1.2":  "docker.io/istio/pilot:1.2",
		"registry.k8s.io/pause:3.10": "registry.k8s.io/pause:3.10",
		"example.com/kong/manager":   "example.com/kong/manager:latest",
		"ghcr.io/a/b:v1.2.3":         "ghcr.io/a/b:v1.2.3",
	} {
		img := assemble(t, Spec{Ref: in, Layers: []Tree{{"/x": {Data: []byte{}, Mode: 0o644}}}})
		if img.Ref() != want {
			t.Errorf("%s became %s, want %s", in, img.Ref(), want)
		}
	}
	if _, err := Assemble(Spec{Ref: "UPPER:x y"}); err == nil || !strings.Contains(err.Error(), "UPPER") {
		t.Errorf("bad name: error %v", err)
	}
}

func TestArchiveRoundTrip(t *testing.T) {
	_, spec := sample(t, "one")
	img := assemble(t, spec)
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := img.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	back, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Digest != img.Digest || back.Ref() != img.Ref() {
		t.Errorf("read back %s %s, want %s %s", back.Ref(), back.Digest, img.Ref(), img.Digest)
	}
	config, err := back.image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532" || !slices.Contains(config.Config.Env, "A=b") || config.Config.Entrypoint[0] != "/usr/bin/program" {
		t.Errorf("configuration %+v", config.Config)
	}
	if _, err := Open("image_test.go"); err == nil {
		t.Error("a file that is no archive was accepted")
	}
}

func TestLayerContent(t *testing.T) {
	_, spec := sample(t, "one")
	var out bytes.Buffer
	if err := spec.Layers[0].write(&out); err != nil {
		t.Fatal(err)
	}
	reader := tar.NewReader(&out)
	var got []string
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, header.Name)
		if header.Name == "tmp/" && header.Mode != 0o1777 {
			t.Errorf("tmp has mode %o", header.Mode)
		}
		if header.Name == "bin" && (header.Typeflag != tar.TypeSymlink || header.Linkname != "usr/bin") {
			t.Errorf("bin is %c to %q", header.Typeflag, header.Linkname)
		}
	}
	want := []string{"bin", "etc/", "etc/passwd", "tmp/", "usr/", "usr/bin/", "usr/bin/program"}
	if !slices.Equal(got, want) {
		t.Errorf("layer holds %q, want %q", got, want)
	}
}

func TestAddDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "sub", "link")); err != nil {
		t.Fatal(err)
	}
	tree := Tree{}
	if err := tree.Add(dir, "/data"); err != nil {
		t.Fatal(err)
	}
	if tree["/data/sub/link"].Link != "file" || tree["/data/sub/file"].Mode&0o444 != 0o444 || tree["/data/sub"].Mode&0o555 != 0o555 {
		t.Errorf("tree %+v", tree)
	}
}

func TestAddProgramBringsLibraries(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	tree := Tree{}
	if err := tree.AddProgram(shell, "/bin/sh"); err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, filepath.Base(name))
	}
	for _, want := range []string{"libc.so.6", "ld-linux"} {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, want) }) {
			t.Errorf("%s is missing in %q", want, names)
		}
	}
}

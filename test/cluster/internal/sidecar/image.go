// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/debian"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/image"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// User is the user id that Istio's rules exempt from redirection.
const User = "1337"

const (
	bootstrapInModule = "tools/packaging/common/envoy_bootstrap.json"
	bootstrapInImage  = "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
)

// Parts are the files that the image is made of.
type Parts struct {
	// Envoy, Agent and Bootstrap are paths on disk.
	Envoy, Agent, Bootstrap string
}

// Spec describes the sidecar image.
func Spec(parts Parts) (image.Spec, error) {
	system, err := systemLayer()
	if err != nil {
		return image.Spec{}, err
	}
	envoy, agent := image.Tree{}, image.Tree{}
	// Envoy's libraries are the same C library that the system layer holds.
	if err := envoy.AddProgram(parts.Envoy, "/usr/local/bin/envoy"); err != nil {
		return image.Spec{}, err
	}
	mergeUsr(envoy)
	if err := agent.AddFile(parts.Agent, "/usr/local/bin/pilot-agent"); err != nil {
		return image.Spec{}, err
	}
	if err := agent.AddFile(parts.Bootstrap, bootstrapInImage); err != nil {
		return image.Spec{}, err
	}
	return image.Spec{
		Ref: layout.ProxyImage, User: User,
		Entrypoint: []string{"/usr/local/bin/pilot-agent"},
		Layers:     []image.Tree{system, envoy, agent},
	}, nil
}

// systemLayer holds what istio-init calls to redirect traffic, and the users.
func systemLayer() (image.Tree, error) {
	tree := image.Tree{
		"/etc/passwd": {Data: []byte("root:x:0:0:root:/root:/sbin/nologin\nistio-proxy:x:1337:1337:istio-proxy:/nonexistent:/sbin/nologin\n"), Mode: 0o644},
		"/etc/group":  {Data: []byte("root:x:0:\nistio-proxy:x:1337:\n"), Mode: 0o644},
		"/tmp":        {Mode: fs.ModeSticky | 0o777},
		"/run":        {Mode: 0o755},
		"/var/run":    {Link: "/run"},
		// Debian merges these; programs are found by either name.
		"/bin":   {Link: "usr/bin"},
		"/sbin":  {Link: "usr/sbin"},
		"/lib":   {Link: "usr/lib"},
		"/lib64": {Link: "usr/lib64"},
	}
	for _, program := range []string{"xtables-nft-multi", "xtables-legacy-multi", "nft", "ip"} {
		path, err := debian.Find(program)
		if err != nil {
			return nil, err
		}
		if err := tree.AddProgram(path, "/usr/sbin/"+program); err != nil {
			return nil, err
		}
	}
	linkIPTables(tree)
	return mergeUsr(tree), addExtensions(tree)
}

// linkIPTables gives the two programs all the names by which they are called.
func linkIPTables(tree image.Tree) {
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, action := range []string{"", "-save", "-restore"} {
			for variant, program := range map[string]string{
				"": "xtables-nft-multi", "-nft": "xtables-nft-multi", "-legacy": "xtables-legacy-multi",
			} {
				tree["/usr/sbin/"+family+variant+action] = image.Entry{Link: program}
			}
		}
	}
}

// addExtensions adds the matches and targets that iptables loads by itself.
func addExtensions(tree image.Tree) error {
	extensions, err := filepath.Glob("/usr/lib/*/xtables/*.so")
	if err != nil {
		return err
	}
	if len(extensions) == 0 {
		return fmt.Errorf("no iptables extensions in /usr/lib/*/xtables: install the Debian package iptables")
	}
	for _, path := range extensions {
		if err := tree.AddProgram(path, path); err != nil {
			return err
		}
	}
	mergeUsr(tree)
	return nil
}

// mergeUsr moves what was found below /lib and /lib64 to /usr, since those are
// links in the image. It returns the same tree.
func mergeUsr(tree image.Tree) image.Tree {
	for path, entry := range tree {
		for _, dir := range []string{"/lib/", "/lib64/", "/bin/", "/sbin/"} {
			if len(path) > len(dir) && path[:len(dir)] == dir {
				delete(tree, path)
				tree["/usr"+path] = entry
			}
		}
	}
	return tree
}

// Bootstrap returns Envoy's bootstrap template, copied from Istio's module into
// the cache, since the module itself may be cleaned away.
func Bootstrap(ctx context.Context, cacheDir, toolsDir string) (string, error) {
	path := filepath.Join(cacheDir, "istio", layout.IstioVersion, filepath.Base(bootstrapInModule))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// The module cannot be asked for by name, because no version information is
	// served for it; a package of it can.
	const pkg = "istio.io/istio/pilot/cmd/pilot-agent"
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", pkg)
	cmd.Dir = filepath.Join(toolsDir, "istio")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", pkg, err)
	}
	root := filepath.Join(string(out[:max(len(out)-1, 0)]), "..", "..", "..")
	data, err := os.ReadFile(filepath.Join(root, bootstrapInModule))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, pki.WriteFile(path, data, 0o644)
}

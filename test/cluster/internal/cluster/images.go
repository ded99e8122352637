// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/image"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/sidecar"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/toolchain"
)

// nobody is the user id of images that need no rights.
const nobody = "65532"

// sources are the programs of this module that become images.
var sources = []string{"pause", "echo", "sink"}

// buildSources compiles the programs below images/ and returns their directory.
func (c *Cluster) buildSources(ctx context.Context) (string, error) {
	dir := filepath.Join(c.CacheDir, "images", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	for _, source := range sources {
		args = append(args, "./images/"+source)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.ModuleDir()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &progress.Failure{Part: "build of test/cluster/images", Err: fmt.Errorf("%w\n%s", err, out)}
	}
	return dir, nil
}

// single is an image with one static program.
func single(ref, user, program, target string, args ...string) (image.Spec, error) {
	tree := image.Tree{}
	err := tree.AddFile(program, target)
	return image.Spec{Ref: ref, User: user, Entrypoint: append([]string{target}, args...), Layers: []image.Tree{tree}}, err
}

// assemble makes the cluster's own images from the built binaries.
func (c *Cluster) assemble(ctx context.Context, tools toolchain.Paths, withIstio bool) ([]*image.Image, error) {
	dir, err := c.buildSources(ctx)
	if err != nil {
		return nil, err
	}
	type part struct{ ref, user, program, target string }
	parts := []part{
		{layout.PauseImage, "65535", filepath.Join(dir, "pause"), "/pause"},
		{layout.CoreDNSImage, "", tools["coredns"], "/coredns"},
		{layout.EchoImage, nobody, filepath.Join(dir, "echo"), "/http-echo"},
		{layout.SinkImage, nobody, filepath.Join(dir, "sink"), "/http-sink"},
	}
	if withIstio {
		parts = append(parts, part{layout.PilotImage, sidecar.User, tools["pilot-discovery"], "/usr/local/bin/pilot-discovery"})
	}
	var images []*image.Image
	for _, p := range parts {
		spec, err := single(p.ref, p.user, p.program, p.target)
		if err != nil {
			return nil, err
		}
		img, err := image.Assemble(spec)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
}

// assembleSidecar makes the sidecar image, from an Envoy that may not be had.
func (c *Cluster) assembleSidecar(ctx context.Context, agent string) (*image.Image, error) {
	if err := os.MkdirAll(filepath.Join(c.CacheDir, "log"), 0o755); err != nil {
		return nil, err
	}
	envoy, err := sidecar.Envoy(ctx, c.CacheDir, filepath.Join(c.CacheDir, "log", "envoy-download.log"))
	if err != nil {
		return nil, err
	}
	bootstrap, err := sidecar.Bootstrap(ctx, c.CacheDir, c.ToolsDir())
	if err != nil {
		return nil, err
	}
	spec, err := sidecar.Spec(sidecar.Parts{Envoy: envoy, Agent: agent, Bootstrap: bootstrap})
	if err != nil {
		return nil, err
	}
	return image.Assemble(spec)
}

// loaded remembers the content of the node's images, by name.
type loaded map[string]string

// Load imports images into the running node, except those whose very content is
// there already. It returns how many were imported.
func (c *Cluster) Load(ctx context.Context, images []*image.Image) (int, error) {
	client, settings, err := c.connect()
	if err != nil {
		return 0, err
	}
	known := loaded{}
	if err := readJSON(c.Images(), &known); err != nil {
		return 0, err
	}
	present, err := c.imageNames(ctx, client, settings)
	if err != nil {
		return 0, err
	}
	imported := 0
	for _, img := range images {
		if known[img.Ref()] == img.Digest && slices.Contains(present, img.Ref()) {
			continue
		}
		if err := importImage(ctx, client, settings, img); err != nil {
			return imported, &progress.Failure{Part: "import of image " + img.Ref(), Log: c.Log("containerd"), Err: err}
		}
		imported++
		known[img.Ref()] = img.Digest
		if err := writeJSON(c.Images(), known); err != nil {
			return imported, err
		}
	}
	return imported, nil
}

// ctr is the command of containerd's own client against the node's containerd.
func ctr(ctx context.Context, client *node.Client, settings Settings, args ...string) *exec.Cmd {
	base := []string{"--address", client.HostPath(node.ContainerdSocket), "--namespace", "k8s.io"}
	return exec.CommandContext(ctx, settings.Tools["ctr"], append(base, args...)...)
}

func importImage(ctx context.Context, client *node.Client, settings Settings, img *image.Image) error {
	reader, writer := io.Pipe()
	cmd := ctr(ctx, client, settings, "images", "import", "-")
	cmd.Stdin = reader
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	go func() { writer.CloseWithError(img.WriteTar(writer)) }()
	err := cmd.Run()
	// Unblock the writer if ctr ended before it read everything.
	_ = reader.CloseWithError(errors.New("import ended"))
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// imageNames lists what the node's containerd holds under a name.
func (c *Cluster) imageNames(ctx context.Context, client *node.Client, settings Settings) ([]string, error) {
	out, err := ctr(ctx, client, settings, "images", "list", "--quiet").Output()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var names []string
	for name := range strings.FieldsSeq(string(out)) {
		// containerd also lists each image under the digest of its configuration.
		if !strings.HasPrefix(name, "sha256:") {
			names = append(names, name)
		}
	}
	return names, nil
}

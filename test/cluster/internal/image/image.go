// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// DefaultPath is the PATH of an image that sets none.
const DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Spec describes an image.
type Spec struct {
	// Ref is the complete name, as manifests use it.
	Ref string
	// User is a numeric user id, so that runAsNonRoot can be checked; empty is root.
	User string
	// Entrypoint is the program with its first arguments.
	Entrypoint []string
	// Env holds K=V pairs besides PATH.
	Env []string
	// Layers from the bottom up; what changes rarely goes first.
	Layers []Tree
}

// Image is an assembled image.
type Image struct {
	tag   name.Tag
	image v1.Image
	// Digest is that of the configuration and names the whole content.
	Digest string
}

// Ref is the complete name of the image.
func (i *Image) Ref() string { return i.tag.String() }

// newTag completes a name as container runtimes do: http-echo:latest becomes
// docker.io/library/http-echo:latest.
func newTag(ref string) (name.Tag, error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return name.Tag{}, fmt.Errorf("image name %q: %w", ref, err)
	}
	// The library has another name for Docker's registry than everybody else.
	return name.NewTag(strings.TrimPrefix(tag.Name(), "index."))
}

// Assemble reads the files and makes the image.
func Assemble(spec Spec) (*Image, error) {
	tag, err := newTag(spec.Ref)
	if err != nil {
		return nil, err
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: runtime.GOARCH, OS: "linux",
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{User: spec.User, Entrypoint: spec.Entrypoint, Env: append([]string{DefaultPath}, spec.Env...)},
	})
	if err != nil {
		return nil, err
	}
	for _, tree := range spec.Layers {
		layer, err := newLayer(tree)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", spec.Ref, err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, fmt.Errorf("image %s: %w", spec.Ref, err)
		}
	}
	digest, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	return &Image{tag: tag, image: img, Digest: digest.String()}, nil
}

// WriteTar writes the image as a docker-archive.
func (i *Image) WriteTar(w io.Writer) error {
	return tarball.Write(i.tag, i.image, w)
}

// WriteFile writes the image as a docker-archive file, in one step.
func (i *Image) WriteFile(path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := i.WriteTar(tmp); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Open reads a docker-archive with one image.
func Open(path string) (*Image, error) {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		return nil, fmt.Errorf("%s: not a docker-archive: %w", path, err)
	}
	if len(manifest) != 1 || len(manifest[0].RepoTags) != 1 {
		return nil, fmt.Errorf("%s: want one image with one name", path)
	}
	tag, err := newTag(manifest[0].RepoTags[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	digest, err := img.ConfigName()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Image{tag: tag, image: img, Digest: digest.String()}, nil
}

// layer is an uncompressed layer that is written anew whenever it is read:
// compressing would only cost time, and large files need not be in memory.
type layer struct {
	tree Tree
	hash v1.Hash
	size int64
}

func newLayer(tree Tree) (*layer, error) {
	h := sha256.New()
	counter := &countingWriter{to: h}
	if err := tree.write(counter); err != nil {
		return nil, err
	}
	return &layer{
		tree: tree, size: counter.n,
		hash: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))},
	}, nil
}

func (l *layer) Digest() (v1.Hash, error)            { return l.hash, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.hash, nil }
func (l *layer) Size() (int64, error)                { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.DockerUncompressedLayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return l.Uncompressed() }
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(l.tree.write(w)) }()
	return r, nil
}

type countingWriter struct {
	to io.Writer
	n  int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

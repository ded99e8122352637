// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/image"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

// Set adds one value.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func runImage(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	if len(args) == 0 || args[0] != "build" {
		return usagef("image: the only thing to do is `image build`")
	}
	var entrypoint, env list
	ref := fs.String("ref", "", "complete name of the image")
	user := fs.String("user", "", "numeric user id (default: root)")
	output := fs.String("output", "", "docker-archive to write (default: below the cache)")
	load := fs.Bool("load", false, "import it into the cluster as well")
	fs.Var(&entrypoint, "entrypoint", "program to start; repeat for its first arguments")
	fs.Var(&env, "env", "K=V; may be repeated")
	c, err := a.parsed(fs, args[1:])
	if err != nil {
		return err
	}
	if *ref == "" || fs.NArg() == 0 {
		return usagef("image build: want --ref and at least one SRC:DST")
	}
	spec := image.Spec{Ref: *ref, User: *user, Entrypoint: entrypoint, Env: env}
	for _, arg := range fs.Args() {
		source, target, ok := strings.Cut(arg, ":")
		if !ok || !strings.HasPrefix(target, "/") {
			return usagef("image build: %q: want SRC:DST with an absolute DST", arg)
		}
		tree := image.Tree{}
		if err := tree.Add(source, target); err != nil {
			return err
		}
		spec.Layers = append(spec.Layers, tree)
	}
	img, err := image.Assemble(spec)
	if err != nil {
		return err
	}
	if *output == "" {
		*output = filepath.Join(c.CacheDir, "images", strings.NewReplacer("/", "_", ":", "_").Replace(img.Ref())+".tar")
	}
	if err := os.MkdirAll(filepath.Dir(*output), 0o755); err != nil {
		return err
	}
	if err := img.WriteFile(*output); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, img.Ref(), img.Digest)
	if *load {
		_, err = c.Load(ctx, []*image.Image{img})
	}
	return err
}

func runLoadImage(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return usagef("load-image: name at least one docker-archive")
	}
	for _, path := range fs.Args() {
		img, err := image.Open(path)
		if err != nil {
			return err
		}
		imported, err := c.Load(ctx, []*image.Image{img})
		if err != nil {
			return err
		}
		verdict := "was there already"
		if imported > 0 {
			verdict = "imported"
		}
		fmt.Fprintf(a.stderr, "%s: %s\n", img.Ref(), verdict)
	}
	return nil
}

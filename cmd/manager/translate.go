// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/offline"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const translateUsage = `Usage: manager translate [flags] FILE...

Prints, as a Kong declarative file, what a gateway would run if the cluster held
exactly the objects in the files; "-" reads standard input. Problems go to
standard error. Exit 0: no problems; 1: problems; 2: nothing was translated.

`

// runTranslate is the subcommand translate: no cluster is needed.
func runTranslate(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	settings, files, err := translateOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var objects []client.Object
	for _, name := range files {
		if err != nil {
			break
		}
		var list []client.Object
		list, err = readManifest(name, stdin, stderr)
		objects = append(objects, list...)
	}
	var out []byte
	var result *offline.Result
	if err == nil {
		result = offline.Translate(objects, settings, schemas.All())
		if out, err = entity.Encode(result.Set); err == nil {
			_, err = stdout.Write(out)
		}
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	for _, p := range result.Problems {
		at := p.Object.String()
		if p.Field != "" {
			at += ": " + p.Field
		}
		_, _ = fmt.Fprintf(stderr, "%s: %s: %s (%s)\n", at, p.Reason, p.Message, p.Fix)
	}
	if len(result.Problems) > 0 {
		return 1
	}
	return 0
}

func translateOptions(args []string, stderr io.Writer) (s fragment.Settings, files []string, err error) {
	mode := ""
	fs := flag.NewFlagSet("translate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprint(stderr, translateUsage)
		fs.PrintDefaults()
	}
	fs.StringVar(&s.Class, "ingress-class", "kong", "class that the gateway serves")
	fs.StringVar(&mode, "mesh-mode", "Sidecar", "Sidecar, Ambient or None: how backends are dialled")
	fs.StringVar(&s.ClusterDomain, "cluster-domain", "cluster.local", "the cluster's DNS domain")
	fs.BoolVar(&s.RunWithoutBrokenPlugins, "run-without-broken-plugins", false, "serve routes without plugins that have no usable version")
	if err := fs.Parse(args); err != nil {
		return s, nil, err
	}
	switch strings.ToLower(mode) {
	case "sidecar", "ambient":
		s.Mesh = true
	case "none":
	default:
		return s, nil, fmt.Errorf("--mesh-mode %q: use Sidecar, Ambient or None", mode)
	}
	if fs.NArg() == 0 {
		return s, nil, errors.New(`no files: name at least one, or "-" for standard input`)
	}
	return s, fs.Args(), nil
}

// readManifest reads the objects of a file; kinds that play no part are named.
func readManifest(name string, stdin io.Reader, stderr io.Writer) ([]client.Object, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name) // #nosec G304 -- the file that the user named
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	objects, skipped, err := offline.Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, kind := range skipped {
		_, _ = fmt.Fprintf(stderr, "%s: kind %s plays no part in translation\n", name, kind)
	}
	return objects, nil
}

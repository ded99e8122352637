// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/offline"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const translateUsage = `Usage: manager translate [flags] -f FILE|DIR|- ...

Prints, as a Kong declarative file, what a gateway would run if the cluster held
exactly the objects in the files: directories are read with all *.yaml, *.yml
and *.json below them, "-" is standard input, and a later object replaces an
earlier one of the same name. A Service without an address is reached by its
DNS name. Problems go to standard error, each on a line. Exit 0: everything of
the class is served as asked; 1: something is not; 2: wrong usage or files,
nothing printed. Objects that name no class where one is needed, and kinds of
Kong's or of the Gateway API that are not read, are told there, too; they do not
count as problems.

`

// translateOptions are the flags of the subcommand translate.
type translateOptions struct {
	settings fragment.Settings
	// paths are files, directories and "-", in the order given.
	paths   []string
	verbose bool
}

// runTranslate is the subcommand translate: no cluster is needed.
func runTranslate(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseTranslateOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var objects []client.Object
	if err == nil {
		objects, err = readManifests(o, stdin, stderr)
	}
	code := 2
	if err == nil {
		for _, object := range offline.Classless(objects) {
			_, _ = fmt.Fprintln(stderr, classlessLine(object, o.settings.Class))
		}
		code, err = printResult(offline.Translate(offline.Complete(objects), o.settings, schemas.All()), stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	return code
}

// printResult prints what a translation came to and returns the exit code. What
// the declarative file's own checks find is a problem as well: proxies would not
// run the file as it is.
func printResult(result *offline.Result, stdout, stderr io.Writer) (code int, err error) {
	out, err := entity.Encode(result.Set)
	if err == nil {
		_, err = stdout.Write(out)
	}
	if err != nil {
		return 2, err
	}
	for _, p := range result.Problems {
		_, _ = fmt.Fprintln(stderr, problemLine(p))
		code = 1
	}
	for _, p := range entity.CheckSet(result.Set, schemas.All()) {
		_, _ = fmt.Fprintln(stderr, oneLine("the outcome is not a valid declarative file: "+p.Error()))
		code = 1
	}
	return code, nil
}

// problemLine is "Kind namespace/name field: reason" on one line, whatever the
// reason quotes.
func problemLine(p fragment.Problem) string {
	at := strings.TrimSpace(p.Object.String() + " " + p.Field)
	return oneLine(fmt.Sprintf("%s: %s: %s (%s)", at, p.Reason, p.Message, p.Fix))
}

// classlessLine tells of an object that names no class. It is not a problem: it
// may be meant for nobody.
func classlessLine(o client.Object, class string) string {
	kind, at := o.GetObjectKind().GroupVersionKind().Kind, strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
	return fmt.Sprintf("%s %s: names no ingress class and is left out (add the annotation %s: %s)", kind, at, fragment.AnnotationClass, class)
}

// skippedLine tells of an object that is not read, or not in its version.
func skippedLine(kind metav1.TypeMeta) string {
	line := fmt.Sprintf("kind %s of %s plays no part in translation", kind.Kind, kind.APIVersion)
	if version := offline.ReadAs(kind.Kind); version != "" {
		line += "; that of " + version + " does"
	}
	return line
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func parseTranslateOptions(args []string, stderr io.Writer) (o translateOptions, err error) {
	flags := flag.NewFlagSet("translate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, translateUsage)
		flags.PrintDefaults()
	}
	flags.Func("f", "`FILE`, directory or - to read; may be given several times", func(path string) error {
		o.paths = append(o.paths, path)
		return nil
	})
	flags.BoolVar(&o.verbose, "v", false, "mention all kinds that play no part in translation")
	flags.StringVar(&o.settings.Class, "class", "kong", "ingress class that the gateway serves")
	mesh := flags.String("mesh", "off", "on: backends are dialled as from inside the mesh, by the Service's address; off: by their endpoints")
	flags.StringVar(&o.settings.ClusterDomain, "cluster-domain", "cluster.local", "the cluster's DNS domain")
	flags.BoolVar(&o.settings.RunWithoutBrokenPlugins, "run-without-broken-plugins", false, "serve routes without plugins that have no usable version")
	// Files may stand between flags: kubectl's users write them in any order.
	for rest := args; ; {
		if err := flags.Parse(rest); err != nil {
			return o, err
		}
		if flags.NArg() == 0 {
			break
		}
		o.paths, rest = append(o.paths, flags.Arg(0)), flags.Args()[1:]
	}
	if *mesh != "on" && *mesh != "off" {
		return o, fmt.Errorf("--mesh %q: use on or off", *mesh)
	}
	o.settings.Mesh = *mesh == "on"
	if len(o.paths) == 0 {
		return o, errors.New(`no files: name at least one with -f, a directory, or "-" for standard input`)
	}
	return o, nil
}

// readManifests reads the objects of all files in order.
func readManifests(o translateOptions, stdin io.Reader, stderr io.Writer) ([]client.Object, error) {
	var objects []client.Object
	for _, path := range o.paths {
		files, err := manifestFiles(path)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			read, err := readManifest(name, stdin)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			objects = append(objects, read.Objects...)
			for _, remark := range read.Remarks {
				_, _ = fmt.Fprintf(stderr, "%s: %s (kubectl would refuse it)\n", name, oneLine(remark))
			}
			for _, kind := range read.Skipped {
				if o.verbose || offline.Configures(kind) {
					_, _ = fmt.Fprintf(stderr, "%s: %s\n", name, skippedLine(kind))
				}
			}
		}
	}
	return objects, nil
}

// manifestFiles returns the path itself, or the manifests below a directory in
// the order of their names.
func manifestFiles(path string) (files []string, err error) {
	if path == "-" {
		return []string{path}, nil
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}, err
	}
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			files = append(files, name)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no *.yaml, *.yml or *.json in this directory", path)
	}
	slices.Sort(files)
	return files, err
}

func readManifest(name string, stdin io.Reader) (offline.Manifests, error) {
	if name == "-" {
		return offline.Read(stdin)
	}
	f, err := os.Open(name) // #nosec G304 -- the file that the user named
	if err != nil {
		return offline.Manifests{}, err
	}
	defer func() { _ = f.Close() }()
	return offline.Read(f)
}

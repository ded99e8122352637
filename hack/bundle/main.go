// SPDX-License-Identifier: Apache-2.0

// Command bundle reads what kustomize makes of config/manifests and writes the bundle by which the
// Operator Lifecycle Manager installs the operator (format registry+v1): bundle/manifests,
// bundle/metadata, bundle/tests/scorecard and bundle.Dockerfile. The same input gives the same bytes.
//
//	kustomize build config/manifests | bundle -version 0.1.0 -image name=reference ... -output .
//
// It fails rather than leave something out: an object of a kind that it does not know, a permission
// whose role is missing, a field of the API without a descriptor. What OLM cannot carry is a list in
// the code (notCarried), and is printed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// settings are the command's flags.
type settings struct {
	version string
	channel string
	output  string
	icon    string
	// images maps the name of an image in config/ to the reference that the bundle names.
	images map[string]string
}

func main() {
	s := settings{images: map[string]string{}}
	flag.StringVar(&s.version, "version", "", "semantic version of the bundle, such as 0.1.0")
	flag.StringVar(&s.channel, "channel", "candidate", "the channel that offers this version")
	flag.StringVar(&s.output, "output", ".", "directory to write bundle/ and bundle.Dockerfile into")
	flag.StringVar(&s.icon, "icon", "", "SVG file with the icon that consoles show")
	flag.Func("image", "name=reference: the reference of an image that config/ names; repeat for each", func(value string) error {
		name, reference, found := strings.Cut(value, "=")
		if !found || name == "" || reference == "" {
			return fmt.Errorf("%q is not name=reference", value)
		}
		s.images[name] = reference
		return nil
	})
	flag.Parse()
	if err := run(s, os.Stdin, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

// semantic is what a CSV's version and the names made of it allow: semver without build metadata.
var semantic = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func run(s settings, input io.Reader, notes io.Writer) error {
	if !semantic.MatchString(s.version) {
		return fmt.Errorf("-version %q is not a semantic version such as 0.1.0", s.version)
	}
	icon, err := os.ReadFile(s.icon)
	if err != nil {
		return fmt.Errorf("-icon: %w", err)
	}
	objects, err := decode(input)
	if err != nil {
		return fmt.Errorf("standard input is not what kustomize build config/manifests prints: %w", err)
	}
	files, left, err := generate(s, icon, objects)
	if err != nil {
		return err
	}
	for _, note := range left {
		if _, err := fmt.Fprintln(notes, "not in the bundle:", note); err != nil {
			return err
		}
	}
	return write(s.output, files)
}

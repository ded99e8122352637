// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const configUsage = `usage: proxy config check FILE
       proxy config diff FILE FILE

check reads a declarative file as the proxy does; diff prints what the second
file changes, a line for each entity. Exit 0: valid, or no difference; 1: not
valid, or different; 2: wrong usage.
`

// configCommand checks or compares declarative files.
func configCommand(args []string, out, errs io.Writer) error {
	switch {
	case slices.ContainsFunc(args, isHelp):
		_, err := fmt.Fprint(out, configUsage)
		return err
	case len(args) == 2 && args[0] == "check":
		if _, err := readDeclarative(args[1], errs); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%s: valid\n", args[1])
		return err
	case len(args) == 3 && args[0] == "diff":
		return diffDeclarative(args[1], args[2], out, errs)
	}
	_, _ = fmt.Fprint(errs, configUsage)
	return usageError{errReported}
}

func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// readDeclarative decodes a file and writes each problem of it on a line.
func readDeclarative(path string, errs io.Writer) (*entity.Set, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("declarative config: %w", err)
	}
	return decodeDeclarative(path, data, errs)
}

func decode(data []byte) (*entity.Set, []entity.Problem) { return entity.Decode(data, schemas.All()) }

func decodeDeclarative(path string, data []byte, errs io.Writer) (*entity.Set, error) {
	set, problems := decode(data)
	if len(problems) == 0 {
		return set, nil
	}
	for _, p := range problems {
		_, _ = fmt.Fprintf(errs, "%s: %s\n", path, p.Error())
	}
	_, _ = fmt.Fprintf(errs, "%s: refused with %d problem(s)\n", path, len(problems))
	return nil, errReported
}

func diffDeclarative(a, b string, out, errs io.Writer) error {
	before, err := readDeclarative(a, errs)
	if err != nil {
		return err
	}
	after, err := readDeclarative(b, errs)
	if err != nil {
		return err
	}
	changes := entity.Diff(before, after)
	for _, c := range changes {
		_, _ = fmt.Fprintln(out, c)
	}
	if len(changes) > 0 {
		return errReported
	}
	return nil
}

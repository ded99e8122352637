// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const configUsage = `usage: proxy config check FILE
       proxy config diff FILE FILE

check says of a declarative file what the proxy would say under the same
environment; vault references are not resolved. diff prints what the second file
changes, a line for each entity. Exit 0: valid, or no difference; 1: not valid, or
different; 2: wrong usage.
`

// configCommand checks or compares declarative files.
func configCommand(args []string, out, errs io.Writer) error {
	switch {
	case slices.ContainsFunc(args, isHelp):
		_, err := fmt.Fprint(out, configUsage)
		return err
	case len(args) == 2 && args[0] == "check":
		if err := checkDeclarative(args[1], errs); err != nil {
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
func readDeclarative(path string, errs io.Writer) (*entity.Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("declarative config: %w", err)
	}
	doc, problems := entity.DecodeDocument(data, schemas.All())
	return doc, refuse(path, problems, errs)
}

// refuse writes the problems of a file; the error is nil without any.
func refuse(path string, problems []entity.Problem, errs io.Writer) error {
	if len(problems) == 0 {
		return nil
	}
	for _, p := range problems {
		_, _ = fmt.Fprintln(errs, shown(path, p))
	}
	_, _ = fmt.Fprintf(errs, "%s: refused with %d problem(s)\n", path, len(problems))
	return errReported
}

// shown is a problem of a file as tools that jump to lines expect it.
func shown(path string, p entity.Problem) string {
	if p.Line > 0 {
		path = fmt.Sprintf("%s:%d", path, p.Line)
		p.Line = 0
	}
	return path + ": " + p.Error()
}

// rejections are what cannot run, where the document has it.
func rejections(doc *entity.Document, rejected []pipeline.Rejection) []entity.Problem {
	var out []entity.Problem
	for _, r := range rejected {
		out = append(out, doc.Locate(entity.Problem{Key: r.Key, Name: r.Name, Field: r.Field, Message: r.Reason}))
	}
	return out
}

// checkDeclarative says what the proxy would say of a file under the same
// environment. Secrets are not read: they may be elsewhere.
func checkDeclarative(path string, errs io.Writer) error {
	doc, err := readDeclarative(path, errs)
	if err != nil {
		return err
	}
	o, err := parseOptions([]string{"--declarative-config", path}, os.LookupEnv)
	if err != nil {
		return usageError{err}
	}
	p, err := newProcess(o, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	rejected, err := p.gateway.Check(doc.Set)
	if err != nil {
		return err
	}
	return refuse(path, rejections(doc, rejected), errs)
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
	changes := entity.Diff(before.Set, after.Set)
	for _, c := range changes {
		_, _ = fmt.Fprintln(out, c)
	}
	if len(changes) > 0 {
		return errReported
	}
	return nil
}

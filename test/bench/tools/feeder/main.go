// SPDX-License-Identifier: Apache-2.0

// Command feeder serves the configuration stream in the manager's place to one
// proxy that is measured, and changes routes when it is told to. It is the other
// end of package feed: it reads a feed.Setup, writes its address, and answers
// each feed.Command with a feed.Report, all as lines of JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
)

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "feeder:", err)
		os.Exit(1)
	}
}

// run serves until the input ends.
func run(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	lines, answers := json.NewDecoder(in), json.NewEncoder(out)
	var setup feed.Setup
	if err := lines.Decode(&setup); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	s, err := startSource(ctx, &setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := answers.Encode(s.address); err != nil {
		return err
	}
	f := &feeder{source: s}
	defer f.end()
	for {
		var c feed.Command
		if err := lines.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(f.do(c)); err != nil {
			return err
		}
	}
}

// feeder does what is asked.
type feeder struct {
	source  *source
	changes *changes // since begin, nil before it and after end
}

func (f *feeder) do(c feed.Command) feed.Report {
	switch c.Verb {
	case feed.Await:
		if err := f.source.await(); err != nil {
			return feed.Report{Failure: err.Error()}
		}
		return feed.Report{}
	case feed.Begin:
		if f.changes != nil {
			return feed.Report{Failure: "changes are made already"}
		}
		changes, err := begin(f.source, c)
		if err != nil {
			return feed.Report{Failure: err.Error()}
		}
		f.changes = changes
		return feed.Report{}
	case feed.End:
		return f.end()
	}
	return feed.Report{Failure: fmt.Sprintf("nobody knows what %q means", c.Verb)}
}

func (f *feeder) end() feed.Report {
	if f.changes == nil {
		return feed.Report{Failure: "no changes were begun"}
	}
	defer func() { f.changes = nil }()
	return f.changes.end()
}

// SPDX-License-Identifier: Apache-2.0

// Command proxy is the data plane: listeners, router, plugins and balancer. It
// takes its entities from a control plane's stream, or from a Kong declarative
// file when it runs alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(os.Stderr, "proxy:", err)
		}
		os.Exit(1)
	}
}

// errReported ends the process with a failure that was already written out.
var errReported = errors.New("reported")

func run(args []string) error {
	if len(args) > 0 && args[0] == "config" {
		return configCommand(args[1:], os.Stdout, os.Stderr)
	}
	options, err := parseOptions(args, os.LookupEnv)
	if err != nil {
		return err
	}
	if options.version {
		fmt.Println(product())
		return nil
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: options.logLevel}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p, err := newProcess(options, logger)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

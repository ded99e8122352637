// SPDX-License-Identifier: Apache-2.0

// Command proxy is the data plane: listeners, router, plugins and balancer. It
// takes its entities from a control plane's stream, or from a Kong declarative
// file when it runs alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
)

func main() {
	err := run(os.Args[1:])
	code := exitCode(err)
	if code != 0 && !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "proxy:", err)
	}
	os.Exit(code)
}

// usageError is a wrong command line or environment.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode is 0 for success and for help that was asked for, 2 for wrong usage
// and 1 for any other failure.
func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		return 2
	}
	return 1
}

// errReported ends the process with a failure that was already written out.
var errReported = errors.New("reported")

func run(args []string) error {
	if len(args) > 0 && args[0] == "config" {
		return configCommand(args[1:], os.Stdout, os.Stderr)
	}
	options, err := parseOptions(args, os.LookupEnv)
	if err != nil {
		return usageError{err}
	}
	if options.version {
		fmt.Println(product())
		return nil
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: options.logLevel}))
	ctx, hurry, stop := untilSignal()
	defer stop()
	if unread := unreadVariables(os.Environ()); len(unread) > 0 {
		logger.Warn("settings without effect: nothing here reads them", "variables", unread)
	}
	if options.lacksProxyProtocol() {
		logger.Warn("real_ip_header is proxy_protocol, and no entry of proxy_listen has the flag proxy_protocol: the client's address is that of its connection")
	}
	p, err := newProcess(options, logger)
	if err != nil {
		return err
	}
	return p.run(ctx, hurry)
}

// untilSignal returns a context that ends with the first signal to stop, and
// one that ends with the second.
func untilSignal() (ctx, hurry context.Context, stop func()) {
	ctx, first := context.WithCancel(context.Background())
	hurry, second := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for _, end := range []func(){first, second} {
			select {
			case <-signals:
				end()
			case <-hurry.Done():
			}
		}
	}()
	return ctx, hurry, func() {
		signal.Stop(signals)
		first()
		second()
	}
}

// lacksProxyProtocol reports whether the clients' addresses are to come by the
// PROXY protocol, which no listener for HTTP speaks.
func (o *options) lacksProxyProtocol() bool {
	return o.settings.RealIPHeader == engine.RealIPProxyProtocol && len(o.listen) > 0 &&
		!slices.ContainsFunc(o.listen, func(s listener.Spec) bool { return s.ProxyProtocol })
}

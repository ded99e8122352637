// SPDX-License-Identifier: Apache-2.0

// Command drivers compares ways to drive the connections of an HTTP proxy. Each
// is a complete proxy that does the same work for a request: Kong's headers
// both ways, the router, an empty plan, deadlines for every phase, departed
// clients and closed idle connections noticed.
//
//	go run . -rounds 5 -duration 2s
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/load"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "drivers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "backend":
			return runBackend()
		case "proxy":
			return runProxy(args[1:])
		}
	}
	flags := flag.NewFlagSet("drivers", flag.ContinueOnError)
	c := comparison{}
	flags.IntVar(&c.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&c.duration, "duration", 2*time.Second, "how long one measurement takes")
	flags.IntVar(&c.idle, "idle", 10000, "how many idle connections are opened to measure their memory")
	flags.IntVar(&c.proxyCore, "proxy-core", 0, "the core of the proxies")
	flags.IntVar(&c.loadCore, "load-core", 1, "the core of client and backend")
	flags.StringVar(&c.only, "only", "", "run only scenarios whose name holds this")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return errors.New("no arguments are taken, only flags")
	}
	return c.run()
}

// runBackend serves as the backend until it is killed.
func runBackend() error {
	l, err := listen()
	if err != nil {
		return err
	}
	control, err := listen()
	if err != nil {
		return err
	}
	b := load.NewBackend()
	go func() { _ = http.Serve(control, b) }() //nolint:gosec // the parent asks, nobody else
	fmt.Println(l.Addr(), control.Addr())
	return b.Serve(l.(*net.TCPListener))
}

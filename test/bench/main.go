// SPDX-License-Identifier: Apache-2.0

// Command bench measures the gateway's proxy against others on the same cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/install"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
	"github.com/kong/kong-istio-gateway/test/bench/internal/report"
	"github.com/kong/kong-istio-gateway/test/bench/internal/suite"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		exit(agent.Main(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, os.Args[1:]))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are what the command line says.
type options struct {
	proxy, tools, output, only, peers string
	rounds                            int
	warmup, window                    time.Duration
	proxyCore, loadCore               int
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.proxy, "proxy", "bin/proxy", "the gateway's `program`")
	flags.StringVar(&o.tools, "tools", "test/bench/tools", "`folder` of the tools modules")
	flags.StringVar(&o.output, "output", "", "`file` to write the report to as well")
	flags.StringVar(&o.only, "only", "", "`sections` to measure, with commas; all if empty: "+strings.Join(keys(), ","))
	flags.StringVar(&o.peers, "peers", "", "`peers` to measure against, with commas; all if empty")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each cell")
	flags.DurationVar(&o.warmup, "warmup", 300*time.Millisecond, "warm-up before each round")
	flags.DurationVar(&o.window, "window", 2*time.Second, "length of each round")
	flags.IntVar(&o.proxyCore, "proxy-core", 0, "`number` of the CPU for the proxy")
	flags.IntVar(&o.loadCore, "load-core", 1, "`number` of the CPU for client and backend")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds < 1 || o.window <= 0 || o.warmup <= 0 || o.proxyCore == o.loadCore {
		return nil, errors.New("rounds, window and warmup must be positive, and the two cores different")
	}
	return o, nil
}

func keys() (out []string) {
	for _, s := range suite.Sections() {
		out = append(out, s.Key)
	}
	return out
}

// list splits a list with commas; nothing means all.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// choose returns the sections that are asked for.
func choose(only string) ([]suite.Section, error) {
	wanted := list(only)
	for _, key := range wanted {
		if !slices.Contains(keys(), key) {
			return nil, fmt.Errorf("no section is called %q; there are %s", key, strings.Join(keys(), ", "))
		}
	}
	var out []suite.Section
	for _, s := range suite.Sections() {
		if len(wanted) == 0 || slices.Contains(wanted, s.Key) {
			out = append(out, s)
		}
	}
	return out, nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	sections, err := choose(o.only)
	if err != nil {
		return err
	}
	peers, err := proxies(ctx, o)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kong-istio-gateway-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := peer.Certificate(dir); err != nil {
		return err
	}
	feeder, err := feeder(ctx, o, sections, dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	a, err := suite.StartAgent(ctx, self, o.loadCore)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	return measure(ctx, o, sections, &suite.Runner{
		Agent: a, Peers: peers, Rounds: o.rounds, Warmup: o.warmup, Window: o.window,
		ProxyCore: o.proxyCore, LoadCore: o.loadCore, Dir: dir, Feeder: feeder, Progress: os.Stderr,
	})
}

// feeder builds the program that brings configuration by the stream, if a
// section needs it.
func feeder(ctx context.Context, o *options, sections []suite.Section, dir string) (string, error) {
	if !slices.ContainsFunc(sections, func(s suite.Section) bool { return s.Streamed() }) {
		return "", nil
	}
	return install.Own(ctx, os.Stderr, filepath.Join(o.tools, "feeder"), dir)
}

// proxies brings the gateway and its peers.
func proxies(ctx context.Context, o *options) ([]*peer.Peer, error) {
	program, err := filepath.Abs(o.proxy)
	if err != nil {
		return nil, err
	}
	ours, err := peer.Gateway(ctx, program)
	if err != nil {
		return nil, err
	}
	if o.peers == "none" {
		return []*peer.Peer{ours}, nil
	}
	others, err := peer.Install(ctx, os.Stderr, o.tools, list(o.peers))
	return append([]*peer.Peer{ours}, others...), err
}

func measure(ctx context.Context, o *options, sections []suite.Section, runner *suite.Runner) error {
	r := &report.Run{Began: time.Now(), Peers: runner.Peers, Sections: sections, Rounds: o.rounds, Warmup: o.warmup, Window: o.window,
		ProxyCore: o.proxyCore, LoadCore: o.loadCore}
	var err error
	if r.Direct, err = runner.Direct(); err != nil {
		return err
	}
	for i := range sections {
		results, err := runner.Section(ctx, &sections[i])
		r.Results = append(r.Results, results...)
		if err != nil {
			return err
		}
	}
	r.Ended = time.Now()
	text := r.Markdown()
	fmt.Print(text)
	if o.output != "" {
		if err := os.WriteFile(o.output, []byte(text), 0o644); err != nil { // #nosec G306 -- a page of the docs
			return err
		}
	}
	if r.Results.Failed() {
		return errors.New("some rounds do not count: see what failed in the table")
	}
	return nil
}

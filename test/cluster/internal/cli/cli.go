// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of the local cluster: it parses, calls and
// prints. Progress goes to standard error, results to standard output.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is one invocation.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	name, stateDir string
	repo           string
}

// command is one subcommand. raw ones get their arguments unparsed.
type command struct {
	name, args, help string
	raw              bool
	run              func(*app, context.Context, *flag.FlagSet, []string) error
	// hidden ones are the program calling itself.
	hidden bool
}

// errUsage marks a wrong command line; the message is already complete.
type errUsage struct{ error }

// errStatus carries the exit status of a program that was run for the user.
type errStatus int

func (e errStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func usagef(format string, args ...any) error {
	return errUsage{fmt.Errorf(format, args...)}
}

// Main runs one command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return a.exitCode(a.dispatch(ctx, args))
}

func (a *app) exitCode(err error) int {
	var usage errUsage
	var status errStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(a.stderr, "cluster: %v\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(a.stderr, "cluster: interrupted; run `up` again to go on, or `down` to remove what is there")
		return exitFailed
	}
	fmt.Fprintf(a.stderr, "cluster: %v\n", err)
	return exitFailed
}

func (a *app) dispatch(ctx context.Context, args []string) error {
	global := a.flags("cluster")
	global.Usage = func() { a.usage(global) }
	if err := global.Parse(args); err != nil {
		return parseError(err)
	}
	if global.NArg() == 0 {
		a.usage(global)
		return usagef("name a command")
	}
	name, rest := global.Arg(0), global.Args()[1:]
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		fs := a.flags("cluster " + name)
		if c.raw {
			return c.run(a, ctx, fs, rest)
		}
		fs.Usage = func() {
			fmt.Fprintf(a.stderr, "cluster %s %s\n  %s\n", c.name, c.args, c.help)
			fs.PrintDefaults()
		}
		return c.run(a, ctx, fs, rest)
	}
	return usagef("no command is called %q; `cluster --help` lists them", name)
}

// flags returns a set that already knows the flags every command takes.
func (a *app) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(a.stderr)
	defaultName := a.name
	if defaultName == "" {
		defaultName = layout.DefaultName
	}
	fs.StringVar(&a.name, "name", defaultName, "name of the cluster; clusters with different names never meet")
	fs.StringVar(&a.stateDir, "state-dir", a.stateDir, "directory for everything that `down` removes (default <repo>/.cluster/<name>)")
	fs.StringVar(&a.repo, "repo", a.repo, "root of the checkout (default: found from the working directory)")
	return fs
}

func parseError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return errUsage{err}
}

func (a *app) usage(fs *flag.FlagSet) {
	fmt.Fprintln(a.stderr, "cluster [flags] COMMAND: a real Kubernetes cluster with Istio on this machine, without Docker or a registry")
	for _, c := range commands() {
		if !c.hidden {
			fmt.Fprintf(a.stderr, "  %-12s %s\n", c.name, c.help)
		}
	}
	fs.PrintDefaults()
}

// plan resolves the directories of the cluster that the flags name.
func (a *app) plan() (layout.Cluster, error) {
	repo := a.repo
	if repo == "" {
		found, err := findRepo()
		if err != nil {
			return layout.Cluster{}, err
		}
		repo = found
	}
	cache, err := cacheDir()
	if err != nil {
		return layout.Cluster{}, err
	}
	plan, err := layout.New(a.name, a.stateDir, repo, cache)
	if err != nil {
		return layout.Cluster{}, errUsage{err}
	}
	return plan, nil
}

const moduleLine = "module github.com/kong/kong-istio-gateway\n"

// findRepo looks for the checkout above the working directory, then above the
// program itself.
func findRepo() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	for _, start := range []string{wd, filepath.Dir(exe)} {
		for dir := start; ; dir = filepath.Dir(dir) {
			data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && strings.HasPrefix(string(data), moduleLine) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", usagef("no checkout of github.com/kong/kong-istio-gateway above %s: run it from there, or name it with --repo", wd)
}

func cacheDir() (string, error) {
	if dir := os.Getenv("KIG_CACHE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "kong-istio-gateway"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("no home directory: set KIG_CACHE to a directory for the builds")
	}
	return filepath.Join(home, ".cache", "kong-istio-gateway"), nil
}

// runPassThrough runs a program with the user's own input and output and turns
// its exit status into ours.
func (a *app) runPassThrough(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			return errStatus(exitFailed)
		}
		return errStatus(exit.ExitCode())
	}
	return err
}

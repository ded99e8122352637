// SPDX-License-Identifier: Apache-2.0

// Command walkthrough applies the files of examples/echo to the local cluster
// as a user would and checks what each step promises; its pass "kong" does the
// steps of every folder of examples/kong. It prints a table of what was expected
// and what came back, and fails if a row fails.
//
//	walkthrough [-cluster bin/cluster] [-examples examples/echo] [-passes kong,plain,registry-only,manager-away]
//	walkthrough fetch [-source IP] [-count N] [-parallel N] [-H 'Name: value'] URL
//
// The second form is the client: it makes requests and prints what came back as
// JSON. The first form runs it in the cluster's client namespace.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "fetch" {
		if err := fetchCommand(ctx, os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "fetch:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "walkthrough:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("walkthrough", flag.ContinueOnError)
	cluster := flags.String("cluster", "bin/cluster", "the program that runs the local cluster")
	name := flags.String("name", "kig", "the cluster's name")
	examples := flags.String("examples", "examples/echo", "folder with the walkthrough's files")
	passes := flags.String("passes", "kong,plain,registry-only,manager-away", "the passes to run, in order")
	if err := flags.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := filepath.Abs(*cluster)
	if err != nil {
		return err
	}
	w := &walk{
		shell:    shell{cluster: program, name: *name, self: self},
		examples: *examples,
		started:  time.Now(),
	}
	for i, pass := range strings.Split(*passes, ",") {
		if err := w.pass(ctx, i, pass); err != nil {
			text, _ := w.table()
			fmt.Print(text)
			return err
		}
	}
	left := w.leaveUp(ctx)
	text, failed := w.table()
	fmt.Print(text)
	if left != nil {
		return left
	}
	w.farewell(ctx)
	if failed > 0 {
		return fmt.Errorf("%d of %d rows failed", failed, len(w.rows))
	}
	return nil
}

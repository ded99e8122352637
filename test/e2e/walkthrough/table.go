// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// result is how a row ended.
type result string

const (
	pass   result = "pass"
	fail   result = "FAIL"
	notRun result = "not run"
)

// row is one line of the table.
type row struct {
	pass, step, name, expected, got string
	result                          result
}

// walk runs the walkthrough and keeps its rows.
type walk struct {
	shell
	examples string
	started  time.Time
	rows     []row
	// Of the pass under way:
	passName string
	step     string
	source   string
	address  string
	meshless string // why there is no mesh, "" when there is one
}

// check adds a row: got is what came back, err why it is not what was expected.
func (w *walk) check(name, expected, got string, err error) {
	got = strings.Join(strings.Fields(got), " ") // a row is a line
	r := row{pass: w.passName, step: w.step, name: name, expected: expected, got: got, result: pass}
	if err != nil {
		r.result = fail
		r.got = strings.TrimSpace(got + " " + err.Error())
	}
	w.add(r)
}

// skip adds a row that could not be run, with the reason.
func (w *walk) skip(name, expected, reason string) {
	w.add(row{pass: w.passName, step: w.step, name: name, expected: expected, got: reason, result: notRun})
}

func (w *walk) add(r row) {
	w.rows = append(w.rows, r)
	fmt.Fprintf(os.Stderr, "[%4.0fs] %-13s %-2s %-7s %s: %s\n", time.Since(w.started).Seconds(), r.pass, r.step, r.result, r.name, tail(r.got, 160))
}

// table returns all rows as text, and how many failed.
func (w *walk) table() (text string, failed int) {
	passed, skipped := 0, 0
	var out strings.Builder
	t := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\nPASS\tSTEP\tWHAT\tEXPECTED\tGOT\tRESULT")
	for _, r := range w.rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.pass, r.step, r.name, r.expected, tail(r.got, 90), r.result)
		switch r.result {
		case pass:
			passed++
		case fail:
			failed++
		default:
			skipped++
		}
	}
	_ = t.Flush()
	fmt.Fprintf(&out, "\nwalkthrough: %d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return out.String(), failed
}

// farewell tells how to go on by hand.
func (w *walk) farewell(ctx context.Context) {
	fmt.Println("\nThe cluster is up.")
	if host := w.hostAddress(ctx); host != "" {
		fmt.Printf("  gateway   curl http://%s/\n", host)
	}
	fmt.Println("  kubectl   bin/cluster kubectl get kongistiogateways -A")
	fmt.Println("            export KUBECONFIG=$(bin/cluster kubeconfig)")
	fmt.Println("  status    bin/cluster status")
	fmt.Println("  end       make demo-down")
}

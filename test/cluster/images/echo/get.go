// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// headerFlag collects "Name: value" lines.
type headerFlag http.Header

func (h headerFlag) String() string { return "" }

// Set adds one line.
func (h headerFlag) Set(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("%q: want Name: value", line)
	}
	http.Header(h).Add(strings.TrimSpace(name), strings.TrimSpace(value))
	return nil
}

// get makes one request and writes the whole answer. It is for Pods whose image
// has nothing else to make a request with. Any answer, whatever its status, is a
// success.
func get(ctx context.Context, args []string, out io.Writer) error {
	headers := headerFlag{}
	fs := flag.NewFlagSet("http-echo get", flag.ContinueOnError)
	fs.Var(headers, "H", "header as Name: value; may be repeated, Host too")
	method := fs.String("X", http.MethodGet, "method")
	body := fs.String("d", "", "body")
	timeout := fs.Duration("timeout", 10*time.Second, "how long the answer may take")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return fmt.Errorf("want one URL")
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, *method, fs.Arg(0), strings.NewReader(*body))
	if err != nil {
		return err
	}
	for name, values := range headers {
		if name == "Host" {
			req.Host = values[0]
			continue
		}
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Fprintf(out, "%s %s\n", resp.Proto, resp.Status)
	if err := resp.Header.Write(out); err != nil {
		return err
	}
	fmt.Fprintln(out)
	_, err = io.Copy(out, resp.Body)
	return err
}

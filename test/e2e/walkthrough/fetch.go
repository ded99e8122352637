// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// answer is what one request got.
type answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
	Error  string      `json:"error,omitempty"`
}

// String says in short what came back.
func (a answer) String() string {
	if a.Error != "" {
		return a.Error
	}
	return fmt.Sprintf("%d %s", a.Status, tail(strings.Join(strings.Fields(a.Body), " "), 90))
}

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

func fetchCommand(ctx context.Context, args []string, out io.Writer) error {
	headers := headerFlag{}
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	source := flags.String("source", "", "source address")
	count := flags.Int("count", 1, "how many requests")
	parallel := flags.Int("parallel", 1, "how many at a time")
	seconds := flags.Int("seconds", 0, "instead of -count: go on for so long")
	flags.Var(headers, "H", "header as Name: value; may be repeated, Host too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want one URL")
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if *source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(*source)}
	}
	client := &http.Client{
		Timeout:       15 * time.Second,
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: *parallel},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var until time.Time
	if *seconds > 0 {
		until = time.Now().Add(time.Duration(*seconds) * time.Second)
	}
	answers := fetchAll(ctx, client, flags.Arg(0), http.Header(headers), *count, *parallel, until)
	return json.NewEncoder(out).Encode(answers)
}

// fetchAll makes count requests, or as many as fit until a point in time.
func fetchAll(ctx context.Context, client *http.Client, url string, header http.Header, count, parallel int, until time.Time) []answer {
	var mu sync.Mutex
	var answers []answer
	begun := 0
	more := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if !until.IsZero() {
			return time.Now().Before(until)
		}
		begun++
		return begun <= count
	}
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for more() {
				a := fetchOne(ctx, client, url, header)
				mu.Lock()
				answers = append(answers, a)
				mu.Unlock()
				if !until.IsZero() {
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			}
		})
	}
	workers.Wait()
	return answers
}

func fetchOne(ctx context.Context, client *http.Client, url string, header http.Header) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{Error: err.Error()}
	}
	request.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return answer{Status: response.StatusCode, Error: err.Error()}
	}
	return answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

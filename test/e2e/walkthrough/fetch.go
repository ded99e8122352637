// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
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
	// Certificate is for whom the server's certificate is, with TLS.
	Certificate string `json:"certificate,omitempty"`
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
	method := flags.String("X", "", "method, default GET")
	body := flags.String("d", "", "body")
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
	if target, ok := strings.CutPrefix(flags.Arg(0), "udp://"); ok {
		return json.NewEncoder(out).Encode([]answer{lookUp(ctx, *source, target)})
	}
	host := http.Header(headers).Get("Host")
	client := &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConnsPerHost: *parallel,
			// The address is asked, the Host is meant; examples make their own certificates.
			TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true}, // #nosec G402
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	one := func() (*http.Request, error) {
		return newRequest(ctx, *method, flags.Arg(0), *body, http.Header(headers))
	}
	var until time.Time
	if *seconds > 0 {
		until = time.Now().Add(time.Duration(*seconds) * time.Second)
	}
	answers := fetchAll(ctx, client, one, *count, *parallel, until)
	return json.NewEncoder(out).Encode(answers)
}

// fetchAll makes count requests, or as many as fit until a point in time.
func fetchAll(ctx context.Context, client *http.Client, one func() (*http.Request, error), count, parallel int, until time.Time) []answer {
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
				a := fetchOne(client, one)
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

func newRequest(ctx context.Context, method, url, body string, header http.Header) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	return request, nil
}

// lookUp asks the DNS server at an address for a name: address/name.
func lookUp(ctx context.Context, source, target string) answer {
	address, name, _ := strings.Cut(target, "/")
	dialer := net.Dialer{Timeout: 2 * time.Second, LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "udp", address)
	}}
	found, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Body: strings.Join(found, " ")}
}

func fetchOne(client *http.Client, one func() (*http.Request, error)) answer {
	request, err := one()
	if err != nil {
		return answer{Error: err.Error()}
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
	a := answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	if response.TLS != nil {
		a.Certificate = strings.Join(response.TLS.PeerCertificates[0].DNSNames, " ")
	}
	return a
}

// SPDX-License-Identifier: Apache-2.0

// Command http-echo writes each request back, so that one sees what arrived.
//
//	http-echo PORT[,PORT...] NAME
//	http-echo get [-H 'Name: value'] [-X METHOD] [-d BODY] [-timeout 10s] URL
//
// The answer is the request line, the Host, the headers in order of their
// names, the body, and a last line "NAME says OK at <time>". The query parameter
// status chooses the answer's status code, delay (for example 200ms, at most
// 30s) makes it wait first. The second form is a client: it makes one request and
// prints status, headers and body.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxBody  = 10 << 20
	maxDelay = 30 * time.Second
	// drain is how long open requests may take at the end.
	drain = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "get" {
		if err := get(ctx, os.Args[2:], os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	if len(os.Args) != 3 {
		log.Fatal("usage: http-echo PORT[,PORT...] NAME, or http-echo get URL")
	}
	handler := echo(os.Args[2], time.Now)
	ended := make(chan error)
	ports := strings.Split(os.Args[1], ",")
	for _, port := range ports {
		go func() { ended <- serve(ctx, port, handler) }()
	}
	for range ports {
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
}

// serve accepts HTTP/1.1 and HTTP/2 without TLS until ctx ends.
func serve(ctx context.Context, port string, handler http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: ":" + port, Handler: handler, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		limited, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		_ = server.Shutdown(limited)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func echo(name string, now func() time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, delay, err := wishes(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Echo-Name", name)
		w.WriteHeader(status)
		writeRequest(w, r, body)
		fmt.Fprintf(w, "%s says OK at %s\n", name, now().UTC().Format(time.RFC3339))
	}
}

func wishes(r *http.Request) (status int, delay time.Duration, err error) {
	status = http.StatusOK
	query := r.URL.Query()
	if value := query.Get("status"); value != "" {
		if status, err = strconv.Atoi(value); err != nil || status < 200 || status > 599 {
			return 0, 0, fmt.Errorf("status=%q: want a number from 200 to 599", value)
		}
	}
	if value := query.Get("delay"); value != "" {
		if delay, err = time.ParseDuration(value); err != nil || delay < 0 || delay > maxDelay {
			return 0, 0, fmt.Errorf("delay=%q: want a duration of at most %s", value, maxDelay)
		}
	}
	return status, delay, nil
}

func writeRequest(w io.Writer, r *http.Request, body []byte) {
	fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Proto)
	fmt.Fprintf(w, "Host: %s\n", r.Host)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(w, "\n%s", body)
	if len(body) > 0 && body[len(body)-1] != '\n' {
		fmt.Fprintln(w)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// exampleBackends is the folder with what all examples share: the gateway's
// listeners and the backends.
const exampleBackends = "backends"

// step is one entry of an example's steps.txt, which is YAML but no manifest that
// kubectl would apply with the folder: something that its user does,
// and what he sees then.
type step struct {
	// What says what the step shows.
	What string `json:"what"`
	// Exactly one of these is there. Apply and Delete name a file of the folder,
	// Kubectl holds kubectl's arguments.
	Apply   string       `json:"apply,omitempty"`
	Delete  string       `json:"delete,omitempty"`
	Kubectl []string     `json:"kubectl,omitempty"`
	Request *stepRequest `json:"request,omitempty"`
	Query   *stepQuery   `json:"query,omitempty"`
	// What must come back: Status of a request, the header lines ("" for none),
	// texts that the body, the query's answer or kubectl's output holds or must
	// not hold, and for several requests how many got which status.
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Certificate is for whom the shown certificate is.
	Certificate string      `json:"certificate,omitempty"`
	Holds       []string    `json:"holds,omitempty"`
	Lacks       []string    `json:"lacks,omitempty"`
	Statuses    map[int]int `json:"statuses,omitempty"`
	// Fails says that kubectl, or the apply, must fail with the texts of Holds.
	Fails bool `json:"fails,omitempty"`
	// Keep leaves what was applied when the example is over.
	Keep bool `json:"keep,omitempty"`
}

// stepRequest is an HTTP request to the gateway.
type stepRequest struct {
	Scheme  string            `json:"scheme,omitempty"` // http or https, default http
	Port    int               `json:"port,omitempty"`   // of the gateway's Service, default the scheme's
	Host    string            `json:"host,omitempty"`
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Count   int               `json:"count,omitempty"`
}

// stepQuery is a DNS query over UDP to the gateway.
type stepQuery struct {
	Port int    `json:"port"`
	Name string `json:"name"`
}

// kongExamples runs every folder of examples/kong: it applies what the shared
// folder holds once, and for each other folder does the steps of its steps.txt
// and takes away what they applied.
func (w *walk) kongExamples(ctx context.Context) error {
	root := filepath.Join(filepath.Dir(w.examples), "kong")
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	if err := w.example(ctx, root, exampleBackends); err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == exampleBackends {
			continue
		}
		if err := w.example(ctx, root, entry.Name()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *walk) example(ctx context.Context, root, name string) error {
	w.step = name
	folder := filepath.Join(root, name)
	steps, err := readSteps(filepath.Join(folder, "steps.txt"))
	if err != nil {
		return err
	}
	var applied []string
	for _, s := range steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		got, err := w.do(ctx, folder, s)
		w.check(s.What, s.expectation(), got, err)
		if s.Apply != "" && !s.Fails && !s.Keep && !slices.Contains(applied, s.Apply) {
			applied = append(applied, s.Apply)
		}
	}
	if name == exampleBackends {
		// The other examples stand on it; its address is theirs, too.
		w.address, err = w.kubectl(ctx, "-n", gatewayNamespace, "get", "service", gatewayName, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		return err
	}
	for _, file := range slices.Backward(applied) {
		if _, err := w.kubectl(ctx, "delete", "--ignore-not-found", "--wait=false", "-f", filepath.Join(folder, file)); err != nil {
			w.check("take "+file+" away", "deleted", "", err)
		}
	}
	return nil
}

func readSteps(path string) ([]step, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- a file of the checkout
	if err != nil {
		return nil, err
	}
	var steps []step
	if err := yaml.UnmarshalStrict(text, &steps); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, s := range steps {
		if s.What == "" || s.actions() != 1 {
			return nil, fmt.Errorf("%s: step %d (%s): want what, and one of apply, delete, kubectl, request and query", path, i+1, s.What)
		}
	}
	return steps, nil
}

func (s step) actions() (n int) {
	for _, there := range []bool{s.Apply != "", s.Delete != "", len(s.Kubectl) > 0, s.Request != nil, s.Query != nil} {
		if there {
			n++
		}
	}
	return n
}

// expectation says in short what the step wants to see.
func (s step) expectation() string {
	var parts []string
	switch {
	case s.Status != 0:
		parts = append(parts, fmt.Sprint(s.Status))
	case len(s.Statuses) > 0:
		parts = append(parts, fmt.Sprint(s.Statuses))
	case s.Fails:
		parts = append(parts, "refused")
	case s.Apply != "" || s.Delete != "":
		parts = append(parts, "done")
	}
	for _, text := range s.Holds {
		parts = append(parts, tail(text, 60))
	}
	return strings.Join(parts, ", ")
}

// do makes one step; what comes back later than the step is waited for.
func (w *walk) do(ctx context.Context, folder string, s step) (got string, err error) {
	limit := 60 * time.Second
	switch {
	case len(s.Kubectl) > 0:
		limit = 3 * time.Minute // may wait for a rollout itself
	case s.Statuses != nil:
		limit = 0 // counts what happens once
	}
	failure := eventually(ctx, limit, func() error {
		got, err = w.try(ctx, folder, s)
		return err
	})
	return got, failure
}

func (w *walk) try(ctx context.Context, folder string, s step) (string, error) {
	switch {
	case s.Request != nil:
		return w.tryRequest(ctx, s)
	case s.Query != nil:
		answers, err := w.fetch(ctx, w.source, fmt.Sprintf("udp://%s:%d/%s", w.address, s.Query.Port, s.Query.Name))
		if err != nil {
			return "", err
		}
		if answers[0].Error != "" {
			return "", errors.New(answers[0].Error)
		}
		return answers[0].Body, s.texts(answers[0].Body)
	}
	args := s.Kubectl
	if s.Apply != "" {
		args = []string{"apply", "-f", filepath.Join(folder, s.Apply)}
	} else if s.Delete != "" {
		args = []string{"delete", "-f", filepath.Join(folder, s.Delete)}
	}
	out, err := w.kubectl(ctx, args...)
	switch {
	case s.Fails && err == nil:
		return out, errors.New("is not refused")
	case s.Fails:
		return err.Error(), s.texts(err.Error())
	case err != nil:
		return out, err
	}
	return out, s.texts(out)
}

func (w *walk) tryRequest(ctx context.Context, s step) (string, error) {
	r := *s.Request
	scheme, port := r.Scheme, ""
	if scheme == "" {
		scheme = "http"
	}
	if r.Port != 0 {
		port = fmt.Sprintf(":%d", r.Port)
	}
	options := []string{"-count", fmt.Sprint(max(r.Count, 1)), "-X", r.Method, "-d", r.Body}
	if r.Host != "" {
		options = append(options, "-H", "Host: "+r.Host)
	}
	for name, value := range r.Headers {
		options = append(options, "-H", name+": "+value)
	}
	answers, err := w.fetch(ctx, w.source, scheme+"://"+w.address+port+r.Path, options...)
	if err != nil {
		return "", err
	}
	if s.Statuses != nil {
		counts := map[int]int{}
		for _, a := range answers {
			counts[a.Status]++
		}
		for status, n := range s.Statuses {
			if counts[status] != n {
				return fmt.Sprint(counts), errors.New("want " + fmt.Sprint(s.Statuses))
			}
		}
		return fmt.Sprint(counts), nil
	}
	return answers[0].String(), s.matches(answers[0])
}

// matches says what is wrong with an answer.
func (s step) matches(a answer) error {
	if a.Status != s.Status {
		return fmt.Errorf("want %d", s.Status)
	}
	if s.Certificate != "" && a.Certificate != s.Certificate {
		return fmt.Errorf("certificate is for %q, want %q", a.Certificate, s.Certificate)
	}
	for name, want := range s.Headers {
		if got := strings.Join(a.Header.Values(name), ", "); got != want {
			return fmt.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	return s.texts(a.Body)
}

func (s step) texts(text string) error {
	for _, want := range s.Holds {
		if !strings.Contains(text, want) {
			return fmt.Errorf("lacks %q", want)
		}
	}
	for _, bad := range s.Lacks {
		if strings.Contains(text, bad) {
			return fmt.Errorf("holds %q", bad)
		}
	}
	return nil
}

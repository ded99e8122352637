// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// shell runs commands against the cluster.
type shell struct {
	cluster, name, self string
}

// run runs the cluster program and returns what it printed. The error holds
// the end of what it complained about.
func (s shell) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, s.cluster, append([]string{"--name", s.name}, args...)...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, tail(errs.String(), 400))
	}
	return out.String(), nil
}

func (s shell) kubectl(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, append([]string{"kubectl"}, args...)...)
}

// fetch makes requests from the client namespace, outside the node.
func (s shell) fetch(ctx context.Context, source, url string, options ...string) ([]answer, error) {
	args := []string{"client", "--source", source, "--", s.self, "fetch", "-source", source}
	out, err := s.run(ctx, append(append(args, options...), url)...)
	if err != nil {
		return nil, err
	}
	var answers []answer
	if err := json.Unmarshal([]byte(out), &answers); err != nil {
		return nil, fmt.Errorf("fetch %s: %w in %q", url, err, tail(out, 200))
	}
	return answers, nil
}

// inMesh makes a request from a pod and returns its output; a failure of the
// request is not an error of the shell.
func (s shell) inPod(ctx context.Context, namespace, pod, container, url string) (string, error) {
	return s.kubectl(ctx, "-n", namespace, "exec", pod, "-c", container, "--", "/http-echo", "get", "-timeout", "5s", url)
}

func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return s
}

// eventually repeats try until it returns no error or the time is over.
func eventually(ctx context.Context, limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

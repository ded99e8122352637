// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReporterSaysWhatIsLeft(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, "one", "two", "three")
	if err := r.Run(t.Context(), func(context.Context) error { r.Note("quick"); return nil }); err != nil {
		t.Fatal(err)
	}
	r.Note("halfway")
	r.running(1, 70*time.Second)
	cause := errors.New("broken")
	if err := r.Run(t.Context(), func(context.Context) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("error %v, want the step's", err)
	}
	want := []string{"[1/3] one: done, 0s (quick)", "[2/3] two: 1m10s so far; halfway; left: three", "[2/3] two: FAILED, 0s"}
	if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestReporterTicks(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, "one")
	r.interval = time.Millisecond
	err := r.Run(t.Context(), func(ctx context.Context) error {
		for !strings.Contains(r.written(&out), "so far") {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// written reads the output while the reporter may be writing it.
func (r *Reporter) written(out fmt.Stringer) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return out.String()
}

func TestFailureNamesEverything(t *testing.T) {
	log := filepath.Join(t.TempDir(), "part.log")
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	lines.WriteString("write: no space left on device\n")
	if err := os.WriteFile(log, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("exit status 1")
	err := &Failure{Part: "etcd", Log: log, Err: cause}
	for _, want := range []string{"etcd failed: exit status 1", log, "line 39", "no space left", "free some disk space"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message lacks %q:\n%s", want, err)
		}
	}
	if strings.Contains(err.Error(), "line 20") || !errors.Is(err, cause) {
		t.Errorf("too much of the log, or the cause is lost:\n%s", err)
	}
	err.Fix = "do this"
	if !strings.Contains(err.Error(), "do this") || strings.Contains(err.Error(), "disk space") {
		t.Errorf("a given fix is not used:\n%s", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"path/filepath"
	"testing"
)

// TestCompatibility holds that the defaults of the chosen Kong reach the
// requests: a route that names no protocols is for https alone in 3.14.
func TestCompatibility(t *testing.T) {
	for line, want := range map[string]int{"3.9": http.StatusOK, "3.14": http.StatusUpgradeRequired} {
		path := filepath.Join(t.TempDir(), "kong.yml")
		put(t, path, config(backend(t, "word")))
		a := startAlone(t, path, "--compatibility", line)
		res, err := a.client.Get(a.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if res.StatusCode != want {
			t.Errorf("%s: status %d, want %d", line, res.StatusCode, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// failing are the cases that are known to fail today, and why. A case that
// passes must leave the list.
var failing = map[string]string{
	"core/balancer/active-all-bad":          "active health checks",
	"core/balancer/active-bad-target":       "active health checks",
	"core/balancer/active-recovers-passive": "active health checks",
	"core/body/response-1xx":                "Kong passes the 100 on with its own headers and then the upstream's 200 as it is; here the 200 is the answer and has the headers",
}

// atOnce is how many cases run at a time: most of a case is waiting.
const atOnce = 8

func TestRecorded(t *testing.T) {
	var passed, failed, quirks, known atomic.Int32
	left := map[string]bool{}
	for name := range failing {
		left[name] = true
	}
	free := make(chan struct{}, atOnce)
	t.Run("cases", func(t *testing.T) {
		err := filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			c, err := Read(path)
			if err != nil {
				return err
			}
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "testdata/"), ".json")
			delete(left, name)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				problems, err := Run(t.Context(), c)
				if err != nil {
					problems = append(problems, err.Error())
				}
				reason := failing[name]
				switch {
				case len(problems) == 0 && reason != "":
					t.Errorf("passes: take it off the list of failing cases (%s)", reason)
				case len(problems) == 0:
					passed.Add(1)
				case c.Quirk != "":
					quirks.Add(1)
				case reason != "":
					known.Add(1)
				default:
					failed.Add(1)
					t.Errorf("differs from the recording:\n\t%s", strings.Join(problems, "\n\t"))
				}
			})
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	for name := range left {
		t.Errorf("%s: there is no such case", name)
	}
	t.Logf("%d passed, %d failed (%d of them known), %d differ where Kong's own answer is a quirk",
		passed.Load(), failed.Load()+known.Load(), known.Load(), quirks.Load())
}

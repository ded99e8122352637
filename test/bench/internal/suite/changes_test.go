// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
)

// What is measured is what changes do to other routes; and a route that is
// asked for while it moves would be answered with 404.
func TestChangedRoutesAreNotAskedFor(t *testing.T) {
	names := unasked()
	if len(names) != ChangedRoutes {
		t.Fatalf("%d routes, want %d", len(names), ChangedRoutes)
	}
	for _, row := range changeRows() {
		for i, route := range row.Site.Routes {
			if !slices.Contains(names, row.Site.RouteName(i)) {
				continue
			}
			for _, request := range row.Load.Requests {
				if strings.HasPrefix(request.Path+"/", route.Paths[0]) {
					t.Fatalf("%s: %s is asked for and changed", row.Key, request.Path)
				}
			}
		}
	}
}

// The two rows whose latencies are compared differ in nothing but the changes.
func TestQuietAndChangingHaveTheSameLoad(t *testing.T) {
	rows := changeRows()
	quiet, changing := rows[0], rows[1]
	if quiet.Site != changing.Site || quiet.Change != nil || changing.Change.Rate != 10 || quiet.Repeat != changing.Repeat ||
		!quiet.HalfLoad || !changing.HalfLoad || quiet.Load.Connections != 64 || changing.Load.Connections != 64 {
		t.Errorf("quiet %+v, changing %+v", quiet.Load, changing.Load)
	}
	p := &peer.Process{}
	entries := []*entry{{Cell: &Cell{Rate: 30000}, process: p}, {Cell: &Cell{}, process: p}, {Cell: &Cell{Rate: 7}, process: &peer.Process{}}}
	if rate := rateOf(p, entries); rate != 30000 {
		t.Errorf("the second row has rate %.0f", rate)
	}
	if rate := rateOf(&peer.Process{}, entries); rate != 0 {
		t.Errorf("rate %.0f of a proxy that has none yet", rate)
	}
}

func TestCPUTimeWithoutChangesIsTakenOff(t *testing.T) {
	quiet, with := used{10 * time.Millisecond, time.Second}, used{120 * time.Millisecond, 2 * time.Second}
	if got := with.beyond(quiet); got != 100*time.Millisecond {
		t.Errorf("%v, want 100ms", got)
	}
}

func TestRoundsWithoutTheirChangesFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		report feed.Report
	}{
		{"too few", feed.Report{Changes: 4, Elapsed: time.Second}},
		{"none", feed.Report{Elapsed: time.Millisecond}},
		{"refused", feed.Report{Changes: 10, Elapsed: time.Second, Failure: "the proxy leaves out a route"}},
	} {
		e := &entry{Cell: &Cell{}, row: &Row{Change: &Change{Rate: 10}}}
		if err := (&Runner{}).changed(e, &c.report, 0); err != nil || e.Failure == "" || len(e.Changes) > 0 {
			t.Errorf("%s: %v, failure %q, %d rounds", c.name, err, e.Failure, len(e.Changes))
		}
	}
}

func TestFiguresOfChanges(t *testing.T) {
	f, ok := changed("change-paced", 3*time.Millisecond, time.Millisecond, 2*time.Millisecond).Figures()
	if !ok || f.Changes != 30 || f.ChangeRate != 10 || f.ChangeCPU != 2*time.Millisecond || f.ChangeDelay != time.Millisecond {
		t.Errorf("%+v, %v", f, ok)
	}
}

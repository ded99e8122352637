// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// TestNotices follows problems through time: told of after they have lasted,
// once, and again when they come back.
func TestNotices(t *testing.T) {
	a, b := fragment.Problem{Message: "a"}, fragment.Problem{Message: "b"}
	n, start := newNotices(), time.Unix(100, 0)
	var before []fragment.Problem
	for i, step := range []struct {
		after    time.Duration
		problems []fragment.Problem
		tell     []fragment.Problem
		again    time.Duration
	}{
		{0, []fragment.Problem{a}, nil, settleTime},
		{settleTime / 2, []fragment.Problem{a, b}, nil, settleTime / 2},
		{settleTime, []fragment.Problem{a}, []fragment.Problem{a}, 0}, // b is over already
		{2 * settleTime, []fragment.Problem{a}, nil, 0},
		{3 * settleTime, nil, nil, 0},
		{4 * settleTime, []fragment.Problem{a}, nil, settleTime},
		{5 * settleTime, []fragment.Problem{a}, []fragment.Problem{a}, 0},
	} {
		now := start.Add(step.after)
		came, went := differing(before, step.problems)
		for _, p := range went {
			n.remove(p)
		}
		for _, p := range came {
			n.add(p, now)
		}
		before = step.problems
		tell, again := n.due(now)
		if len(tell) != len(step.tell) || again != step.again || len(tell) == 1 && tell[0] != step.tell[0] {
			t.Errorf("step %d: tells %v, again in %v", i, tell, again)
		}
	}
}

// TestNoticesOfSeveralGateways holds that a problem that two gateways have is
// told once, and lasts until neither has it.
func TestNoticesOfSeveralGateways(t *testing.T) {
	p, n, start := fragment.Problem{Message: "a"}, newNotices(), time.Unix(100, 0)
	n.add(p, start)
	n.add(p, start.Add(time.Second/2))
	if tell, _ := n.due(start.Add(settleTime)); len(tell) != 1 {
		t.Errorf("tells %v", tell)
	}
	n.remove(p)
	n.add(p, start.Add(2*settleTime))
	if tell, again := n.due(start.Add(3 * settleTime)); len(tell) != 0 || again != 0 {
		t.Errorf("tells %v again", tell)
	}
	n.remove(p)
	n.remove(p)
	if len(n.gateways)+len(n.since) != 0 {
		t.Errorf("%v remains", n)
	}
}

// TestEventFits holds that the API server's limits are kept, and that what is
// different has another name.
func TestEventFits(t *testing.T) {
	p := fragment.Problem{
		Object: fragment.ObjectRef{Group: "configuration.konghq.com", Version: "v1", Kind: "KongClusterPlugin", Name: strings.Repeat("a", 229) + "." + strings.Repeat("b", 23)},
		Field:  "config", Message: strings.Repeat("ä", 2000), Fix: "correct it", Reason: fragment.ReasonPluginConfigInvalid,
	}
	e := eventOf(p, time.Unix(1, 0))
	if len(e.Note) > maxNote || !utf8.ValidString(e.Note) || len(e.Name) > 253 || e.Namespace != "default" || strings.Contains(e.Name, "..") {
		t.Errorf("note of %d bytes, name of %d: %s", len(e.Note), len(e.Name), e.Name)
	}
	other := p
	other.Fix = "remove it"
	if e.Name != eventOf(p, time.Unix(2, 0)).Name || e.Name == eventOf(other, time.Unix(1, 0)).Name {
		t.Error("the name does not follow from what is said")
	}
}

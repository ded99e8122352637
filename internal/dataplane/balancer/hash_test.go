// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestXXHash32(t *testing.T) {
	for in, want := range map[string]uint32{
		"":    0x02CC5D05,
		"a":   0x550D7456,
		"abc": 0x32D153FF,
		"Nobody inspects the spammish repetition": 0xE2293B2F,
	} {
		if got := xxhash32(in); got != want {
			t.Errorf("%q: %08x", in, got)
		}
	}
}

func TestConsistentHashingIsStable(t *testing.T) {
	u := &entity.Upstream{Name: "u", Algorithm: ConsistentHashing}
	var specs []string
	for i := range 10 {
		specs = append(specs, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	where := func(b *Balancer, key string) string {
		p, err := b.Pick(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Target
	}
	all := mustNew(t, &Store{}, u, specs...)
	reversed := append([]string(nil), specs...)
	for i, j := 0, len(specs)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	other := mustNew(t, &Store{}, u, reversed...)
	fewer := mustNew(t, &Store{}, u, specs[:9]...)
	load := map[string]int{}
	moved := 0
	const keys = 5000
	for i := range keys {
		key := fmt.Sprintf("key-%d", i)
		at := where(all, key)
		load[at]++
		if where(other, key) != at {
			t.Fatalf("%s depends on the order of the targets", key)
		}
		if at != specs[9] && where(fewer, key) != at {
			moved++
		}
	}
	for target, n := range load {
		if n < keys/20 || n > keys/5 {
			t.Errorf("%s has %d of %d keys", target, n, keys)
		}
	}
	if moved > keys/20 {
		t.Errorf("%d keys of other targets moved when one went", moved)
	}
}

func TestConsistentHashingKeepsTheWheelWhenAPeerFails(t *testing.T) {
	u := &entity.Upstream{Name: "u", Algorithm: ConsistentHashing, Healthchecks: passive(1, 0, 0, 0)}
	b := mustNew(t, &Store{}, u, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	before := map[string]*Peer{}
	for i := range 300 {
		key := fmt.Sprint(i)
		before[key], _ = b.Pick(key, nil)
	}
	down := b.Peers()[0]
	b.ReportStatus(down, 500)
	for key, was := range before {
		p, err := b.Pick(key, nil)
		if err != nil || p == down || was != down && p != was {
			t.Fatalf("%s moved from %v to %v", key, was.Target, p.Target)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/test/scale/population"
)

// translate makes a population and translates all of it.
func translate(tb testing.TB, size population.Size, meshed bool) *Translation {
	tb.Helper()
	objects, err := NewObjects(size)
	if err != nil {
		tb.Fatal(err)
	}
	t := NewTranslation(objects, meshed)
	t.Feed()
	settle(tb, t)
	return t
}

// prepare makes what a change then changes.
func prepare(tb testing.TB, t *Translation, size population.Size, c change, i int) {
	tb.Helper()
	if c.prepare != nil {
		c.prepare(t, size, i)
		settle(tb, t)
	}
}

func settle(tb testing.TB, t *Translation) {
	tb.Helper()
	if _, err := t.Settle(); err != nil {
		tb.Fatal(err)
	}
}

// reportCPU reports the processor time of an operation: ns/op is the time of
// day, which says little on a busy machine.
func reportCPU(b *testing.B, before time.Duration) {
	b.ReportMetric(float64((CPU()-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkFull translates everything, on one core.
func BenchmarkFull(b *testing.B) {
	for _, size := range []population.Size{population.Of(500), population.Bar(), population.Of(20_000)} {
		for _, meshed := range []bool{false, true} {
			b.Run(fmt.Sprintf("ingresses=%d/mesh=%t", size.Ingresses, meshed), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				objects, err := NewObjects(size)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				before := CPU()
				for b.Loop() {
					t := NewTranslation(objects, meshed)
					t.Feed()
					settle(b, t)
				}
				reportCPU(b, before)
			})
		}
	}
}

// change is one change of one object, in its i-th version.
type change struct {
	name string
	// prepare, unless nil, makes what apply then changes. It costs nothing.
	prepare func(t *Translation, size population.Size, i int)
	apply   func(t *Translation, size population.Size, i int)
	// fragments is how many parts of the snapshot it concerns.
	fragments func(population.Size) int
	// lists says that the change makes the list of all Services in use anew.
	lists bool
	// problems says that the change alters what is wrong.
	problems bool
}

func one(population.Size) int { return 1 }

var changes = []change{
	{name: "Ingress", apply: func(t *Translation, s population.Size, i int) { t.Set(s.Ingress(1, i)) }, fragments: one},
	{name: "EndpointSlice", apply: func(t *Translation, s population.Size, i int) { t.Set(s.EndpointSlice(1, i)) }, fragments: one},
	{name: "Secret", apply: func(t *Translation, s population.Size, i int) { t.SetSecret(s.Key(1, i)) }, fragments: one},
	{
		name: "KongPlugin", apply: func(t *Translation, _ population.Size, i int) {
			for _, p := range population.Plugins(population.Namespace(0), i) {
				t.Set(p)
			}
		}, fragments: func(s population.Size) int { return min(s.PerNamespace, s.Ingresses) },
	},
	{
		name: "KongPlugin of one Ingress, gone", prepare: func(t *Translation, s population.Size, i int) {
			p := ownPlugin(i)
			ing := s.Ingress(1, i)
			ing.Annotations["konghq.com/plugins"] = p.Name
			t.Set(p)
			t.Set(ing)
		}, apply: func(t *Translation, _ population.Size, i int) { t.Store.Delete(ownPlugin(i)) }, fragments: one, problems: true,
	},
	{
		name: "Ingress with another Service", prepare: func(t *Translation, s population.Size, i int) {
			t.Set(spareService(s, i))
		}, apply: func(t *Translation, s population.Size, i int) {
			ing := s.Ingress(1, 0)
			for n := range ing.Spec.Rules[0].HTTP.Paths {
				ing.Spec.Rules[0].HTTP.Paths[n].Backend.Service.Name = spareService(s, i).Name
			}
			t.Set(ing)
		}, fragments: one, lists: true,
	},
}

// ownPlugin is a KongPlugin that no Ingress of the population names.
func ownPlugin(i int) *kongv1.KongPlugin {
	p := population.Plugins(population.Namespace(0), i)[0]
	p.Name = "own"
	return p
}

// spareService is one of two Services that no Ingress of the population names.
func spareService(s population.Size, i int) *corev1.Service {
	o := s.Service(1)
	o.Name = fmt.Sprint("spare-", i%2)
	return o
}

// BenchmarkChange translates what one change touches.
func BenchmarkChange(b *testing.B) {
	for _, size := range []population.Size{population.Of(500), population.Bar(), population.Of(20_000)} {
		t := translate(b, size, false)
		for _, c := range changes {
			i := 0
			b.Run(fmt.Sprintf("%s/ingresses=%d", c.name, size.Ingresses), func(b *testing.B) {
				b.ReportAllocs()
				var took time.Duration
				for b.Loop() {
					i++
					b.StopTimer()
					prepare(b, t, size, c, i)
					b.StartTimer()
					before := CPU()
					c.apply(t, size, i)
					settle(b, t)
					took += CPU() - before
				}
				b.ReportMetric(float64(took.Microseconds())/float64(b.N), "cpu-us/op")
				b.ReportMetric(float64(t.Changed), "fragments")
			})
		}
	}
}

// TestShards holds that the Secrets of a gateway have room for the size that the
// project promises to bear.
func TestShards(t *testing.T) {
	size := population.Bar()
	if size.Ingresses < 5000 || size.Certificates < 300 {
		t.Fatalf("%+v is less than promised", size)
	}
	tr := translate(t, size, false)
	shards, err := shard.Encode(tr.Builder.Export(), shard.SecretLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d shards", len(shards), shard.MaxShards)
	if n := tr.Builder.Export().Records.Len(); n < 3*size.Ingresses {
		t.Errorf("the snapshot holds only %d entities", n)
	}
}

// BenchmarkShards writes the snapshot in the form in which it lies in Secrets.
func BenchmarkShards(b *testing.B) {
	t := translate(b, population.Bar(), false)
	b.ReportAllocs()
	for b.Loop() {
		shards, err := shard.Encode(t.Builder.Export(), shard.SecretLimits)
		if err != nil {
			b.Fatal(err)
		}
		total := 0
		for _, s := range shards {
			total += len(s)
		}
		b.ReportMetric(float64(total)/(1<<20), "MiB")
	}
}

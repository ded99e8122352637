// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"math/rand/v2"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/test/scale/population"
)

// TestNothingIsLeftOver makes thousands of random changes, as many as a busy
// cluster has in hours, takes all of them back and compares with what there was
// before.
func TestNothingIsLeftOver(t *testing.T) {
	size := population.Size{Ingresses: 120, Services: 30, Consumers: 20, Certificates: 10, PerNamespace: 40}
	tr := translate(t, size, false)
	wantSnapshot, err := tr.Settle()
	if err != nil {
		t.Fatal(err)
	}
	want, wantOwners := tr.Store.Size(), len(tr.Builder.Export().Owners)

	c := churn{t: t, size: size, tr: tr, random: rand.New(rand.NewPCG(5, 8))}
	const batch = 25
	largest := want
	for range churnChanges / batch {
		for range batch {
			c.change()
		}
		settle(t, tr)
		if now := tr.Store.Size(); now.Dependencies > largest.Dependencies {
			largest = now
		}
	}
	// Some references lead nowhere for a while, so there may be more to look
	// at than at first, but not without bound.
	if largest.Dependencies > 2*want.Dependencies || largest.Units > 2*want.Units {
		t.Errorf("on the way there were %+v, at first %+v", largest, want)
	}
	c.takeBack()
	got, err := tr.Settle()
	if err != nil {
		t.Fatal(err)
	}
	if now := tr.Store.Size(); now != want {
		t.Errorf("the store holds %+v, want %+v", now, want)
	}
	if n := len(tr.Builder.Export().Owners); n != wantOwners {
		t.Errorf("%d fragments, want %d", n, wantOwners)
	}
	if got.Records.Hash() != wantSnapshot.Records.Hash() || got.Records.Len() != wantSnapshot.Records.Len() {
		t.Errorf("%d entities, want %d with the same content", got.Records.Len(), wantSnapshot.Records.Len())
	}
}

// churn changes a population at random.
type churn struct {
	t      *testing.T
	size   population.Size
	tr     *Translation
	random *rand.Rand
}

// change changes, deletes or brings back one object.
func (c *churn) change() {
	revision, gone := 1+c.random.IntN(50), c.random.IntN(4) == 0
	var o client.Object
	switch c.random.IntN(6) {
	case 0:
		o = c.size.Service(c.random.IntN(c.size.Services))
	case 1:
		o = c.size.EndpointSlice(c.random.IntN(c.size.Services), revision)
	case 2:
		o = c.size.Consumer(c.random.IntN(c.size.Consumers))
	case 3:
		plugins := population.Plugins(population.Namespace(c.random.IntN(c.size.Namespaces())), revision)
		o = plugins[c.random.IntN(len(plugins))]
	case 4:
		key := c.size.Key(c.random.IntN(c.size.Consumers), revision)
		if gone {
			c.tr.DeleteSecret(client.ObjectKeyFromObject(key))
		} else {
			c.tr.SetSecret(key)
		}
		return
	default:
		o = c.size.Ingress(c.random.IntN(c.size.Ingresses), revision)
	}
	if gone {
		c.tr.Store.Delete(o)
	} else {
		c.tr.Set(o)
	}
}

// takeBack makes everything as it was.
func (c *churn) takeBack() {
	for _, o := range c.size.Objects() {
		c.tr.Set(o)
	}
	for i := range c.size.Consumers {
		c.tr.SetSecret(c.size.Key(i, 0))
	}
}

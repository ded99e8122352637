// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// sample returns a snapshot whose content hardly compresses.
func sample(t testing.TB, n int, seed uint64) Snapshot {
	t.Helper()
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	edit := configsync.Records{}.Edit()
	s := Snapshot{Position: configsync.Position{Term: 3, Sequence: seed}}
	for i := range n {
		noise := make([]byte, 100)
		_, _ = rng.Read(noise) // never fails
		r, err := configsync.NewRecord(&entity.Route{
			ID: entity.ID(fmt.Sprintf("route-%d", i)), Name: hex.EncodeToString(noise), Paths: []string{"/<&>"},
		})
		if err != nil {
			t.Fatal(err)
		}
		edit.Put(r.Entry())
		s.Owners = append(s.Owners, Owner{
			Kind: "Ingress", Namespace: "echo", Name: fmt.Sprint(i), Generation: int64(i),
			Object:   Object{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Namespace: "echo", Name: fmt.Sprint(i), UID: "u"},
			LastGood: i%2 == 0, Entities: []entity.Key{r.Key},
		})
	}
	s.Records = edit.Done()
	return s
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 500} {
		want := sample(t, n, 1)
		shards, err := Encode(want, Limits{Shards: 8, Bytes: 20 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if n == 500 && len(shards) < 3 {
			t.Fatalf("%d shards: the test does not cut", len(shards))
		}
		got, err := Decode(shards)
		if err != nil {
			t.Fatal(n, err)
		}
		if got.Position != want.Position || got.Records.Hash() != want.Records.Hash() || !reflect.DeepEqual(got.Owners, want.Owners) {
			t.Fatalf("%d: content changed on the way", n)
		}
	}
}

func TestShardsFitSecrets(t *testing.T) {
	shards, err := Encode(sample(t, 20_000, 1), SecretLimits)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shards {
		if len(s) > MaxBytes {
			t.Errorf("shard %d has %d bytes", i, len(s))
		}
	}
	_, err = Encode(sample(t, 1000, 1), Limits{Shards: 2, Bytes: 10 << 10})
	var large *TooLargeError
	if !errors.As(err, &large) || large.Limit > 20<<10 || large.Bytes <= large.Limit {
		t.Fatalf("got %v", err)
	}
}

func TestTornSetsAreRefused(t *testing.T) {
	limits := Limits{Bytes: 20 << 10}
	old, err1 := Encode(sample(t, 500, 1), limits)
	young, err2 := Encode(sample(t, 500, 2), limits)
	if err1 != nil || err2 != nil || len(old) != len(young) || len(old) < 3 {
		t.Fatal(err1, err2, len(old), len(young))
	}
	damaged := bytes.Clone(old[1])
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name   string
		shards [][]byte
	}{
		{"first is newer", append([][]byte{young[0]}, old[1:]...)},
		{"last is newer", append(slices.Clone(old[:len(old)-1]), young[len(young)-1])},
		{"one is absent", append([][]byte{old[0], nil}, old[2:]...)},
		{"the end is absent", old[:1]},
		{"two are swapped", append([][]byte{old[0], old[2], old[1]}, old[3:]...)},
		{"damaged", append([][]byte{old[0], damaged}, old[2:]...)},
	} {
		var torn *TornError
		if _, err := Decode(c.shards); !errors.As(err, &torn) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	leftover := append(slices.Clone(old), young[1])
	if _, err := Decode(leftover); err != nil {
		t.Errorf("a leftover behind the last shard: %v", err)
	}
	if _, err := Decode([][]byte{nil, old[1]}); !errors.Is(err, ErrNone) {
		t.Errorf("without shard 0: %v", err)
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, read := range []func(string) (Snapshot, error){ReadDir, ReadDisk} {
		for _, d := range []string{dir, filepath.Join(dir, "absent")} {
			if _, err := read(d); !errors.Is(err, ErrNone) {
				t.Fatalf("empty: %v", err)
			}
		}
	}
	mounted, own := sample(t, 300, 1), sample(t, 20, 2)
	shards, err := Encode(mounted, Limits{Bytes: 20 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shards {
		if err := os.WriteFile(filepath.Join(dir, FileName(i)), s, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := WriteDisk(dir, own); err != nil {
			t.Fatal(err)
		}
	}
	a, err1 := ReadDir(dir)
	b, err2 := ReadDisk(dir)
	if err1 != nil || err2 != nil || a.Records.Hash() != mounted.Records.Hash() || b.Records.Hash() != own.Records.Hash() {
		t.Fatal(err1, err2)
	}
	info, err := os.Stat(filepath.Join(dir, diskFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the copy holds keys, its mode is %v (%v)", info.Mode(), err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, diskFile+".*"))
	if len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func FuzzDecode(f *testing.F) {
	shards, err := Encode(sample(f, 3, 1), Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shards[0], []byte(nil))
	two, _ := Encode(sample(f, 3, 1), Limits{Bytes: 200})
	f.Add(two[0], two[1])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s, err := Decode([][]byte{a, b})
		if err == nil && s.Records.Len() > 0 && s.Records.Hash() == (configsync.Hash{}) {
			t.Fatal("records without a hash")
		}
	})
}

func TestSchedule(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name    string
		changes []float64
		want    []float64 // writes
	}{
		{"nothing", nil, nil},
		{"one change", []float64{0}, []float64{10}},
		{"a burst", []float64{0, 1, 2, 3}, []float64{13}},
		{"two bursts within a minute", []float64{0, 15}, []float64{10, 70}},
		{"after a minute", []float64{0, 100}, []float64{10, 110}},
		{"never quiet", []float64{0, 9, 18, 27, 36, 45, 54, 63, 72}, []float64{60, 120}},
	} {
		s := NewSchedule()
		var got []float64
		changes := slices.Clone(c.changes)
		for {
			due, ok := s.Due()
			if len(changes) > 0 && (!ok || at(changes[0]).Before(due)) {
				s.Changed(at(changes[0]))
				changes = changes[1:]
				continue
			}
			if !ok {
				break
			}
			got = append(got, due.Sub(start).Seconds())
			s.Written(due)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: written at %v, want %v", c.name, got, c.want)
		}
	}
}

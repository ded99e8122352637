// SPDX-License-Identifier: Apache-2.0

package streamca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

type memory struct {
	data    []byte
	version int
	saves   int
	fails   int // how many of the next loads fail
}

func (m *memory) Load(context.Context) ([]byte, string, error) {
	if m.fails > 0 {
		m.fails--
		return nil, "", errors.New("connection refused")
	}
	if m.data == nil {
		return nil, "", nil
	}
	return m.data, strconv.Itoa(m.version), nil
}

func (m *memory) Save(_ context.Context, data []byte, version string) error {
	want := ""
	if m.data != nil {
		want = strconv.Itoa(m.version)
	}
	if version != want {
		return ErrConflict
	}
	m.data = data
	m.version++
	m.saves++
	return nil
}

const name = "stream.kong-system.svc"

type published struct {
	at     time.Time
	bundle []byte
}

// TestNoProxyEverMeetsAnUnknownRoot lives through a year with a manager
// that steps when it asked to, and proxies whose mounted bundle is up to 23
// hours old: every certificate that is served verifies with every such bundle.
func TestNoProxyEverMeetsAnUnknownRoot(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	var history []published
	store := &memory{}
	a := New(Config{Store: store, ServerNames: []string{name}, OnBundle: func(b []byte) {
		history = append(history, published{now, b})
	}})
	steps := 0
	for now.Before(start.AddDate(1, 0, 0)) {
		next, err := a.Step(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if !next.After(now) {
			t.Fatalf("step %d at %s: next is %s", steps, now, next)
		}
		leaf := a.leaf.Leaf
		// The leaf serves until the next step.
		for _, at := range []time.Time{now, next} {
			for _, h := range mounted(history, at, 23*time.Hour) {
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM(h.bundle)
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: at}); err != nil {
					t.Fatalf("at %s with the bundle of %s: %v", at, h.at, err)
				}
			}
		}
		if len(a.roots) > 2 {
			t.Fatalf("%d roots are trusted", len(a.roots))
		}
		now = next
		steps++
	}
	if len(history) < 10 || steps > 365*2 {
		t.Fatalf("%d bundles in %d steps", len(history), steps)
	}
}

// mounted returns the bundles that a proxy may have at a time.
func mounted(history []published, at time.Time, lag time.Duration) []published {
	var out []published
	for i, h := range history {
		if i+1 < len(history) && history[i+1].at.Before(at.Add(-lag)) {
			continue
		}
		if i > 0 || len(history) == 1 || h.at.Before(at) {
			out = append(out, h)
		}
	}
	return out
}

// TestReplicas lives through half a year with three processes that share a Store and
// look at it at odd times. One of them, now this and now that, publishes the
// bundle that it knows; every certificate that any of them serves verifies with
// what was published last.
func TestReplicas(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := &memory{}
	var replicas []*Authority
	for range 3 {
		replicas = append(replicas, New(Config{Store: store, ServerNames: []string{name}, OnBundle: func([]byte) {}}))
	}
	step := func(a *Authority, now time.Time) {
		t.Helper()
		if _, err := a.Step(t.Context(), now); err != nil {
			t.Fatalf("%s: %v", now, err)
		}
	}
	for _, a := range replicas {
		step(a, start)
	}
	bundle := replicas[0].Bundle()
	roots := 1
	for hour := 8; hour < 180*24; hour += 8 {
		now := start.Add(time.Duration(hour) * time.Hour)
		for i, a := range replicas {
			now = now.Add(time.Duration(hour*7+i*13) % 17 * time.Minute)
			step(a, now)
			if i == hour/100%3 && !bytes.Equal(bundle, a.Bundle()) {
				bundle = a.Bundle()
				roots++
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(bundle)
			for _, other := range replicas {
				leaf := leafOf(t, other)
				if now.After(leaf.NotAfter) {
					t.Fatalf("%s: a certificate is too old", now)
				}
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: now}); err != nil {
					t.Fatalf("%s: %v", now, err)
				}
			}
		}
	}
	if roots < 4 {
		t.Errorf("the bundle changed %d times only", roots)
	}
}

// leafOf returns what an authority serves.
func leafOf(t *testing.T, a *Authority) *x509.Certificate {
	t.Helper()
	c, err := a.TLSConfig().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func TestNextLeaderGoesOn(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := &memory{}
	config := Config{Store: store, ServerNames: []string{name}, OnBundle: func([]byte) {}}
	first, second := New(config), New(config)
	for _, a := range []*Authority{first, second} {
		if _, err := a.Step(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if store.saves != 1 || !bytes.Equal(first.Bundle(), second.Bundle()) {
		t.Fatalf("the second leader made roots of its own (%d saves)", store.saves)
	}
	if bytes.Equal(first.leaf.Certificate[0], second.leaf.Certificate[0]) {
		t.Fatal("two leaders share a key")
	}
}

func TestDeletedSecretIsWrittenAgain(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := &memory{}
	a := New(Config{Store: store, ServerNames: []string{name}, OnBundle: func([]byte) {}})
	if _, err := a.Step(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	before := a.Bundle()
	store.data = nil
	if _, err := a.Step(t.Context(), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if store.data == nil || !bytes.Equal(before, a.Bundle()) {
		t.Fatal("the roots were lost with the Secret")
	}
}

func TestDamagedSecretStopsAndKeepsServing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := &memory{}
	a := New(Config{Store: store, ServerNames: []string{name}, OnBundle: func([]byte) {}})
	if _, err := a.Step(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	good := store.data
	for _, damage := range []func() []byte{
		func() []byte { return []byte("{") },
		func() []byte { return bytes.Replace(good, []byte("BEGIN PRIVATE KEY"), []byte("BEGIN"), 1) },
		func() []byte { return bytes.Replace(good, []byte(`"key":"`), []byte(`"key":"x`), 1)[:len(good)-40] },
	} {
		store.data = damage()
		_, err := a.Step(t.Context(), now)
		if err == nil || !strings.Contains(err.Error(), "restore the Secret") {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), "PRIVATE") {
			t.Fatal("the error shows the key")
		}
	}
	if c, err := a.TLSConfig().GetCertificate(nil); err != nil || c == nil {
		t.Fatal("the certificate is not served any more")
	}
}

func TestLongAbsence(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := &memory{}
	a := New(Config{Store: store, ServerNames: []string{name}, OnBundle: func([]byte) {}})
	for _, away := range []time.Duration{0, RootValidity - time.Hour, 365 * 24 * time.Hour} {
		now = now.Add(away)
		if _, err := a.Step(t.Context(), now); err != nil {
			t.Fatalf("after %s: %v", away, err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(a.Bundle())
		if _, err := a.leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: now}); err != nil {
			t.Fatalf("after %s: %v", away, err)
		}
	}
}

func TestRunRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{fails: 1}
		bundles := make(chan []byte, 10)
		a := New(Config{Store: store, ServerNames: []string{name}, OnBundle: func(b []byte) { bundles <- b }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		if _, err := a.TLSConfig().GetCertificate(nil); err == nil {
			t.Error("a certificate without roots")
		}
		time.Sleep(retry)
		synctest.Wait()
		if len(bundles) != 1 {
			t.Errorf("%d bundles", len(bundles))
		}
		time.Sleep(RotateAfter + 2*time.Hour)
		synctest.Wait()
		if got := bytes.Count(a.Bundle(), []byte("BEGIN CERTIFICATE")); len(bundles) != 2 || got != 2 {
			t.Errorf("after %s: %d bundles, %d roots", RotateAfter, len(bundles), got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestSecretStore(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	s := &SecretStore{Reader: c, Writer: c, Name: types.NamespacedName{Namespace: "kong-system", Name: "stream-ca"}}
	if data, version, err := s.Load(t.Context()); data != nil || version != "" || err != nil {
		t.Fatal(data, version, err)
	}
	if err := s.Save(t.Context(), []byte("one"), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), []byte("two"), ""); !errors.Is(err, ErrConflict) {
		t.Fatalf("a second creation: %v", err)
	}
	_, version, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), []byte("two"), version); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), []byte("three"), version); !errors.Is(err, ErrConflict) {
		t.Fatalf("an old version: %v", err)
	}
	if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name.Namespace, Name: s.Name.Name}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), []byte("four"), version); !errors.Is(err, ErrConflict) {
		t.Fatalf("a deleted Secret: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	rs, _, err := Roots(nil).Rotate(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	data, err := rs.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`[{"certificate":"","key":""}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rs, err := Decode(data)
		if err != nil {
			return
		}
		for _, r := range rs {
			if r.Key == nil || r.Certificate == nil {
				t.Fatal("half a root")
			}
		}
	})
}

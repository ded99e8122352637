// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

func unsafeView(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// server starts a redis-server on a free loopback port.
func server(t *testing.T, password string) RedisConfig {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not installed; run: apt-get install -y redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	args := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}
	if password != "" {
		args = append(args, "--requirepass", password)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return RedisConfig{Host: "127.0.0.1", Port: port, Timeout: 2000, Password: password}
		}
	}
	t.Fatalf("redis-server did not come up:\n%s", said.String())
	return RedisConfig{}
}

func TestRedisCountsForAll(t *testing.T) {
	c := server(t, "secret")
	now := time.Now()
	limits := Limits{Hour: 50, Year: 1000}
	one, other := OpenRedis(&plugintest.Host{}, "test", c), OpenRedis(&plugintest.Host{}, "test", c)
	defer one.Close()
	defer other.Close()
	var passed atomic.Int64
	var wait sync.WaitGroup
	for _, r := range []*Redis{one, other} {
		for range 4 {
			wait.Go(func() {
				for range 20 {
					_, ok, err := r.Take(context.Background(), Key{Scope: "r:s", ID: "a"}, &limits, now)
					if err != nil {
						t.Error(err)
						return
					}
					if ok {
						passed.Add(1)
					}
				}
			})
		}
	}
	wait.Wait()
	if passed.Load() != 50 {
		t.Errorf("%d requests passed a limit of 50", passed.Load())
	}
	used, err := one.Usage(context.Background(), Key{Scope: "r:s", ID: "a"}, &limits, now)
	if err != nil || used[Hour] != 50 || used[Year] != 50 {
		t.Errorf("%v %v", used, err)
	}
	ttl, err := one.client.TTL(context.Background(), "ratelimit:r:s:a:"+strconv.FormatInt(Hour.Start(now)*1000, 10)+":hour").Result()
	if err != nil || ttl <= 0 || ttl > time.Hour {
		t.Errorf("the hour's key lives for %s (%v)", ttl, err)
	}
}

func TestRedisFractions(t *testing.T) {
	r := OpenRedis(&plugintest.Host{}, "test", server(t, ""))
	defer r.Close()
	limits := Limits{Day: 10}
	for _, n := range []float64{1.5, 2} {
		if err := r.Add(context.Background(), Key{ID: "a", Name: "video"}, &limits, time.Now(), n); err != nil {
			t.Fatal(err)
		}
	}
	if used, err := r.Usage(context.Background(), Key{ID: "a", Name: "video"}, &limits, time.Now()); err != nil || used[Day] != 3.5 {
		t.Errorf("%v %v", used, err)
	}
}

func TestRedisIsReachedThroughTheHost(t *testing.T) {
	refused := errors.New("not allowed")
	host := &plugintest.Host{Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}
	r := OpenRedis(host, "test", RedisConfig{Host: "127.0.0.1", Port: 6379, Timeout: 200})
	defer r.Close()
	if _, _, err := r.Take(context.Background(), Key{}, &Limits{Day: 1}, time.Now()); !errors.Is(err, refused) {
		t.Errorf("%v, want the host's refusal", err)
	}
}

func TestAsyncNodesLearnFromEachOther(t *testing.T) {
	c := server(t, "")
	now := time.Now()
	limits := Limits{Year: 10}
	nodes := [2]*Async{}
	for i := range nodes {
		r := OpenRedis(&plugintest.Host{}, "test", c)
		defer r.Close()
		// The loop's own rounds are far apart: the test decides when to sync.
		nodes[i] = OpenAsync(r, time.Hour, time.Now, func(err error) { t.Error(err) })
		defer nodes[i].Close()
	}
	key := Key{ID: "a"}
	for range 4 {
		nodes[0].Take(key, &limits, now)
		nodes[1].Take(key, &limits, now)
	}
	for _, n := range []*Async{nodes[0], nodes[1], nodes[0]} {
		n.Take(key, &limits, now)
		if err := n.Sync(now); err != nil {
			t.Fatal(err)
		}
	}
	if used, ok := nodes[0].Take(key, &limits, now); ok || used[Year] != 11 {
		t.Errorf("%v %t, want 11 counted by both", used, ok)
	}
}

func TestAsyncKeepsWhatCouldNotBeSent(t *testing.T) {
	c := server(t, "")
	var broken atomic.Bool
	broken.Store(true)
	host := &plugintest.Host{}
	host.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if broken.Load() {
			return nil, errors.New("down")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	r := OpenRedis(host, "test", c)
	defer r.Close()
	a := OpenAsync(r, time.Hour, time.Now, func(error) {})
	defer a.Close()
	now := time.Now()
	limits := Limits{Year: 10}
	a.Take(Key{ID: "a"}, &limits, now)
	if err := a.Sync(now); err == nil {
		t.Fatal("no error while the server is down")
	}
	broken.Store(false)
	if err := a.Sync(now); err != nil {
		t.Fatal(err)
	}
	if used, err := r.Usage(context.Background(), Key{ID: "a"}, &limits, now); err != nil || used[Year] != 1 {
		t.Errorf("%v %v", used, err)
	}
}

func TestAsyncSendsOnCloseAndAtItsRate(t *testing.T) {
	c := server(t, "")
	r := OpenRedis(&plugintest.Host{}, "test", c)
	defer r.Close()
	limits := Limits{Year: 10}
	now := time.Now()
	a := OpenAsync(r, time.Hour, time.Now, func(err error) { t.Error(err) })
	a.Take(Key{ID: "closed"}, &limits, now)
	a.Close()
	if used, err := r.Usage(context.Background(), Key{ID: "closed"}, &limits, now); err != nil || used[Year] != 1 {
		t.Errorf("after Close: %v %v", used, err)
	}
	b := OpenAsync(r, 20*time.Millisecond, time.Now, func(err error) { t.Error(err) })
	defer b.Close()
	b.Take(Key{ID: "ticked"}, &limits, now)
	deadline := time.Now().Add(10 * time.Second)
	for {
		used, err := r.Usage(context.Background(), Key{ID: "ticked"}, &limits, now)
		if err != nil {
			t.Fatal(err)
		}
		if used[Year] == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the loop did not sync within 10 s at a rate of 20 ms")
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package logqueue

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

const patience = 10 * time.Second

// kept is a sink that remembers.
type kept struct {
	mu     sync.Mutex
	got    []string
	closed chan struct{}
}

func (k *kept) Send(_ context.Context, batch [][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, record := range batch {
		k.got = append(k.got, string(record))
	}
	return nil
}

func (k *kept) Close() { close(k.closed) }

// Instances with the same config share a sink, which is closed behind the last
// record of the last of them.
func TestInstancesShareASink(t *testing.T) {
	host := &plugintest.Host{}
	var sinks []*kept
	front := func(dst []byte, status int, _ time.Time) ([]byte, bool) {
		return fmt.Appendf(dst, "front %d ", status), status != 404
	}
	open := func(conf any) *Logger {
		l, err := Open(host, "test", conf, Once(), func() Sink {
			sinks = append(sinks, &kept{closed: make(chan struct{})})
			return sinks[len(sinks)-1]
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a, b, other := open("one"), open("one"), open("two")
	if len(sinks) != 2 {
		t.Fatalf("%d sinks for two configs", len(sinks))
	}
	other.Phases().Close()
	<-sinks[1].closed
	plain, behind := a.Phases(), b.PhasesBehind(front)
	for _, status := range []int{404, 200} {
		plugintest.Serve(plugintest.New(time.Now(), "GET", "/a"), plugintest.Answer{Status: status}, behind)
	}
	behind.StreamLog(plugintest.NewSession(time.Now()))
	behind.Close()
	plugintest.Serve(plugintest.New(time.Now(), "GET", "/b"), plugintest.Answer{Status: 404}, plain)
	plain.StreamLog(plugintest.NewSession(time.Now()))
	plain.Close()
	select {
	case <-sinks[0].closed:
	case <-time.After(patience):
		t.Fatal("the sink is not closed")
	}
	var starts []string
	for _, record := range sinks[0].got {
		start, _, _ := strings.Cut(record, ":")
		starts = append(starts, start)
	}
	if got := strings.Join(starts, " "); got != `front 200 {"request" front 0 {"session" {"request" {"session"` {
		t.Errorf("got %s", got)
	}
	if open("one"); len(sinks) != 3 {
		t.Error("a queue that ended is used again")
	}
}

func TestDecode(t *testing.T) {
	var conf struct {
		Path string `json:"path"`
	}
	values := map[string]any{"path": "/a", "custom_fields_by_lua": map[string]any{}}
	if err := Decode(plugin.Config{Values: values}, &conf); err != nil || conf.Path != "/a" {
		t.Errorf("%+v, %v", conf, err)
	}
	values["custom_fields_by_lua"] = map[string]any{"a": "return 1"}
	want := "custom_fields_by_lua: this gateway runs no Lua; remove the field"
	if err := Decode(plugin.Config{Values: values}, &conf); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := Decode(plugin.Config{Values: map[string]any{"path": 1}}, &conf); err == nil {
		t.Error("a config that does not fit is taken")
	}
}

// Each record is a datagram, and one that cannot be sent costs no other.
func TestDatagrams(t *testing.T) {
	udp := plugintest.ListenUDP(t)
	path := filepath.Join(t.TempDir(), "log")
	local, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	host := &plugintest.Host{}
	for name, c := range map[string]struct {
		sink *Datagrams
		conn net.Conn
	}{
		"udp":   {NewUDP(host, "127.0.0.1", udp.Port(), 10000), udp},
		"local": {NewLocal(host, path), local},
	} {
		defer func() { _ = c.conn.Close() }()
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		err := c.sink.Send(t.Context(), [][]byte{[]byte("one"), make([]byte, 8<<20), []byte("two")})
		if err == nil || !strings.Contains(err.Error(), "1 of 3") {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{"one", "two"} {
			buffer := make([]byte, 100)
			if n, err := c.conn.Read(buffer); err != nil || string(buffer[:n]) != want {
				t.Errorf("%s: got %q, %v; want %s", name, buffer[:n], err, want)
			}
		}
	}
}

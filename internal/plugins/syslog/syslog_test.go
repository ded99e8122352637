// SPDX-License-Identifier: Apache-2.0

package syslog

import (
	"context"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/syslog/schema"
)

func TestMessages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	host := &plugintest.Host{Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "/dev/log" {
			t.Errorf("dialled %s", address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, path)
	}}
	p := plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: map[string]any{
		"facility": "local0", "log_level": "notice", "client_errors_severity": "notice", "server_errors_severity": "emerg",
	}})
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, status := range []int{200, 404, 500} { // the first is below the level
		x := plugintest.New(started, "GET", "/a")
		x.Times.End = started
		plugintest.Serve(x, plugintest.Answer{Status: status}, p)
	}
	for _, priority := range []string{"133", "128"} {
		buffer := make([]byte, 1<<16)
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`^<` + priority + `>Jan  2 03:04:05 kong\[\d+\]: \{"request":.*\}$`)
		if !want.Match(buffer[:n]) {
			t.Errorf("got %s, want %s", buffer[:n], want)
		}
	}
}

func TestSessions(t *testing.T) {
	host := &plugintest.Host{Dialer: func(context.Context, string, string) (net.Conn, error) {
		return nil, context.DeadlineExceeded
	}}
	p := plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{})
	p.StreamLog(plugintest.NewSession(time.Now()))
	p.Close()
	if !strings.Contains(host.Logged(), "/dev/log") {
		t.Errorf("nothing is said of a machine without a daemon: %s", host.Logged())
	}
}

func TestLuaIsRefused(t *testing.T) {
	conf := map[string]any{"custom_fields_by_lua": map[string]any{"a": "return 1"}}
	if _, err := configure(plugin.Config{Values: conf, Host: &plugintest.Host{}}); err == nil || !strings.Contains(err.Error(), "custom_fields_by_lua") {
		t.Error(err)
	}
}

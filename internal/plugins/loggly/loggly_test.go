// SPDX-License-Identifier: Apache-2.0

package loggly

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/loggly/schema"
)

func TestMessages(t *testing.T) {
	c := plugintest.ListenUDP(t)
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: map[string]any{
		"host": "127.0.0.1", "port": c.Port(), "key": "token", "tags": []any{"a", `b"]c`},
		"log_level": "warning", "client_errors_severity": "warning", "server_errors_severity": "crit",
	}})
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for _, status := range []int{200, 404, 500} { // the first is below the level
		x := plugintest.New(started, "GET", "/a")
		x.Times.End = started
		plugintest.Serve(x, plugintest.Answer{Status: status}, p)
	}
	host, _ := os.Hostname()
	for _, priority := range []string{"12", "10"} {
		want := regexp.MustCompile(`^<` + priority + `>1 2026-01-02T02:04:05Z ` + regexp.QuoteMeta(host+` kong - - [token@41058 tag="a" tag="b\"\]c"] `) + `\{"request":.*\}$`)
		if got := c.Next(); !want.Match(got) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	p.StreamLog(plugintest.NewSession(started)) // of no severity above the level
	p.Close()
	_ = c.SetReadDeadline(time.Now())
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes of a session came", n)
	}
}

func TestLuaIsRefused(t *testing.T) {
	conf := map[string]any{"key": "a", "custom_fields_by_lua": map[string]any{"a": "return 1"}}
	if _, err := configure(plugin.Config{Values: conf, Host: &plugintest.Host{}}); err == nil || !strings.Contains(err.Error(), "custom_fields_by_lua") {
		t.Error(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package udplog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/udp-log/schema"
)

func TestRecordsAreDatagrams(t *testing.T) {
	c := plugintest.ListenUDP(t)
	read := func() (record map[string]any) {
		datagram := c.Next()
		if err := json.Unmarshal(datagram, &record); err != nil {
			t.Fatalf("%v: %s", err, datagram)
		}
		return record
	}
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{
		Config: map[string]any{"host": "127.0.0.1", "port": c.Port()},
	})
	for _, target := range []string{"/a", "/b"} {
		plugintest.Serve(plugintest.New(time.Now(), "GET", target), plugintest.Answer{Status: 200}, p)
		if request, _ := read()["request"].(map[string]any); request["uri"] != target {
			t.Errorf("%s: %v", target, request)
		}
	}
	if p.StreamLog(plugintest.NewSession(time.Now())); read()["session"] == nil {
		t.Error("not the record of the session")
	}
}

func TestLuaIsRefused(t *testing.T) {
	conf := map[string]any{"host": "a", "port": 1, "custom_fields_by_lua": map[string]any{"a": "return 1"}}
	if _, err := configure(plugin.Config{Values: conf, Host: &plugintest.Host{}}); err == nil || !strings.Contains(err.Error(), "custom_fields_by_lua") {
		t.Error(err)
	}
}

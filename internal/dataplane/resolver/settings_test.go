// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("192.0.2.9 own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"KONG_DNS_RESOLVER": "10.0.0.1, 10.0.0.2:54,[::1]:55, ::2", "KONG_DNS_HOSTSFILE": hosts, "KONG_DNS_ORDER": "last, A,CNAME,srv",
		"KONG_DNS_VALID_TTL": "7", "KONG_DNS_STALE_TTL": "0", "KONG_DNS_NOT_FOUND_TTL": "1.5", "KONG_DNS_ERROR_TTL": "2", "KONG_DNS_CACHE_SIZE": "50",
	}
	for name := range env {
		if !ReadsSetting(name) {
			t.Errorf("%s is not read", name)
		}
	}
	s, err := ReadSettings(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Config(filepath.Join(t.TempDir(), "resolv.conf"), "/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	c.setDefaults()
	if strings.Join(c.Servers, " ") != "10.0.0.1:53 10.0.0.2:54 [::1]:55 [::2]:53" || strings.Join(c.Order, " ") != "LAST A SRV" || len(c.Hosts["own"]) != 1 {
		t.Errorf("%+v", c)
	}
	if c.ValidTTL != 7*time.Second || c.StaleTTL != 1 || c.NotFoundTTL != 1500*time.Millisecond || c.ErrorTTL != 2*time.Second || c.MaxEntries != 50 {
		t.Errorf("%+v", c)
	}
	none, err := ReadSettings(func(string) (string, bool) { return "", true })
	if err != nil {
		t.Fatal(err)
	}
	if c, err = none.Config("/nowhere", "/nowhere"); err != nil {
		t.Fatal(err)
	}
	if c.setDefaults(); c.StaleTTL != time.Hour || strings.Join(c.Order, " ") != "LAST SRV A AAAA" {
		t.Errorf("%+v", c)
	}
}

func TestSettingsThatCannotBeRead(t *testing.T) {
	for name, v := range map[string]string{
		"KONG_DNS_RESOLVER": "ns.test", "KONG_DNS_ORDER": "A,MX", "KONG_DNS_STALE_TTL": "-1", "KONG_DNS_VALID_TTL": "1h", "KONG_DNS_CACHE_SIZE": "0",
	} {
		_, err := ReadSettings(func(n string) (string, bool) { return v, n == name })
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s=%s: %v", name, v, err)
		}
	}
	if _, err := ReadSettings(func(n string) (string, bool) { return "LAST", n == "KONG_DNS_ORDER" }); err == nil {
		t.Error("an order without a type")
	}
}

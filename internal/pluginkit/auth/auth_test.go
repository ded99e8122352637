// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

var people = &plugintest.Directory{Consumers: []*entity.Consumer{{ID: "1", Username: "amy", CustomID: "c-1"}, {ID: "2", Username: "guest"}}}

func accept(x plugin.Exchange) *plugin.Reply {
	Accept(x, &entity.Credential{ID: "k", Consumer: &entity.Ref{ID: "1"}}, "name")
	return nil
}

func refuse(plugin.Exchange) *plugin.Reply { return Refuse("no", "Key") }

// run returns the identity headers that the upstream gets.
func run(t *testing.T, anonymous string, before plugin.Identity, check func(plugin.Exchange) *plugin.Reply) (*plugintest.Exchange, string, string) {
	t.Helper()
	x := plugintest.New(time.Now(), "GET", "/", "X-Consumer-ID", "forged", "x-consumer-username", "forged",
		"X-Consumer-Custom-ID", "forged", "X-Credential-Identifier", "forged", "X-Anonymous-Consumer", "forged")
	x.People, x.Who = people, before
	host := &plugintest.Host{}
	Run(x, anonymous, host.Logger("test"), check)
	h := x.RequestHeader
	return x, strings.Join([]string{h.Get("X-Consumer-ID"), h.Get("X-Consumer-Username"), h.Get("X-Consumer-Custom-ID"),
		h.Get("X-Credential-Identifier"), h.Get("X-Anonymous-Consumer")}, " "), host.Logged()
}

func TestRun(t *testing.T) {
	earlier := plugin.Identity{Consumer: people.Consumers[1], Credential: &entity.Credential{ID: "earlier"}}
	standIn := plugin.Identity{Consumer: people.Consumers[1], Anonymous: true}
	const forged = "forged forged forged forged forged"
	for _, c := range []struct {
		name, anonymous string
		before          plugin.Identity
		check           func(plugin.Exchange) *plugin.Reply
		headers         string
		status          int
	}{
		{"accepted", "", plugin.Identity{}, accept, "1 amy c-1 name ", 0},
		{"refused", "", plugin.Identity{}, refuse, forged, 401},
		{"refused, anonymous by name", "guest", plugin.Identity{}, refuse, "2 guest   true", 0},
		{"refused, anonymous by id", "2", plugin.Identity{}, refuse, "2 guest   true", 0},
		{"refused, no such anonymous", "nobody", plugin.Identity{}, refuse, forged, 500},
		{"authenticated before, all needed", "", earlier, refuse, forged, 401},
		{"authenticated before, one needed", "guest", earlier, refuse, forged, 0},
		{"anonymous before", "guest", standIn, accept, "1 amy c-1 name ", 0},
	} {
		x, headers, log := run(t, c.anonymous, c.before, c.check)
		status := 0
		if x.Reply != nil {
			status = x.Reply.Status
		}
		if headers != c.headers || status != c.status {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, headers, c.status, c.headers)
		}
		if (c.status == 500) != strings.Contains(log, "nobody") {
			t.Errorf("%s: log %q", c.name, log)
		}
	}
}

func TestAcceptWithoutConsumer(t *testing.T) {
	x := plugintest.New(time.Now(), "GET", "/")
	for _, credential := range []*entity.Credential{{ID: "k"}, {ID: "k", Consumer: &entity.Ref{ID: "gone"}}} {
		if Accept(x, credential, "") || x.Who.Credential != nil {
			t.Error("a credential of nobody was accepted")
		}
	}
}

func TestChallenge(t *testing.T) {
	if got := Challenge("Key", ""); got != "Key" {
		t.Error(got)
	}
	if got, want := Challenge("Basic", "The \"A\\PI\"\r\nX"), `Basic realm="The \"A\\PI\"X"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

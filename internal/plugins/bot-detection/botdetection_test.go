// SPDX-License-Identifier: Apache-2.0

package botdetection

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/bot-detection/schema"
)

func TestAccess(t *testing.T) {
	type m = map[string]any
	lists := m{"allow": []any{"Googlebot", "^Go-http"}, "deny": []any{"curl", "evil.*agent", "Googlebot/1"}}
	for _, c := range []struct {
		name    string
		config  m
		header  []string
		status  int
		message string
	}{
		{"none", nil, nil, 0, ""},
		{"empty", nil, []string{"User-Agent", ""}, 0, ""},
		{"a browser", nil, []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"}, 0, ""},
		{"a robot", nil, []string{"User-Agent", "Mozilla/5.0 (compatible; bingbot/2.0)"}, 403, "Forbidden"},
		{"two", nil, []string{"User-Agent", "a", "User-Agent", "b"}, 400, "Only one User-Agent header allowed"},
		{"allowed robot", lists, []string{"User-Agent", "Googlebot/2.1"}, 0, ""},
		{"allow before deny", lists, []string{"User-Agent", "Googlebot/1"}, 0, ""},
		{"allowed at its start only", lists, []string{"User-Agent", "a Go-http-client"}, 403, "Forbidden"},
		{"denied", lists, []string{"User-Agent", "an evil agent"}, 403, "Forbidden"},
		{"expressions heed case", lists, []string{"User-Agent", "Evil Agent"}, 0, ""},
		{"other robots", lists, []string{"User-Agent", "Twitterbot/1.0"}, 403, "Forbidden"},
		{"blanks around", m{"deny": []any{"^me$"}}, []string{"User-Agent", " me "}, 403, "Forbidden"},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(time.Now(), "GET", "/", c.header...)
		p.Access(x)
		status, message := 0, ""
		if x.Reply != nil {
			status, message = x.Reply.Status, x.Reply.Message
		}
		if status != c.status || message != c.message {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, message, c.status, c.message)
		}
	}
}

func TestIsBot(t *testing.T) {
	for agent, want := range map[string]bool{
		// By name, wherever it stands, and as it is written.
		"okhttp/4.9.0": true, "axios": true, "AHRC unirest-java": true, "Okhttp/4": false,
		"facebookexternalhit/1.1": true, "facebookexternalhit": false,
		"Twitterbot": true, "WhatsApp/2.23": true, "Slackbot-LinkExpanding 1.0": true, "NewsGator": true,
		// By what it says that it is.
		"SpIdEr": true, "myCRAWLer": true, "scrape": true, "SCRAPE": false,
		"bot": false, "robots": false, "mybot/1": true, "mybot 1": true, "my/bot-1": false, "/mybot-1": true, "GOOGLEBOT/2.1": false,
		"Archiver/1": true, "Archiver": false, "archiver": true, "indexer 2": true,
		// By what surrounds it.
		"WordPress": true, "EDI/1": true, "WEDI/1": false, "EDI": false,
		"aws-cli/1.2": true, "aws-cli/1": false, "my-aws-cli/1.2": true, "myaws-cli/1.2": false, "aws-sdk-dotnet-45/3.1": true, "aws-sdk-dotnet-456/3.1": false,
		"Y!J-BRW/1": true, "Y!J-BR1/1": false,
		"NING": true, "PLANNING": false, "Zao": true, "a Zao": false, "Yeti": true, "xYeti": false, "jbot": true, "jbots": false,
		"Googlex /+/web/snippet": true, "/+/web/snippet": false, "Xenu's Link Sleuth": true, "Link Sleuth": false,
		"x PTST/1.2": true, "x PTST/1.2 y": false, "Yandex": false, "YandexBot": true,
		"myfavicon": true, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxfavicon": false,
		// What is none.
		"": false, "curl/8.5.0": false, "Wget/1.21": false, "PostmanRuntime/7.36": false, "kube-probe/1.29": false, "python-requests/2.31.0": false, "Java/17.0.1": false,
	} {
		if got := isBot(agent); got != want {
			t.Errorf("%q: %t, want %t", agent, got, want)
		}
	}
}

// A robot stays one beside other words, unless its sign is the beginning or the
// end of the User-Agent.
func FuzzIsBot(f *testing.F) {
	f.Add("Mozilla/5.0 (compatible; Googlebot/2.1)")
	f.Add("Microsoft \xff Bot")
	f.Fuzz(func(t *testing.T, agent string) {
		if inner := "- " + agent + " -"; !isBot(inner) && isBot(agent) && !atEnds.MatchString(agent) {
			t.Errorf("%q is a robot, and none in %q", agent, inner)
		}
	})
}

var atEnds = regexp.MustCompile(`^(NING|Zao|vortex|voyager)| PTST/\d+\.?\d+$`)

// TestLongAgents holds that a robot's word, however often it is there, does not
// have its pattern run once for each: 15 s for what this test says, before.
func TestLongAgents(t *testing.T) {
	start := time.Now()
	for _, word := range []string{"bot", "IP2", "Accoona-", ".org_bot", "Y!J-BR", "favicon"} {
		isBot(strings.Repeat(word, 32<<10/len(word)))
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	var seen asked
	places := 0
	for _, list := range signs {
		for _, s := range list {
			if s.pattern != nil && seen.first(s.place) {
				places++
			}
		}
	}
	if places == 0 || places > maxPatterns {
		t.Errorf("%d patterns", places)
	}
}

// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/jwt/schema"
)

var now = time.Unix(1_700_000_000, 0)

type m = map[string]any

func directory(fields m) *plugintest.Directory {
	return &plugintest.Directory{
		Consumers: []*entity.Consumer{{ID: "1", Username: "amy"}},
		Secrets:   []*entity.Credential{{ID: "k", Type: collection, Consumer: &entity.Ref{ID: "1"}, Fields: fields}},
	}
}

var shared = m{"key": "iss-a", "secret": "topsecret"}

// sign makes a token from the JSON of its header and claims.
func sign(t *testing.T, algorithm, header, claims string, key any) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.GetSigningMethod(algorithm).Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hs256(t *testing.T, claims string) string {
	return sign(t, "HS256", `{"alg":"HS256"}`, claims, []byte("topsecret"))
}

// ask returns the body of the refusal, "" when the token was accepted.
func ask(t *testing.T, config m, people plugin.Directory, target string, header ...string) (string, *plugintest.Exchange) {
	t.Helper()
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: config})
	x := plugintest.New(now, "GET", target, header...)
	x.People = people
	p.Access(x)
	if x.Reply == nil {
		return "", x
	}
	return string(x.Reply.Body), x
}

func message(s string) string { return `{"message":"` + s + `"}` }

func TestTokens(t *testing.T) {
	good := hs256(t, `{"iss":"iss-a"}`)
	other := hs256(t, `{"iss":"iss-a","n":1}`)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		name, token, want string
		config            m
	}{
		{"good", good, "", nil},
		{"one part", "abc", message("Bad token; invalid JSON"), nil},
		{"two parts", parts[0] + "." + parts[1], message("Bad token; invalid JSON"), nil},
		{"four parts", good + ".x", message("Bad token; invalid signature"), nil},
		{"no signature", parts[0] + "." + parts[1] + ".", message("Invalid signature"), nil},
		{"payload changed", parts[0] + "." + strings.Split(other, ".")[1] + "." + parts[2], message("Invalid signature"), nil},
		{"no algorithm", encode([]byte(`{"typ":"JWT"}`)) + "." + parts[1] + "." + parts[2], message("Bad token; invalid alg"), nil},
		{"none", encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", message("Bad token; invalid alg"), nil},
		{"other algorithm", sign(t, "HS512", `{"alg":"HS512"}`, `{"iss":"iss-a"}`, []byte("topsecret")), message("Invalid algorithm"), nil},
		{"claims are a string", hs256(t, `"str"`), message("No mandatory 'iss' in claims"), nil},
		{"no key claim", hs256(t, `{}`), message("No mandatory 'kid' in claims"), m{"key_claim_name": "kid"}},
		{"empty key claim", hs256(t, `{"iss":""}`), message("Invalid 'iss' in claims"), nil},
		{"unknown key", hs256(t, `{"iss":"x"}`), message("No credentials found for given 'iss'"), nil},
		{"number as key", hs256(t, `{"iss":1}`), message("No credentials found for given 'iss'"), nil},
		{"key in the header", sign(t, "HS256", `{"alg":"HS256","kid":"iss-a"}`, `{}`, []byte("topsecret")), "", m{"key_claim_name": "kid"}},
		{"expired", hs256(t, `{"iss":"iss-a","exp":1}`), `{"exp":"token expired"}`, m{"claims_to_verify": []any{"exp"}}},
		{"expires now", hs256(t, `{"iss":"iss-a","exp":1700000000}`), `{"exp":"token expired"}`, m{"claims_to_verify": []any{"exp"}}},
		{"expires later", hs256(t, `{"iss":"iss-a","exp":1700000001}`), "", m{"claims_to_verify": []any{"exp"}}},
		{"expired, not checked", hs256(t, `{"iss":"iss-a","exp":1}`), "", nil},
		{"not yet", hs256(t, `{"iss":"iss-a","nbf":1700000001,"exp":"1"}`), `{"exp":"must be a number","nbf":"token not valid yet"}`, m{"claims_to_verify": []any{"exp", "nbf"}}},
		{"too long", hs256(t, `{"iss":"iss-a","exp":1700000061}`), `{"exp":"exceeds maximum allowed expiration"}`, m{"claims_to_verify": []any{"exp"}, "maximum_expiration": 60}},
	} {
		got, x := ask(t, c.config, directory(shared), "/", "Authorization", "Bearer "+c.token)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got != "" && x.Reply.Header[1].Value != `Bearer error="invalid_token"` {
			t.Errorf("%s: %v", c.name, x.Reply.Header)
		}
		if got == "" && x.RequestHeader.Get("X-Credential-Identifier") != "iss-a" {
			t.Errorf("%s: %v", c.name, x.RequestHeader.Map())
		}
	}
}

func TestPlaces(t *testing.T) {
	good, other := hs256(t, `{"iss":"iss-a"}`), hs256(t, `{"iss":"iss-a","n":1}`)
	const missing, several = `{"message":"Unauthorized"}`, `{"message":"Multiple tokens provided"}`
	for _, c := range []struct {
		name, target string
		config       m
		header       []string
		want         string
	}{
		{"nowhere", "/", nil, nil, missing},
		{"other scheme", "/", nil, []string{"Authorization", "Basic " + good}, missing},
		{"no scheme", "/", nil, []string{"Authorization", good}, missing},
		{"scheme in capitals, spaces", "/", nil, []string{"Authorization", "BEARER   " + good}, ""},
		{"query", "/?jwt=" + good, nil, nil, ""},
		{"own parameter", "/?t=" + good, m{"uri_param_names": []any{"t"}}, nil, ""},
		{"cookie", "/", m{"cookie_names": []any{"c"}}, []string{"Cookie", "a=b; c=" + good}, ""},
		{"own header", "/", m{"header_names": []any{"x-token"}}, []string{"X-Token", "Bearer " + good}, ""},
		{"same twice", "/?jwt=" + good, nil, []string{"Authorization", "Bearer " + good}, ""},
		{"different ones", "/?jwt=" + good, nil, []string{"Authorization", "Bearer " + other}, several},
		{"preflight is asked", "/", nil, nil, missing},
	} {
		if got, _ := ask(t, c.config, directory(shared), c.target, c.header...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, x := ask(t, m{"realm": "r"}, directory(shared), "/"); x.Reply.Header[1].Value != `Bearer realm="r"` {
		t.Errorf("%v", x.Reply.Header)
	}
	if got, _ := ask(t, nil, &plugintest.Directory{Secrets: directory(shared).Secrets}, "/?jwt="+good); got != message("Could not find consumer for 'iss=iss-a'") {
		t.Error(got)
	}
}

func TestSecretsInBase64(t *testing.T) {
	for stored, key := range map[string]string{"YWJjZA==": "abcd", "YWJjZGVm": "abcdef", "-_-_": "\xfb\xff\xbf", "+/+/": "", "***": ""} {
		token := sign(t, "HS256", `{"alg":"HS256"}`, `{"iss":"iss-a"}`, []byte(key+strings.Repeat("x", max(0, 1-len(key)))))
		want := ""
		if key == "" {
			want = message("Invalid key/secret")
		}
		if got, _ := ask(t, m{"secret_is_base64": true}, directory(m{"key": "iss-a", "secret": stored}), "/?jwt="+token); got != want {
			t.Errorf("%s: %q, want %q", stored, got, want)
		}
	}
}

func TestPublicKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range map[string]crypto.Signer{"RS256": rsaKey, "PS512": rsaKey, "ES256": ecKey, "EdDSA": edKey} {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		people := directory(m{"key": "iss-a", "algorithm": algorithm, "rsa_public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
		token := sign(t, algorithm, `{"alg":"`+algorithm+`"}`, `{"iss":"iss-a"}`, key)
		if got, _ := ask(t, nil, people, "/?jwt="+token); got != "" {
			t.Errorf("%s: %s", algorithm, got)
		}
		if got, _ := ask(t, nil, people, "/?jwt="+token[:len(token)-8]); got != message("Invalid signature") {
			t.Errorf("%s, short signature: %s", algorithm, got)
		}
		// A public key must never serve as the secret of an HMAC.
		forged := sign(t, "HS256", `{"alg":"HS256"}`, `{"iss":"iss-a"}`, []byte(people.Secrets[0].Fields["rsa_public_key"].(string)))
		if got, _ := ask(t, nil, people, "/?jwt="+forged); got != message("Invalid algorithm") {
			t.Errorf("%s, key confusion: %s", algorithm, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln")
	f.Fuzz(func(t *testing.T, raw string) {
		if tok, problem := parse(raw); (tok == nil) == (problem == "") {
			t.Errorf("%v %q", tok, problem)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// token is a token in its parts (RFC 7519).
type token struct {
	algorithm string
	header    map[string]any
	claims    map[string]any // nil when the payload is JSON but no object
	signed    string
	signature []byte
}

// algorithms are those that Kong knows. "none" is not among them.
var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

// parse takes a token apart, and says what is wrong with one that cannot be.
func parse(raw string) (t *token, problem string) {
	parts := strings.SplitN(raw, ".", 3)
	if len(parts) < 3 {
		return nil, "invalid JSON"
	}
	t = &token{signed: raw[:len(parts[0])+1+len(parts[1])]}
	var header, claims any
	if !decode(parts[0], &header) || !decode(parts[1], &claims) {
		return nil, "invalid JSON"
	}
	t.header, _ = header.(map[string]any)
	t.claims, _ = claims.(map[string]any)
	t.algorithm, _ = t.header["alg"].(string)
	if !slices.Contains(algorithms, t.algorithm) {
		return nil, "invalid alg"
	}
	if claims == nil {
		return nil, "invalid claims"
	}
	var err error
	if t.signature, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "=")); err != nil {
		return nil, "invalid signature"
	}
	return t, ""
}

func decode(part string, to *any) bool {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	return err == nil && json.Unmarshal(data, to) == nil
}

// verify checks the signature with the credential, and says what is wrong.
func (c *config) verify(credential *entity.Credential, t *token) string {
	algorithm, _ := credential.Fields["algorithm"].(string)
	if algorithm == "" {
		algorithm = "HS256"
	}
	if t.algorithm != algorithm {
		return "Invalid algorithm"
	}
	key := c.keys.get(credential, algorithm, c.SecretIsBase64)
	if key == nil {
		return "Invalid key/secret"
	}
	if jwt.GetSigningMethod(algorithm).Verify(t.signed, t.signature, key) != nil {
		return "Invalid signature"
	}
	return ""
}

// checkTimes returns the problems of the claims that the config names, by
// claim (RFC 7519, 4.1.4 and 4.1.5).
func (c *config) checkTimes(t *token, now time.Time) map[string]string {
	problems := map[string]string{}
	at := float64(now.Unix())
	for _, claim := range c.ClaimsToVerify {
		value, ok := t.claims[claim].(float64)
		switch {
		case !ok:
			problems[claim] = "must be a number"
		case claim == "exp" && value <= at:
			problems[claim] = "token expired"
		case claim == "nbf" && value > at:
			problems[claim] = "token not valid yet"
		case claim == "exp" && c.MaximumExpiration > 0 && value-at > c.MaximumExpiration:
			problems[claim] = "exceeds maximum allowed expiration"
		}
	}
	return problems
}

// knownKeys bounds the keys that an instance remembers.
const knownKeys = 4096

// keyCache remembers the keys of credentials: parsing one costs more than a
// signature. Credentials are immutable, so that the pointer stands for them.
type keyCache struct {
	mu   sync.RWMutex
	keys map[*entity.Credential]any
}

// get returns the key for verification, nil when the credential has none that
// can be used.
func (k *keyCache) get(c *entity.Credential, algorithm string, base64Secret bool) any {
	k.mu.RLock()
	key, ok := k.keys[c]
	k.mu.RUnlock()
	if ok {
		return key
	}
	if strings.HasPrefix(algorithm, "HS") {
		key = secretOf(c, base64Secret)
	} else {
		key = publicKeyOf(c)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= knownKeys {
		k.keys = map[*entity.Credential]any{}
	}
	k.keys[c] = key
	return key
}

func secretOf(c *entity.Credential, encoded bool) any {
	secret, _ := c.Fields["secret"].(string)
	if secret == "" {
		return nil
	}
	if !encoded {
		return []byte(secret)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(secret, "="))
	if err != nil || len(decoded) == 0 {
		return nil
	}
	return decoded
}

func publicKeyOf(c *entity.Credential) any {
	text, _ := c.Fields["rsa_public_key"].(string)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return key
	}
	if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
		return certificate.PublicKey
	}
	return nil
}

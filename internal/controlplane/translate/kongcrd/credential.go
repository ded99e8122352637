// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// credentialType describes the Secrets of one type of credential.
type credentialType struct {
	collection string // of the declarative format
	required   []string
	optional   []string
	unique     string // the field that must differ between consumers
	number     string // the field that is a number
	list       string // the field that is a comma list
	boolean    string // the field that is true or false
}

var credentialTypes = map[string]credentialType{
	"key-auth":   {collection: "keyauth_credentials", required: []string{"key"}, optional: []string{"ttl"}, unique: "key", number: "ttl"},
	"basic-auth": {collection: "basicauth_credentials", required: []string{"username", "password"}, unique: "username"},
	"hmac-auth":  {collection: "hmacauth_credentials", required: []string{"username", "secret"}, unique: "username"},
	"jwt":        {collection: "jwt_secrets", required: []string{"key"}, optional: []string{"algorithm", "secret", "rsa_public_key"}, unique: "key"},
	"oauth2": {
		collection: "oauth2_credentials", required: []string{"name", "client_id", "client_secret", "redirect_uris"},
		optional: []string{"hash_secret"}, unique: "client_id", list: "redirect_uris", boolean: "hash_secret",
	},
	"acl": {collection: "acls", required: []string{"group"}},
}

// credentialFix lists the types that the gateway has plugins for.
const credentialFix = "set the label to key-auth, basic-auth, hmac-auth, jwt or acl"

// credentialAliases are the collection names that are accepted as types too.
var credentialAliases = map[string]string{
	"keyauth_credential":   "key-auth",
	"basicauth_credential": "basic-auth",
	"hmacauth_credential":  "hmac-auth",
	"jwt_secret":           "jwt",
}

// credentials adds the credentials of all Secrets that the consumer lists. A
// bad one costs itself; a key that another consumer has as well costs all the
// consumers that have it.
func (t *consumerTranslation) credentials() {
	mine := make(map[string]string)
	for i, name := range t.object.Credentials {
		field := "credentials[" + strconv.Itoa(i) + "]"
		secret := t.refs.Secret(t.object.Namespace, name)
		if secret == nil {
			t.result.Report(t.ref, field, fragment.ReasonSecretNotFound,
				fmt.Sprintf("consumer referenced non-existent credentials secret %q", name), "create the Secret or correct its name")
			continue
		}
		typeName := secret.Labels[fragment.LabelCredential]
		if typeName == "konnect" {
			continue
		}
		credential, unique, err := readCredential(typeName, secret)
		if err != nil {
			t.result.Report(t.ref, field, fragment.ReasonCredentialInvalid,
				fmt.Sprintf("Secret %s: %s", name, err.message), err.fix)
			continue
		}
		if unique != "" {
			if other, twice := mine[unique]; twice {
				t.result.Report(t.ref, field, fragment.ReasonConflict,
					fmt.Sprintf("Secrets %s and %s hold the same credential; the second is left out", other, name), "remove one of them")
				continue
			}
			mine[unique] = name
			t.claimCredential(unique, field, secret)
		}
		credential.Consumer = &entity.Ref{ID: t.id}
		credential.ID = fragment.ID(entity.KindCredential, strings.Join(
			[]string{credential.Type, t.object.Namespace, name, string(t.id)}, "/"))
		problems := t.refs.Check(credential)
		if len(problems) > 0 && problems[0].Field == "type" {
			t.result.Report(t.ref, field, fragment.ReasonCredentialInvalid,
				fmt.Sprintf("Secret %s: the gateway has no plugin %s, for which the credential is; it is left out", name, typeName),
				credentialFix+", or remove the Secret from the list")
			continue
		}
		if len(problems) > 0 {
			t.result.Report(t.ref, field, fragment.ReasonCredentialInvalid,
				fmt.Sprintf("Secret %s: %s: %s", name, problems[0].Field, problems[0].Message), "correct the Secret's data")
			continue
		}
		t.result.Entities = append(t.result.Entities, credential)
	}
}

// claimCredential claims a unique key.
func (t *consumerTranslation) claimCredential(unique, field string, secret *corev1.Secret) {
	claim := fragment.Claim{Scope: fragment.ClaimCredential, Value: unique}
	t.result.Claims = append(t.result.Claims, claim)
	for _, c := range t.refs.Claimants(claim) {
		if c.Owner == t.owner {
			continue
		}
		t.conflicting = true
		const fix = "give each consumer a credential of its own"
		t.result.Report(t.ref, field, fragment.ReasonConflict,
			fmt.Sprintf("Consumer has conflicting credentials: %s has the same one as Secret %s; both consumers are left out", c.Owner, secret.Name), fix)
		t.result.Report(fragment.RefOf("", "v1", "Secret", secret), "data", fragment.ReasonConflict,
			fmt.Sprintf("Secret has conflicting credential: %s has the same one; both consumers are left out", c.Owner), fix)
	}
}

// credentialError says what is wrong with a credential Secret.
type credentialError struct{ message, fix string }

// readCredential returns the credential in a Secret and a digest that is the
// same for credentials with the same unique key, "" where there is none.
func readCredential(typeName string, secret *corev1.Secret) (*entity.Credential, string, *credentialError) {
	if alias := credentialAliases[typeName]; alias != "" {
		typeName = alias
	}
	kind, known := credentialTypes[typeName]
	if !known {
		message := fmt.Sprintf("label %s has the unknown type %q", fragment.LabelCredential, typeName)
		if typeName == "" {
			message = "label " + fragment.LabelCredential + " is missing"
			if _, old := secret.Data["kongCredType"]; old {
				message += "; the field kongCredType is no longer read"
			}
		}
		return nil, "", &credentialError{message, credentialFix}
	}
	required := kind.required
	if typeName == "jwt" {
		required = append(required[:len(required):len(required)], jwtFields(string(secret.Data["algorithm"]))...)
	}
	for _, name := range required {
		if len(secret.Data[name]) == 0 {
			return nil, "", &credentialError{"the field " + name + " is missing or empty", "add it to the Secret's data"}
		}
	}
	fields := make(map[string]any)
	for _, names := range [][]string{kind.required, kind.optional} {
		for _, name := range names {
			if value := string(secret.Data[name]); value != "" {
				v, err := kind.convert(name, value)
				if err != nil {
					return nil, "", err
				}
				fields[name] = v
			}
		}
	}
	unique := ""
	if kind.unique != "" {
		unique = credentialKey(kind.collection, secret.Data[kind.unique])
	}
	ref := fragment.RefOf("", "v1", "Secret", secret)
	return &entity.Credential{Type: kind.collection, Fields: fields, Tags: fragment.Tags(ref, secret.Annotations)}, unique, nil
}

// jwtFields returns what a JWT credential needs beside its key. Of an algorithm
// that there is not, nobody knows: the schema tells that.
func jwtFields(algorithm string) []string {
	family := algorithm[:min(len(algorithm), 2)]
	switch family {
	case "", "HS":
		return []string{"secret"}
	case "RS", "ES", "PS", "Ed":
		return []string{"rsa_public_key"}
	}
	return nil
}

// convert returns a Secret's text as the field's type.
func (k credentialType) convert(name, value string) (any, *credentialError) {
	switch name {
	case k.number:
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			return nil, &credentialError{"the field " + name + " is not a number", "write a whole number"}
		}
		return n, nil
	case k.boolean:
		b, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return nil, &credentialError{"the field " + name + " is neither true nor false", "write true or false"}
		}
		return b, nil
	case k.list:
		var list []any
		for _, v := range fragment.List(value) {
			list = append(list, v)
		}
		return list, nil
	}
	return value, nil
}

// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

func consumer(name, rest string) string {
	return `{apiVersion: configuration.konghq.com/v1, kind: KongConsumer, metadata: {name: ` + name +
		`, annotations: {kubernetes.io/ingress.class: kong}}, ` + rest + `}`
}

func foreign(manifest string) string {
	return strings.Replace(manifest, "class: kong", "class: kic", 1)
}

func credential(name, kind, data string) string {
	return `{apiVersion: v1, kind: Secret, metadata: {name: ` + name + `, labels: {konghq.com/credential: ` + kind + `}}, stringData: {` + data + `}}`
}

func TestConsumers(t *testing.T) {
	key := credential("key", "key-auth", "key: s3cr3t-s3cr3t")
	runRows(t, []row{
		{name: "valid", object: consumer("ann", "username: ann, credentials: [key]"), others: []string{key}},
		{name: "no name", object: consumer("ann", "credentials: []"), refused: []string{
			"KongConsumer shop/ann username: no username or custom_id specified (set username or custom_id)"}},
		{name: "username taken", object: consumer("ann", "username: x"), others: []string{consumer("bob", "username: x")}, refused: []string{
			"KongConsumer shop/ann username: consumer already exists: the older KongConsumer shop/bob has the same username (choose another username)"}},
		{name: "custom id taken", object: consumer("ann", "custom_id: x"), others: []string{consumer("bob", "custom_id: x")}, refused: []string{
			"KongConsumer shop/ann custom_id: consumer already exists: the older KongConsumer shop/bob has the same custom_id (choose another custom_id)"}},
		{name: "username taken in another class", object: consumer("ann", "username: x"), others: []string{foreign(consumer("bob", "username: x"))}},
		{name: "of another class", object: foreign(consumer("ann", "credentials: [key]")), others: []string{consumer("bob", "username: x")}},
		{name: "the same again", object: consumer("ann", "username: x"), others: []string{consumer("ann", "username: x")}},
		{name: "missing Secret", object: consumer("ann", "username: ann, credentials: [a, key]"), others: []string{key}, refused: []string{
			`KongConsumer shop/ann credentials[0]: consumer referenced non-existent credentials secret "a" (create the Secret or correct its name)`}},
		{name: "credential without label", object: consumer("ann", "username: ann, credentials: [key]"), others: []string{`{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {key: s3cr3t}}`}, refused: []string{
			"KongConsumer shop/ann credentials[0]: consumer credential failed validation: Secret key: label konghq.com/credential is missing (set the label to key-auth, basic-auth, hmac-auth, jwt or acl)"}},
		{name: "credential that another has", object: consumer("ann", "username: ann, credentials: [key]"),
			others: []string{key, credential("other", "key-auth", "key: s3cr3t-s3cr3t"), consumer("bob", "username: bob, credentials: [other]")}, refused: []string{
				"KongConsumer shop/ann credentials[0]: consumer credential failed validation: Consumer has conflicting credentials: KongConsumer shop/bob has the same one as Secret key (give each consumer a credential of its own)"}},
		{name: "Secret that another lists", object: consumer("ann", "username: ann, credentials: [key]"),
			others: []string{key, consumer("bob", "username: bob, credentials: [key]")}, refused: []string{
				"KongConsumer shop/ann credentials[0]: consumer credential failed validation: Consumer has conflicting credentials: KongConsumer shop/bob has the same one as Secret key (give each consumer a credential of its own)"}},
		{name: "credential of a consumer of another class", object: consumer("ann", "username: ann, credentials: [key]"),
			others: []string{key, foreign(consumer("bob", "username: bob, credentials: [key]"))}},
		{name: "missing group and plugin", object: strings.Replace(consumer("ann", "username: ann, consumerGroups: [gold]"), "class: kong", "class: kong, konghq.com/plugins: none", 1)},
	})
}

func TestConsumerGroups(t *testing.T) {
	const group = `{apiVersion: configuration.konghq.com/v1beta1, kind: KongConsumerGroup, metadata: {name: gold, namespace: %s, annotations: {kubernetes.io/ingress.class: kong}}}`
	runRows(t, []row{
		{name: "valid", object: sprintf(group, "shop"), others: []string{sprintf(group, "shop")}},
		{name: "name taken", object: sprintf(group, "shop"), others: []string{sprintf(group, "elsewhere")}, refused: []string{
			"KongConsumerGroup shop/gold metadata.name: the older KongConsumerGroup elsewhere/gold has the same name (choose another name)"}},
	})
}

func TestCredentials(t *testing.T) {
	const types = "set the label to key-auth, basic-auth, hmac-auth, jwt or acl"
	const prefix = "Secret shop/c data: consumer credential failed validation: Secret c: "
	ann := consumer("ann", "username: ann, credentials: [c]")
	var rows []row
	for _, r := range []row{
		{name: "valid", object: credential("c", "key-auth", "key: s3cr3t")},
		{name: "alias", object: credential("c", "keyauth_credential", "key: s3cr3t")},
		{name: "konnect", object: credential("c", "konnect", "key: s3cr3t")},
		{name: "unknown type", object: credential("c", "password", "key: s3cr3t"), refused: []string{
			prefix + `label konghq.com/credential has the unknown type "password" (` + types + ")"}},
		{name: "missing field", object: credential("c", "basic-auth", "username: ann"), refused: []string{
			prefix + "the field password is missing or empty (add it to the Secret's data)"}},
		{name: "empty field", object: credential("c", "basic-auth", `username: ann, password: ""`), refused: []string{
			prefix + "the field password is missing or empty (add it to the Secret's data)"}},
		{name: "algorithm", object: credential("c", "jwt", "key: s3cr3t, algorithm: none"), refused: []string{
			prefix + "algorithm: expected one of: HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512, EdDSA (correct the Secret's data)"}},
		{name: "number", object: credential("c", "key-auth", "key: s3cr3t, ttl: s3cr3t"), refused: []string{
			prefix + "the field ttl is not a number (write a whole number)"}},
	} {
		alone, listed, foreignOnly := r, r, r
		alone.name += ", listed by nobody"
		listed.name, listed.others = r.name+", listed", []string{ann}
		foreignOnly.name, foreignOnly.others, foreignOnly.refused = r.name+", listed in another class", []string{foreign(ann)}, nil
		beside := alone
		beside.name, beside.shared, beside.refused = r.name+", listed by nobody beside Kong", true, nil
		rows = append(rows, alone, listed, foreignOnly, beside)
	}
	bob := consumer("bob", "username: bob, credentials: [other]")
	other := credential("other", "key-auth", "key: s3cr3t")
	conflict := []string{"Secret shop/c data: consumer credential failed validation: Consumer has conflicting credentials: KongConsumer shop/bob has the same one as Secret c (give each consumer a credential of its own)"}
	rows = append(rows,
		row{name: "conflict", object: credential("c", "key-auth", "key: s3cr3t"), others: []string{ann, bob, other}, refused: conflict},
		row{name: "changed to a conflict", object: credential("c", "key-auth", "key: s3cr3t"), old: credential("c", "key-auth", "key: mine"),
			others: []string{ann, bob, other, credential("c", "key-auth", "key: mine")}, refused: conflict},
		row{name: "changed away from a conflict", object: credential("c", "key-auth", "key: mine"), old: credential("c", "key-auth", "key: s3cr3t"),
			others: []string{ann, bob, other, credential("c", "key-auth", "key: s3cr3t")}},
		row{name: "same value of another type", object: credential("c", "hmac-auth", "username: s3cr3t, secret: x"), others: []string{ann, bob, other}},
		row{name: "twice in one consumer", object: credential("c", "key-auth", "key: s3cr3t"),
			others: []string{consumer("ann", "username: ann, credentials: [other, c]"), other}, refused: []string{
				"Secret shop/c data: consumer credential failed validation: Secrets other and c hold the same credential (remove one of them)"}},
	)
	runRows(t, rows)
}

func TestVaults(t *testing.T) {
	const vault = `{apiVersion: configuration.konghq.com/v1alpha1, kind: KongVault, metadata: {name: %s, annotations: {kubernetes.io/ingress.class: kong}}, spec: {backend: %s, prefix: %s}}`
	runRows(t, []row{
		{name: "valid", object: sprintf(vault, "a", "env", "mine"), others: []string{sprintf(vault, "b", "env", "theirs")}},
		{name: "prefix taken in another class", object: sprintf(vault, "a", "env", "mine"), others: []string{foreign(sprintf(vault, "b", "env", "mine"))}},
		{name: "no such backend", object: sprintf(vault, "a", "safe", "mine"), refused: []string{"KongVault a spec.backend: vault 'safe' is not installed; this gateway has env and file (correct the field)"}},
	})
	d, err := admission.Review(object(t, sprintf(vault, "a", "env", "mine")), nil, schemas.All(), ourClass(object(t, sprintf(vault, "b", "env", "mine"))))
	if err != nil || len(d.Violations) != 1 || !strings.HasPrefix(admission.Text(d.Violations[0]), `KongVault a spec.prefix: spec.prefix "mine" is duplicate`) {
		t.Errorf("a prefix that is taken: %v, %v", lines(d.Violations), err)
	}
}

func TestCustomEntities(t *testing.T) {
	const custom = `{apiVersion: configuration.konghq.com/v1alpha1, kind: KongCustomEntity, metadata: {name: e}, spec: {controllerName: kong, type: %s, fields: {%s}, parentRef: {name: auth}}}`
	const prefix = "KongCustomEntity shop/e spec."
	key := sprintf(custom, "keyauth_credentials", "key: s3cr3t")
	runRows(t, []row{
		{name: "valid", object: key},
		{name: "of another class", object: strings.Replace(sprintf(custom, "dragons", ""), "controllerName: kong", "controllerName: kic", 1)},
		{name: "unknown type", object: sprintf(custom, "dragons", ""), refused: []string{
			prefix + `type: the gateway has no entities of type "dragons" (use certificates, ca_certificates, snis or the type of a credential such as keyauth_credentials)`}},
		{name: "bad field", object: sprintf(custom, "keyauth_credentials", "key: s3cr3t, ttl: soon"), refused: []string{
			prefix + "fields.ttl: expected a number (correct the field)"}},
		{name: "credential that a consumer has", object: key, others: []string{
			consumer("bob", "username: bob, credentials: [c]"), credential("c", "key-auth", "key: s3cr3t")}, refused: []string{
			prefix + "fields: the older KongConsumer shop/bob brings the same credential (use another one, or remove one of the two)"}},
	})
}

// Whatever is wrong with a credential, no value of it is in the text.
func TestCredentialsAreNotQuoted(t *testing.T) {
	const marker = "hunter2"
	fields := []string{"key", "ttl", "username", "password", "secret", "algorithm", "rsa_public_key", "name", "client_id", "client_secret", "redirect_uris", "hash_secret", "group"}
	texts := 0
	for _, kind := range []string{"key-auth", "basic-auth", "hmac-auth", "jwt", "oauth2", "acl"} {
		for _, odd := range fields {
			s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "shop", Labels: map[string]string{"konghq.com/credential": kind}}, Data: map[string][]byte{}}
			for _, f := range fields {
				s.Data[f] = []byte(marker)
			}
			s.Data[odd] = []byte("(" + marker + "\x00[")
			ann := &kongv1.KongConsumer{Username: "ann", Credentials: []string{"c"}}
			ann.Name, ann.Namespace, ann.Annotations = "ann", "shop", map[string]string{"kubernetes.io/ingress.class": "kong"}
			for _, o := range []metav1.Object{s, ann} {
				d, err := admission.Review(o, nil, schemas.All(), ourClass(s, ann))
				if err != nil {
					t.Fatal(err)
				}
				texts += len(d.Violations)
				if text := fmt.Sprint(lines(d.Violations), lines(d.Warnings)); strings.Contains(text, marker) {
					t.Errorf("%s with a bad %s: %s", kind, odd, text)
				}
			}
		}
	}
	if texts == 0 {
		t.Error("nothing was refused: the test sees nothing")
	}
}

// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Values get to what runs, and follow the vault.
func TestValuesFollow(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	write(t, filepath.Join(r.root, "word"), "one")
	mounted := &entity.Vault{ID: uuid("v"), Name: "file", Prefix: "mounted", Config: map[string]any{"ttl": 10.0}}
	raw := teller("p", "{vault://mounted/word}")
	plain := teller("q", "plain")
	d := r.Update(put(plain, mounted, raw, &entity.Service{ID: uuid("s")}))
	r.want(t, d, map[string]string{"p": "one", "q": "plain", "s": "services"})
	if raw.Config["secret"] != "{vault://mounted/word}" {
		t.Error("the entity itself was changed")
	}
	if due, ok := r.Due(); !ok || !due.Equal(r.now.Add(10*time.Second)) {
		t.Errorf("due %v %v", due, ok)
	}
	write(t, filepath.Join(r.root, "word"), "two")
	r.want(t, r.Refresh(), map[string]string{})
	r.now = r.now.Add(10 * time.Second)
	r.want(t, r.Refresh(), map[string]string{"p": "two"})
	if log := r.log.String(); !strings.Contains(log, "secrets changed") || !strings.Contains(log, "{vault://mounted/word}") || strings.Contains(log, "two") {
		t.Errorf("log %s", log)
	}
	r.now = r.now.Add(10 * time.Second)
	r.want(t, r.Refresh(), map[string]string{})
	// The vault itself changes, goes and comes back.
	write(t, filepath.Join(r.root, "inner", "word"), "three")
	r.want(t, r.Update(put(&entity.Vault{ID: uuid("v"), Name: "file", Prefix: "mounted", Config: map[string]any{"directory": "inner"}})), map[string]string{"p": "three"})
	r.want(t, r.Update(entity.Delta{Removed: []entity.Key{entity.KeyOf(mounted)}}), map[string]string{"p": "-"}, "could not find vault (mounted)")
	r.want(t, r.Update(put(mounted)), map[string]string{"p": "two"})
	// The entity changes, and goes.
	r.want(t, r.Update(put(teller("p", "literal"))), map[string]string{"p": "literal"})
	if _, ok := r.Due(); ok || len(r.values.known) > 0 {
		t.Error("values are kept that nobody uses")
	}
	r.Update(put(raw))
	gone := r.Update(entity.Delta{Removed: []entity.Key{entity.KeyOf(raw)}})
	if len(gone.Removed) != 1 || len(r.state.held) > 0 {
		t.Errorf("removed %v", gone)
	}
}

// A value that cannot be read any more goes on; how long is the vault's to say.
func TestResurrection(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	r.environment["A"], r.environment["B"] = "a", "b"
	r.want(t, r.Update(put(
		teller("p", "{vault://env/a?ttl=10&neg_ttl=4}"),
		teller("q", "{vault://env/b?ttl=10&neg_ttl=4&resurrect_ttl=15}"),
	)), map[string]string{"p": "a", "q": "b"})
	clear(r.environment)
	r.now = r.now.Add(10 * time.Second)
	r.want(t, r.Refresh(), map[string]string{})
	if log := r.log.String(); !strings.Contains(log, "last_value_goes_on=true") || !strings.Contains(log, "the environment variable A is not set") {
		t.Errorf("log %s", log)
	}
	r.now = r.now.Add(14 * time.Second)
	r.want(t, r.Refresh(), map[string]string{})
	if due, ok := r.Due(); !ok || !due.Equal(r.now.Add(time.Second)) {
		t.Errorf("due %v %v", due, ok)
	}
	r.now = r.now.Add(time.Second)
	r.want(t, r.Refresh(), map[string]string{"q": "-"}, "config.secret: {vault://env/b?ttl=10&neg_ttl=4&resurrect_ttl=15} cannot be resolved: the environment variable B is not set")
	r.environment["A"], r.environment["B"] = "a2", "b2"
	r.now = r.now.Add(4 * time.Second)
	r.want(t, r.Refresh(), map[string]string{"p": "a2", "q": "b2"})
	if log := r.log.String(); strings.Contains(log, "a2") || strings.Contains(log, "b2") {
		t.Errorf("the log shows a value: %s", log)
	}
}

// What never had a value is refused with its entity, field and reference.
func TestUnresolvable(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	r.environment["SHORT"], r.environment["URL"] = "hunter2", "ftp//hunter2"
	endpoint := &entity.Plugin{ID: uuid("u"), Name: "teller", Config: map[string]any{"endpoint": "{vault://env/url}"}}
	consumers := teller("c", "{vault://env/nope}")
	consumers.Consumer = &entity.Ref{ID: "someone"}
	d := r.Update(put(
		teller("a", "{vault://env/nope}"), teller("b", "{vault://other/x}"), consumers,
		teller("d", "{vault://env/short?color=red}"), teller("e", "{vault://env}"), endpoint,
		&entity.Vault{ID: uuid("v"), Name: "hcv", Prefix: "other"},
	))
	r.want(t, d, map[string]string{"a": "-", "b": "-", "c": "-", "d": "-", "e": "-", "u": "-"},
		"plugins 'teller': config.secret: {vault://env/nope} cannot be resolved: the environment variable NOPE is not set in the proxy",
		"plugins 'teller': config.secret: {vault://other/x}: could not find vault (other)",
		"{vault://env/nope} cannot be resolved",
		"{vault://env/short?color=red}: vault 'env' has no option 'color'",
		"{vault://env}: the reference names no secret",
		"config.endpoint: the value of {vault://env/url} does not fit",
		"vaults 'other': name: vault 'hcv' is not installed")
	for _, p := range r.Problems() {
		if strings.Contains(p.Error(), "hunter") {
			t.Errorf("a value is shown: %v", p)
		}
	}
	for _, e := range d.Put {
		p := e.(*entity.Plugin)
		want := "unusable"
		if p.ID == uuid("c") {
			want = "request-termination" // consumers are not known earlier
		}
		if p.Name != want || !reflect.DeepEqual(p.Protocols, entity.HTTPProtocols()) || (p.ID == uuid("a") && p.Route.ID != uuid("r")) {
			t.Errorf("%s: %+v", p.ID, p)
		}
	}
}

func pair(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}

// A certificate is exchanged with its key: half of a pair is not used.
func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	cert, key := pair(t)
	newCert, newKey := pair(t)
	raw := &entity.Certificate{ID: uuid("c"), Cert: "{vault://file/tls/tls.crt}", Key: "{vault://file/tls/tls.key}"}
	r.Update(put(raw))
	r.want(t, entity.Delta{}, map[string]string{}, "cert: {vault://file/tls/tls.crt} cannot be resolved")
	write(t, filepath.Join(r.root, "tls", "tls.crt"), cert)
	write(t, filepath.Join(r.root, "tls", "tls.key"), newKey)
	d := r.Update(put(raw))
	if len(d.Put) > 0 || len(d.Removed) != 1 {
		t.Errorf("half of a pair runs: %v", d)
	}
	r.want(t, entity.Delta{}, map[string]string{}, "certificate does not match key")
	write(t, filepath.Join(r.root, "tls", "tls.key"), key)
	r.now = r.now.Add(time.Minute)
	if got := r.Refresh(); len(got.Put) != 1 || got.Put[0].(*entity.Certificate).Key != strings.TrimSpace(key) {
		t.Fatalf("got %v", got)
	}
	write(t, filepath.Join(r.root, "tls", "tls.crt"), newCert)
	r.now = r.now.Add(time.Minute)
	r.want(t, r.Refresh(), map[string]string{})
	if due, ok := r.Due(); !ok || due.After(r.now.Add(unfitRetry)) {
		t.Errorf("half of a pair waits for %v", due)
	}
	write(t, filepath.Join(r.root, "tls", "tls.key"), newKey)
	r.now = r.now.Add(unfitRetry)
	if got := r.Refresh(); len(got.Put) != 1 || got.Put[0].(*entity.Certificate).Cert != strings.TrimSpace(newCert) {
		t.Fatalf("got %v", got)
	}
	if strings.Contains(r.log.String(), "BEGIN") {
		t.Errorf("the log shows a key: %s", r.log.String())
	}
}

// Namespaces see their own secrets, by every backend and whatever the reference
// says.
func TestIsolation(t *testing.T) {
	t.Parallel()
	r := newRig(t, true)
	r.environment["a.WORD"], r.environment["b.WORD"], r.environment["WORD"], r.environment["_cluster.WORD"] = "of a", "of b", "of all", "of the cluster"
	r.environment["a.MY_WORD"] = "mine"
	write(t, filepath.Join(r.root, "a", "word"), "file of a")
	write(t, filepath.Join(r.root, "b", "word"), "file of b")
	of := func(namespace string) []string { return []string{"k8s-namespace:" + namespace, "k8s-kind:KongPlugin"} }
	d := r.Update(put(
		&entity.Vault{ID: uuid("v"), Name: "env", Prefix: "my-env", Config: map[string]any{"prefix": "MY_"}, Tags: []string{"k8s-kind:KongVault"}},
		teller("1", "{vault://env/word}", of("a")...),
		teller("2", "{vault://env/word}", of("b")...),
		teller("3", "{vault://env/word}", "k8s-kind:KongClusterPlugin"),
		teller("4", "{vault://file/word}", of("a")...),
		teller("5", "{vault://file/word}", of("b")...),
		teller("6", "{vault://my-env/word}", of("a")...),
		teller("7", "{vault://my-env/word}", of("b")...),
		teller("8", "{vault://file/b/word}", of("a")...),
		teller("9", "{vault://file/word?directory=../b}", of("a")...),
		teller("x", "{vault://env/word}", append(of("a"), "k8s-namespace:b")...),
		teller("y", "{vault://env/word}"),
	))
	r.want(t, d, map[string]string{
		"1": "of a", "2": "of b", "3": "of the cluster", "4": "file of a", "5": "file of b", "6": "mine",
		"7": "-", "8": "-", "9": "-", "x": "-", "y": "-",
	}, "the environment variable b.MY_WORD is not set", "the file a/b below", "option 'directory'",
		"is refused: its tags name the namespaces", "is refused: its tags do not name the object")
	open := newRig(t, false)
	open.environment["WORD"] = "of all"
	open.want(t, open.Update(put(teller("1", "{vault://env/word}", of("a")...))), map[string]string{"1": "of all"})
}

// A whole configuration is prepared aside and only published when it runs.
func TestPrepare(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	r.environment["A"] = "a"
	set := &entity.Set{
		Vaults:  []*entity.Vault{{ID: uuid("v"), Name: "env", Prefix: "mine"}},
		Plugins: []*entity.Plugin{teller("p", "plain"), teller("q", "{vault://mine/a}"), teller("r", "plain")},
	}
	p := r.Prepare(set)
	if len(p.Problems()) > 0 || len(p.Set.Plugins) != 3 || p.Set.Plugins[1].Config["secret"] != "a" || len(p.Set.Vaults) > 0 {
		t.Fatalf("%v %+v", p.Problems(), p.Set)
	}
	if set.Plugins[1].Config["secret"] != "{vault://mine/a}" || len(set.Vaults) != 1 {
		t.Error("the set itself was changed")
	}
	if _, ok := r.Due(); ok {
		t.Error("what was not published is refreshed")
	}
	p.Publish()
	if _, ok := r.Due(); !ok {
		t.Error("what was published is not refreshed")
	}
	broken := &entity.Set{
		Plugins:      []*entity.Plugin{teller("q", "{vault://env/nope}")},
		Certificates: []*entity.Certificate{{ID: uuid("c"), Cert: "{vault://env/nope}", Key: "{vault://env/nope}"}, {ID: uuid("d")}},
	}
	p = r.Prepare(broken)
	if len(p.Problems()) != 2 || p.Set.Plugins[0].Name != "unusable" || len(p.Set.Certificates) != 1 {
		t.Errorf("%v %+v", p.Problems(), p.Set)
	}
	if len(r.Problems()) > 0 {
		t.Error("what was not published counts")
	}
	// The same file again, while the secret is away: the value goes on.
	clear(r.environment)
	p = r.Prepare(&entity.Set{Vaults: set.Vaults, Plugins: []*entity.Plugin{teller("q", "{vault://mine/a}")}})
	if len(p.Problems()) > 0 || p.Set.Plugins[0].Config["secret"] != "a" {
		t.Errorf("%v %+v", p.Problems(), p.Set.Plugins[0])
	}
	plain := &entity.Set{Plugins: []*entity.Plugin{teller("p", "plain")}}
	if p = r.Prepare(plain); &p.Set.Plugins[0] != &plain.Plugins[0] {
		t.Error("a list without references was copied")
	}
}

// Messages of others about an entity are checked for values.
func TestHide(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	r.environment["A"] = "s3cr3t-value"
	r.environment["B"] = "x"
	r.Update(put(teller("p", "{vault://env/a}"), teller("q", "{vault://env/b}")))
	key := func(id string) entity.Key { return entity.Key{Kind: entity.KindPlugin, ID: uuid(id)} }
	for _, c := range []struct {
		id, message, want string
	}{
		{"p", "cannot dial", "cannot dial"},
		{"p", "cannot use s3cr3t-value", "the values of {vault://env/a} cannot be used"},
		{"p", `invalid port ":3t-v"`, "the values of {vault://env/a} cannot be used"},
		{"q", "x", "the values of {vault://env/b} cannot be used"},
		{"other", "s3cr3t-value", "s3cr3t-value"},
	} {
		if got := r.Hide(key(c.id), c.message); got != c.want {
			t.Errorf("%s: %q", c.message, got)
		}
	}
}

// What holds references is left out of a trial, and nothing is read for it.
func TestBlank(t *testing.T) {
	t.Parallel()
	r := newRig(t, true)
	set := &entity.Set{
		Vaults:       []*entity.Vault{{ID: uuid("v"), Name: "env", Prefix: "mine"}},
		Plugins:      []*entity.Plugin{teller("p", "{vault://mine/x}"), teller("q", "plain")},
		Certificates: []*entity.Certificate{{ID: uuid("c"), Cert: "{vault://file/crt}", Key: "{vault://file/key}"}},
	}
	blank, err := r.Blank(set)
	if err != nil {
		t.Fatal(err)
	}
	if blank.Plugins[0].Name != "unusable" || blank.Plugins[0].ID != uuid("p") || blank.Plugins[1] != set.Plugins[1] || len(blank.Vaults) > 0 {
		t.Errorf("got %+v", blank.Plugins)
	}
	if problems := entity.CheckEntity(blank.Certificates[0], r.options.Schemas); len(problems) > 0 || blank.Certificates[0].ID != uuid("c") {
		t.Errorf("certificate: %v", problems)
	}
	if len(r.values.known) > 0 || set.Plugins[0].Name != "teller" {
		t.Error("something was read, or the set was changed")
	}
}

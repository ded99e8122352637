// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/persistent"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// rsaKey is made once: it takes long.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a self-signed certificate and its key as PEM.
func issue(t *testing.T, key crypto.Signer, cn string, ca bool) (cert, private string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// namedCert returns a certificate entity with the given common name and id.
func namedCert(t *testing.T, cn string) *entity.Certificate {
	cert, key := issue(t, ecKey(t), cn, false)
	return &entity.Certificate{ID: entity.ID(cn), Cert: cert, Key: key}
}

func sni(name, cert string) *entity.SNI {
	return &entity.SNI{ID: entity.ID("sni " + name), Name: name, Certificate: &entity.Ref{ID: entity.ID(cert)}}
}

func newStore(t *testing.T, certs []*entity.Certificate, snis ...*entity.SNI) *Store {
	t.Helper()
	s, err := NewStore(nil)
	if err != nil {
		t.Fatal(err)
	}
	set, problems := NewSet(nil, certs, snis)
	for _, p := range problems {
		t.Fatal(p)
	}
	s.Use(set)
	return s
}

// handshake connects over TLS and returns the connection's state as the client
// sees it.
func handshake(t *testing.T, s *Store, policy string, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	server := &tls.Config{GetCertificate: s.GetCertificate}
	if _, err := (Policy{CipherSuite: policy}).Apply(server); err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if tls.Server(b, server).Handshake() != nil {
			_ = b.Close()
		}
	}()
	client.InsecureSkipVerify = true
	conn := tls.Client(a, client)
	err := conn.Handshake()
	if err != nil {
		_ = a.Close()
	}
	<-done
	return conn.ConnectionState(), err
}

func shown(t *testing.T, s *Store, name string) string {
	t.Helper()
	state, err := handshake(t, s, "", &tls.Config{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func TestChoiceByName(t *testing.T) {
	var certs []*entity.Certificate
	for _, cn := range []string{"exact", "left", "deep", "right", "both-left", "both-right"} {
		certs = append(certs, namedCert(t, cn))
	}
	snis := []*entity.SNI{
		sni("One.test.", "exact"), sni("*.one.test", "left"), sni("deep.one.test", "deep"), sni("right.*", "right"),
		sni("*.two.test", "both-left"), sni("x.two.*", "both-right"),
	}
	s := newStore(t, certs, snis...)
	cases := map[string]string{
		"one.test":      "exact",
		"ONE.test":      "exact",
		"x.one.test":    "left",
		"X.ONE.TEST":    "localhost", // recorded
		"deep.one.test": "deep",
		"y.x.one.test":  "localhost",
		"right.test":    "right",
		"right.org":     "right",
		"right.co.uk":   "localhost",
		"x.right.test":  "localhost",
		"right":         "localhost",
		"x.two.test":    "both-left",
		"x.two.org":     "both-right",
		"none.test":     "localhost",
		"":              "localhost",
	}
	for name, want := range cases {
		if got := shown(t, s, name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	set, problems := NewSet(s.Set(), append(certs, namedCert(t, "all")), append(snis, sni("*", "all")))
	if problems != nil {
		t.Fatal(problems)
	}
	s.Use(set)
	for name, want := range cases {
		if want == "localhost" {
			want = "all"
		}
		if got := shown(t, s, name); got != want {
			t.Errorf("with a certificate for *, %q: %s, want %s", name, got, want)
		}
	}
}

func TestKeyTypeByClient(t *testing.T) {
	rsaCert, rsaPrivate := issue(t, rsaKey(), "rsa", false)
	ecCert, ecPrivate := issue(t, ecKey(t), "ec", false)
	for name, c := range map[string]*entity.Certificate{
		"rsa first":   {ID: "c", Cert: rsaCert, Key: rsaPrivate, CertAlt: ecCert, KeyAlt: ecPrivate},
		"ecdsa first": {ID: "c", Cert: ecCert, Key: ecPrivate, CertAlt: rsaCert, KeyAlt: rsaPrivate},
		"none":        nil,
	} {
		var s *Store
		wantEC, wantRSA := "ec", "rsa"
		if c == nil {
			s = newStore(t, nil)
			wantEC, wantRSA = "localhost", "localhost"
		} else {
			s = newStore(t, []*entity.Certificate{c}, sni("a.test", "c"))
		}
		for suite, want := range map[uint16]string{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: wantEC,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   wantRSA,
		} {
			state, err := handshake(t, s, "", &tls.Config{ServerName: "a.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
			if err != nil || state.PeerCertificates[0].Subject.CommonName != want {
				t.Errorf("%s, %s: %v", name, tls.CipherSuiteName(suite), err)
			}
		}
		state, err := handshake(t, s, "", &tls.Config{ServerName: "a.test"})
		if err != nil || state.PeerCertificates[0].PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("%s: a client with both gets no ECDSA: %v", name, err)
		}
	}
}

func TestConfiguredDefault(t *testing.T) {
	cert, key := issue(t, ecKey(t), "mine", false)
	def, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStore([]*tls.Certificate{&def})
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, s, "a.test"); got != "mine" {
		t.Error(got)
	}
}

func TestSetProblems(t *testing.T) {
	good, other := namedCert(t, "good"), namedCert(t, "other")
	mixed := *good
	mixed.ID, mixed.Key = "mixed", other.Key
	same := *good
	same.ID, same.CertAlt, same.KeyAlt = "same", other.Cert, other.Key
	badAlt := *good
	badAlt.ID, badAlt.CertAlt = "badalt", "x"
	set, problems := NewSet(nil,
		[]*entity.Certificate{good, {ID: "empty"}, &mixed, &same, &badAlt},
		[]*entity.SNI{sni("good.test", "good"), sni("GOOD.test", "good"), sni("mixed.test", "mixed"), {ID: "lone", Name: "lone.test"}})
	var got []string
	for _, p := range problems {
		got = append(got, string(p.Kind)+"/"+string(p.ID)+"/"+p.Field)
		if text := p.String(); strings.Contains(text, "PRIVATE") || !strings.Contains(text, string(p.ID)) || p.Err == nil {
			t.Errorf("%s", text)
		}
	}
	want := []string{
		"certificates/empty/cert", "certificates/mixed/key", "certificates/same/cert_alt", "certificates/badalt/cert_alt",
		"snis/sni GOOD.test/name", "snis/sni mixed.test/certificate", "snis/lone/certificate",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if set.Certificate("good") == nil || set.Certificate("mixed") != nil {
		t.Error("Certificate")
	}
	var none *Set
	if none.Certificate("good") != nil {
		t.Error("Certificate of no set")
	}
}

// Nobody takes a name from who has it, however it is spelt and whatever its id.
func TestNameStaysWithItsHolder(t *testing.T) {
	mine, theirs := namedCert(t, "mine"), namedCert(t, "theirs")
	holder := &entity.SNI{ID: "d", Name: "shop.test", Certificate: &entity.Ref{ID: "mine"}}
	set, _, _ := (&Set{}).With(&Change{Certificates: []*entity.Certificate{mine, theirs}, SNIs: []*entity.SNI{holder}})
	renewed := *mine
	for _, other := range []string{"shop.test", "SHOP.test", "shop.test."} {
		taker := &entity.SNI{ID: "a", Name: other, Certificate: &entity.Ref{ID: "theirs"}}
		next, _, problems := set.With(&Change{SNIs: []*entity.SNI{taker}})
		if next.find("shop.test").source != mine || len(problems) != 1 || problems[0].ID != "a" || problems[0].Field != "name" {
			t.Errorf("%s: problems %v", other, problems)
		}
		again := *holder
		next, _, _ = next.With(&Change{Certificates: []*entity.Certificate{&renewed}, SNIs: []*entity.SNI{&again}})
		if next.find("shop.test").source.ID != "mine" {
			t.Errorf("%s: it has the name after a change of the holder", other)
		}
		next, _, problems = next.With(&Change{Removed: []entity.Key{entity.KeyOf(holder)}})
		if next.find("shop.test").source != theirs || len(problems) > 0 {
			t.Errorf("%s: problems %v when the holder is gone", other, problems)
		}
		next, _, _ = set.With(&Change{SNIs: []*entity.SNI{taker}, Order: func(*entity.SNI) int { return -1 }})
		if next.find("shop.test").source != theirs {
			t.Errorf("%s: the order does not count", other)
		}
	}
}

func TestUnchangedCertificatesAreKept(t *testing.T) {
	a, b := namedCert(t, "a"), namedCert(t, "b")
	first, _ := NewSet(nil, []*entity.Certificate{a, b}, nil)
	copyOfA, changed := *a, *namedCert(t, "b")
	second, _ := NewSet(first, []*entity.Certificate{&copyOfA, &changed}, nil)
	if second.Certificate("a") != first.Certificate("a") {
		t.Error("an unchanged certificate was parsed again")
	}
	if second.Certificate("b") == first.Certificate("b") {
		t.Error("a changed certificate was kept")
	}
}

func TestPolicies(t *testing.T) {
	rsaCert, rsaPrivate := issue(t, rsaKey(), "rsa", false)
	s := newStore(t, []*entity.Certificate{{ID: "c", Cert: rsaCert, Key: rsaPrivate}}, sni("a.test", "c"))
	tls12 := func(suite uint16) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
	}
	for _, c := range []struct {
		name   string
		client *tls.Config
		ok     string // the policies that accept the client
	}{
		{"1.3", &tls.Config{MinVersion: tls.VersionTLS13}, "modern intermediate old"},
		{"1.2 GCM", tls12(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), "intermediate old"},
		{"1.2 ChaCha20", tls12(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256), "intermediate old"},
		{"1.2 CBC", tls12(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), "old"},
		{"1.2 RSA key exchange", tls12(tls.TLS_RSA_WITH_AES_128_GCM_SHA256), "old"},
		{"1.2 3DES", tls12(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA), "old"},
		{"1.0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "old"},
		{"1.2 RC4", tls12(tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA), ""},
	} {
		for _, policy := range []string{Modern, Intermediate, Old} {
			c.client.ServerName = "a.test"
			_, err := handshake(t, s, policy, c.client)
			if want := slices.Contains(strings.Fields(c.ok), policy); (err == nil) != want {
				t.Errorf("%s under %s: %v", c.name, policy, err)
			}
		}
	}
	if _, err := (Policy{CipherSuite: "weak"}).Apply(&tls.Config{}); err == nil || !strings.Contains(err.Error(), `"weak"`) {
		t.Errorf("%v", err)
	}
}

func TestChangeUnderLoad(t *testing.T) {
	a, b := namedCert(t, "a"), namedCert(t, "b")
	s := newStore(t, []*entity.Certificate{a, b}, sni("x.test", "a"))
	other, _ := NewSet(s.Set(), []*entity.Certificate{a, b}, []*entity.SNI{sni("x.test", "b")})
	sets := []*Set{s.Set(), other}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				s.Use(sets[(i+j)%2])
				if cn := shown(t, s, "x.test"); cn != "a" && cn != "b" {
					t.Errorf("%s", cn)
				}
			}
		})
	}
	wg.Wait()
}

func TestCAs(t *testing.T) {
	ca, _ := issue(t, ecKey(t), "ca", true)
	leaf, _ := issue(t, ecKey(t), "leaf", false)
	cas, problems := NewCAs([]*entity.CACertificate{
		{ID: "ca", Cert: ca}, {ID: "leaf", Cert: leaf}, {ID: "two", Cert: ca + ca}, {ID: "none", Cert: "x"},
		{ID: "broken", Cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
	})
	if len(problems) != 4 {
		t.Errorf("%v", problems)
	}
	pool, err := cas.Pool([]entity.ID{"ca"})
	if err != nil || len(pool.Subjects()) != 1 { //nolint:staticcheck // no system pool here
		t.Errorf("%v", err)
	}
	if _, err := cas.Pool([]entity.ID{"ca", "leaf"}); err == nil || !strings.Contains(err.Error(), `"leaf"`) {
		t.Errorf("%v", err)
	}
}

func BenchmarkGetCertificate(b *testing.B) {
	s, err := NewStore(nil)
	if err != nil {
		b.Fatal(err)
	}
	p := &pair{main: s.defaults[0]}
	s.Use(&Set{names: persistent.Map[string, named]{}.With("*.a.test", named{pair: p})})
	hello := &tls.ClientHelloInfo{ServerName: "x.a.test"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.GetCertificate(hello); err != nil {
			b.Fatal(err)
		}
	}
}

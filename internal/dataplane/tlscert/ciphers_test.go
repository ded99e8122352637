// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/tls"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Lists select what they select in OpenSSL, of the suites that both have.
func TestCiphersAsOpenSSLReadsThem(t *testing.T) {
	openssl := func(list string) (names []string) {
		out, err := exec.Command("openssl", "ciphers", "-v", list+":@SECLEVEL=0").Output()
		if err != nil {
			t.Fatalf("openssl ciphers %q: %v", list, err)
		}
		for line := range strings.Lines(string(out)) {
			name, _, _ := strings.Cut(line, " ")
			if slices.ContainsFunc(suites, func(s suite) bool { return s.name == name }) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	for _, list := range []string{
		"ALL", "HIGH", "DEFAULT", "HIGH:!aNULL:!MD5", "EECDH+AESGCM:EDH+AESGCM", "ECDHE+CHACHA20", "kRSA", "RSA", "aRSA", "ECDSA", "aECDSA+AES256",
		"AES128", "AES256", "AES", "AESGCM", "SHA256", "SHA384:AES128-SHA", "SHA1", "SHA", "TLSv1.2", "TLSv1.0", "TLSv1", "SSLv3", "HIGH:!kRSA",
		"HIGH:!SHA1:!SHA256", "ALL:-AES128:AES128-GCM-SHA256", "ALL:!AES128:AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256,ECDHE-RSA-AES256-SHA AES256-SHA",
		"HIGH:+kRSA:@STRENGTH", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:DHE-RSA-AES256-SHA256:AES256-SHA256", "kEECDH+HIGH:!aECDSA", "ECDHE+AES:kRSA+AESGCM",
	} {
		ids, _, err := parseCiphers(list)
		if err != nil {
			t.Errorf("%q: %v", list, err)
		}
		var got []string
		for _, id := range ids {
			i := slices.IndexFunc(suites, func(s suite) bool { return s.id == id })
			if !strings.Contains(suites[i].name, "CBC3") { // not built into OpenSSL 3
				got = append(got, suites[i].name)
			}
		}
		slices.Sort(got)
		if want := openssl(list); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", list, got, want)
		}
	}
}

func TestCipherWarnings(t *testing.T) {
	for _, c := range []struct{ list, warning, problem string }{
		{"HIGH:!aNULL:!MD5:!RC4:!DSS:-kDHE", "", ""},
		{"AESGCM:DHE-RSA-AES256-GCM-SHA384", `"DHE-RSA-AES256-GCM-SHA384" is left out`, ""},
		{"AESGCM:!DHE-RSA-AES256-GCM-SHA384", "", ""},
		{"HIGH:@SECLEVEL=2", "@SECLEVEL=2 has no effect", ""},
		{"DHE+AESGCM", "", `ssl_ciphers: "DHE+AESGCM" leaves no cipher suite`},
		{"RC4-SHA", `"RC4-SHA" is left out`, "leaves no cipher suite"},
		{"TLS_AES_128_GCM_SHA256", `"TLS_AES_128_GCM_SHA256" is left out`, "leaves no cipher suite"},
		{"HIGH:!HIGH", "", "leaves no cipher suite"},
	} {
		_, warnings, err := parseCiphers(c.list)
		if got := strings.Join(warnings, "; "); !strings.Contains(got, c.warning) || (got == "") != (c.warning == "") {
			t.Errorf("%q: warnings %q, want %q", c.list, got, c.warning)
		}
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q: got %v, want %q", c.list, err, c.problem)
		}
	}
}

func TestEverySuiteIsOneOfCryptoTLS(t *testing.T) {
	known := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, s := range suites {
		if !slices.ContainsFunc(known, func(k *tls.CipherSuite) bool { return k.ID == s.id }) {
			t.Errorf("%s is not", s.name)
		}
	}
	for _, id := range slices.Concat(intermediateSuites, oldSuites) {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.id == id }) {
			t.Errorf("%s has no OpenSSL name", tls.CipherSuiteName(id))
		}
	}
}

func TestCustomPolicy(t *testing.T) {
	off, on := false, true
	for _, c := range []struct {
		name              string
		policy            Policy
		lowest, highest   uint16
		warnings, problem string
	}{
		{"defaults", Policy{CipherSuite: Custom}, tls.VersionTLS12, tls.VersionTLS13, "", ""},
		{"1.2 only", Policy{CipherSuite: Custom, Protocols: "TLSv1.2"}, tls.VersionTLS12, tls.VersionTLS12, "", ""},
		{"all", Policy{CipherSuite: Custom, Protocols: "TLSv1.3 TLSv1 TLSv1.1 TLSv1.2", PreferServerCiphers: &on}, tls.VersionTLS10, tls.VersionTLS13, "", ""},
		{"1.3 needs no ciphers", Policy{CipherSuite: Custom, Protocols: "TLSv1.3", Ciphers: "DHE"}, tls.VersionTLS13, tls.VersionTLS13, "", ""},
		{"gap", Policy{CipherSuite: Custom, Protocols: "TLSv1 TLSv1.2"}, 0, 0, "", "leaves out TLSv1.1"},
		{"SSL", Policy{CipherSuite: Custom, Protocols: "SSLv3 TLSv1.2"}, 0, 0, "", `ssl_protocols: "SSLv3" is not supported`},
		{"blank", Policy{CipherSuite: Custom, Protocols: " "}, 0, 0, "", "ssl_protocols: no protocol"},
		{"ciphers", Policy{CipherSuite: Custom, Ciphers: "NULL"}, 0, 0, "", "ssl_ciphers"},
		{"client's order", Policy{CipherSuite: Custom, PreferServerCiphers: &off}, tls.VersionTLS12, tls.VersionTLS13, "ssl_prefer_server_ciphers: off", ""},
		{"unused", Policy{Ciphers: "HIGH", Protocols: "TLSv1.2", PreferServerCiphers: &on}, tls.VersionTLS12, tls.VersionTLS13,
			"ssl_ciphers: has no effect unless ssl_cipher_suite is custom; ssl_prefer_server_ciphers: has no effect unless ssl_cipher_suite is custom; " +
				"ssl_protocols: has no effect unless ssl_cipher_suite is custom", ""},
	} {
		var config tls.Config
		warnings, err := c.policy.Apply(&config)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.problem)
		}
		if err == nil && (config.MinVersion != c.lowest || config.MaxVersion != c.highest) {
			t.Errorf("%s: versions %x to %x", c.name, config.MinVersion, config.MaxVersion)
		}
		if got := strings.Join(warnings, "; "); !strings.HasPrefix(got, c.warnings) || (got == "") != (c.warnings == "") {
			t.Errorf("%s: warnings %q, want %q", c.name, got, c.warnings)
		}
	}
}

func FuzzCiphers(f *testing.F) {
	f.Add("HIGH:!aNULL:!MD5")
	f.Add("EECDH+AESGCM:-SHA1:+kRSA:@STRENGTH")
	f.Fuzz(func(t *testing.T, list string) {
		ids, _, err := parseCiphers(list)
		if (err == nil) != (len(ids) > 0) {
			t.Errorf("%q: %d suites, %v", list, len(ids), err)
		}
	})
}

func FuzzProtocols(f *testing.F) {
	f.Add("TLSv1.2 TLSv1.3")
	f.Fuzz(func(t *testing.T, list string) {
		lowest, highest, err := parseProtocols(list)
		if err == nil && (lowest > highest || lowest < tls.VersionTLS10 || highest > tls.VersionTLS13) {
			t.Errorf("%q: %x to %x", list, lowest, highest)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// suite is a TLS 1.0 to 1.2 cipher suite that crypto/tls offers, as OpenSSL
// names and groups it (openssl-ciphers(1)).
type suite struct {
	id    uint16
	name  string
	words string // the cipher strings that select it, but for its name
}

// suites are in the order in which crypto/tls prefers them. RC4 is not among
// them: RFC 7465 forbids it.
var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", keyECDHE + byECDSA + fromTLS12 + "AES AES128 AESGCM"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", keyECDHE + byRSA + fromTLS12 + "AES AES128 AESGCM"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", keyECDHE + byECDSA + fromTLS12 + "AES AES256 AESGCM"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", keyECDHE + byRSA + fromTLS12 + "AES AES256 AESGCM"},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", keyECDHE + byECDSA + fromTLS12 + "CHACHA20"},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", keyECDHE + byRSA + fromTLS12 + "CHACHA20"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", keyECDHE + byECDSA + fromTLS12 + "AES AES128 SHA256"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", keyECDHE + byRSA + fromTLS12 + "AES AES128 SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", keyECDHE + byECDSA + fromTLS10 + "AES AES128 SHA1 SHA"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", keyECDHE + byRSA + fromTLS10 + "AES AES128 SHA1 SHA"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", keyECDHE + byECDSA + fromTLS10 + "AES AES256 SHA1 SHA"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", keyECDHE + byRSA + fromTLS10 + "AES AES256 SHA1 SHA"},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", keyRSA + byRSA + fromTLS12 + "AES AES128 AESGCM"},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", keyRSA + byRSA + fromTLS12 + "AES AES256 AESGCM"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", keyRSA + byRSA + fromTLS12 + "AES AES128 SHA256"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", keyRSA + byRSA + fromSSL3 + "AES AES128 SHA1 SHA"},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", keyRSA + byRSA + fromSSL3 + "AES AES256 SHA1 SHA"},
	{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, "ECDHE-RSA-DES-CBC3-SHA", keyECDHE + byRSA + "ALL TLSv1 TLSv1.0 MEDIUM 3DES SHA1 SHA"},
	{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA", keyRSA + byRSA + "ALL SSLv3 MEDIUM 3DES SHA1 SHA"},
}

const (
	keyECDHE  = "ECDHE EECDH kECDHE kEECDH "
	byECDSA   = "ECDSA aECDSA "
	byRSA     = "aRSA "
	keyRSA    = "kRSA RSA "
	fromTLS12 = "ALL DEFAULT HIGH TLSv1.2 "
	fromTLS10 = "ALL DEFAULT HIGH TLSv1 TLSv1.0 "
	fromSSL3  = "ALL DEFAULT HIGH SSLv3 "
)

// absent are cipher strings that select nothing crypto/tls has. Excluding them
// is what most lists do, and needs no word.
var absent = strings.Fields("aNULL eNULL NULL MD5 RC4 RC2 DES LOW EXP EXPORT EXPORT40 EXPORT56 DSS aDSS DH DHE EDH kDHE kEDH kDH ADH AECDH " +
	"aDH aECDH kECDH ECDH PSK kPSK aPSK kDHEPSK kECDHEPSK kRSAPSK SRP kSRP aSRP SEED IDEA CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 ARIA256 " +
	"ARIAGCM AESCCM AESCCM8 SHA384 GOST GOST94 GOST89MAC aGOST kGOST COMPLEMENTOFALL COMPLEMENTOFDEFAULT SUITEB128 SUITEB192 SUITEB128ONLY")

// parseCiphers reads a cipher list as OpenSSL writes it. What of it cannot be
// had is named in the warnings.
func parseCiphers(list string) (ids []uint16, warnings []string, err error) {
	chosen, killed := make([]bool, len(suites)), make([]bool, len(suites))
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		operator := word[0]
		if strings.IndexByte("!-+@", operator) >= 0 {
			word = word[1:]
		}
		if operator == '@' {
			if strings.HasPrefix(word, "SECLEVEL") {
				warnings = append(warnings, fmt.Sprintf("ssl_ciphers: @%s has no effect; crypto/tls has no security levels", word))
			}
			continue
		}
		selected, known := selects(word)
		if !known && operator != '!' && operator != '-' {
			warnings = append(warnings, fmt.Sprintf("ssl_ciphers: %q is left out; crypto/tls has no such suite", word))
		}
		for _, i := range selected {
			switch operator {
			case '!':
				killed[i] = true
				chosen[i] = false
			case '-':
				chosen[i] = false
			case '+': // moves to the end; the order is that of crypto/tls
			default:
				chosen[i] = !killed[i]
			}
		}
	}
	for i, c := range chosen {
		if c {
			ids = append(ids, suites[i].id)
		}
	}
	if len(ids) == 0 {
		return nil, warnings, fmt.Errorf("ssl_ciphers: %q leaves no cipher suite that crypto/tls has; name one such as %s", list, suites[0].name)
	}
	return ids, warnings, nil
}

// selects returns the indices of the suites that a cipher string stands for: a
// suite's name, or groups joined by "+" of which it must be in all. known is
// false for what selects nothing here.
func selects(word string) (found []int, known bool) {
	groups := strings.Split(word, "+")
	for i, s := range suites {
		if s.name == word || !slices.ContainsFunc(groups, func(g string) bool { return !slices.Contains(strings.Fields(s.words), g) }) {
			found = append(found, i)
		}
	}
	return found, len(found) > 0 || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(absent, g) })
}

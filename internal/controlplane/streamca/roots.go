// SPDX-License-Identifier: Apache-2.0

// Package streamca is the certificate authority of the configuration stream and,
// with roots of its own, of the admission webhook. The manager makes its roots
// itself, keeps them in a Secret of its own namespace and replaces them in time:
// a new root is published a day before it signs, and an old one stays until
// nothing that it signed is valid any more. Clients therefore never meet a
// certificate whose root they do not have.
package streamca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// The lives of certificates.
const (
	RootValidity = 90 * 24 * time.Hour
	RotateAfter  = 60 * 24 * time.Hour // age at which a root gets a successor
	PublishAhead = 24 * time.Hour      // between publishing a root and signing with it
	LeafValidity = 48 * time.Hour
	RenewAfter   = 24 * time.Hour // age at which a leaf is issued anew

	// skew is how far a proxy's clock may be behind the manager's.
	skew = time.Hour
)

// Root is one root of the authority.
type Root struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
	// SignsFrom is when certificates may be issued with it.
	SignsFrom time.Time
}

func (r Root) created() time.Time { return r.Certificate.NotBefore.Add(skew) }

// Roots are all roots that proxies are to trust, oldest first.
type Roots []Root

// Rotate returns the roots as they are to be at a time: without those that are
// not needed any more, and with a new one when it is due. It says whether
// anything changed.
func (rs Roots) Rotate(now time.Time) (Roots, bool, error) {
	out := slices.DeleteFunc(slices.Clone(rs), func(r Root) bool {
		return !now.Before(r.Certificate.NotAfter) || rs.superseded(r, now)
	})
	changed := len(out) != len(rs)
	switch {
	case len(out) == 0:
		// Nobody trusts anything yet, so there is nothing to wait for.
		r, err := newRoot(now, now)
		return Roots{r}, true, err
	case now.Sub(out[len(out)-1].created()) >= RotateAfter:
		r, err := newRoot(now, now.Add(PublishAhead))
		return append(out, r), true, err
	}
	return out, changed, nil
}

// superseded reports whether a later root has been signing for so long that
// nothing signed by r is valid.
func (rs Roots) superseded(r Root, now time.Time) bool {
	return slices.ContainsFunc(rs, func(other Root) bool {
		return other.SignsFrom.After(r.SignsFrom) && now.Sub(other.SignsFrom) > LeafValidity
	})
}

// Signer returns the root to sign with: the latest whose time has come. When
// all of those have expired (no manager ran for a month), one that was only
// just published has to do.
func (rs Roots) Signer(now time.Time) (Root, bool) {
	for _, r := range slices.Backward(rs) {
		if !now.Before(r.SignsFrom) && now.Before(r.Certificate.NotAfter) {
			return r, true
		}
	}
	for _, r := range rs {
		if now.Before(r.Certificate.NotAfter) {
			return r, true
		}
	}
	return Root{}, false
}

// Next returns when Rotate or Signer will next answer differently.
func (rs Roots) Next(now time.Time) time.Time {
	next := now.Add(RotateAfter)
	for _, r := range rs {
		for _, t := range []time.Time{
			r.SignsFrom, r.SignsFrom.Add(LeafValidity + time.Second), r.created().Add(RotateAfter), r.Certificate.NotAfter,
		} {
			if t.After(now) && t.Before(next) {
				next = t
			}
		}
	}
	return next
}

// Bundle returns the public part, in PEM.
func (rs Roots) Bundle() []byte {
	var out []byte
	for _, r := range rs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate.Raw})...)
	}
	return out
}

// Issue returns a server certificate for these names.
func (r Root) Issue(names []string, now time.Time) (*tls.Certificate, error) {
	if len(names) == 0 {
		return nil, errors.New("stream certificate: no server name")
	}
	key, template, err := template(names[0], now, now.Add(LeafValidity))
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(r.Certificate.NotAfter) {
		template.NotAfter = r.Certificate.NotAfter
	}
	template.DNSNames = names
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, r.Certificate, &key.PublicKey, r.Key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func newRoot(now, signsFrom time.Time) (Root, error) {
	key, template, err := template("kong-istio-gateway", now, now.Add(RootValidity))
	if err != nil {
		return Root{}, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return Root{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return Root{Certificate: cert, Key: key, SignsFrom: signsFrom.UTC().Truncate(time.Second)}, err
}

func template(name string, now, notAfter time.Time) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	return key, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: notAfter,
	}, nil
}

// stored is a root as it lies in the Secret.
type stored struct {
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	SignsFrom   time.Time `json:"signsFrom"`
}

// Encode returns the roots with their keys.
func (rs Roots) Encode() ([]byte, error) {
	out := make([]stored, len(rs))
	for i, r := range rs {
		der, err := x509.MarshalPKCS8PrivateKey(r.Key)
		if err != nil {
			return nil, err
		}
		out[i] = stored{
			Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate.Raw})),
			Key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
			SignsFrom:   r.SignsFrom,
		}
	}
	return json.Marshal(out)
}

// Decode is the reverse of Encode. Its errors hold nothing of the keys.
func Decode(data []byte) (Roots, error) {
	var in []stored
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, errors.New("stored roots: not the JSON that was written")
	}
	out := make(Roots, len(in))
	for i, s := range in {
		r, err := s.decode()
		if err != nil {
			return nil, fmt.Errorf("stored root %d: %w", i, err)
		}
		out[i] = r
	}
	return out, nil
}

func (s stored) decode() (Root, error) {
	certBlock, _ := pem.Decode([]byte(s.Certificate))
	keyBlock, _ := pem.Decode([]byte(s.Key))
	if certBlock == nil || keyBlock == nil {
		return Root{}, errors.New("certificate or key is not PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return Root{}, errors.New("the certificate cannot be parsed")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return Root{}, errors.New("the key cannot be parsed")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return Root{}, errors.New("the key is not the certificate's")
	}
	return Root{Certificate: cert, Key: key, SignsFrom: s.SignsFrom}, nil
}

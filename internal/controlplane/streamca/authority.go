// SPDX-License-Identifier: Apache-2.0

package streamca

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrConflict says that somebody else changed the stored roots meanwhile.
var ErrConflict = errors.New("the stored roots were changed meanwhile")

// Store keeps the roots.
type Store interface {
	// Load returns what was saved last and its version; nil when there is nothing.
	Load(context.Context) (data []byte, version string, err error)
	// Save replaces the version that Load returned ("" creates); it fails with
	// ErrConflict when that is not the present one.
	Save(ctx context.Context, data []byte, version string) error
}

// Config is what an Authority needs.
type Config struct {
	Store Store
	// ServerNames are those of the managers' Service; clients check the first.
	ServerNames []string
	// OnBundle is called with the public roots, in PEM, when they changed and
	// at the start.
	OnBundle func([]byte)
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Authority issues a server's certificate. Run makes it work; the other methods
// are safe for concurrent use. Several processes may share a Store: each issues
// certificates of its own, and whoever finds first that a root is due makes it.
type Authority struct {
	config Config
	log    *slog.Logger

	mu     sync.Mutex
	roots  Roots
	leaf   *tls.Certificate
	issued time.Time
	bundle []byte
}

// New returns an authority that has no roots yet.
func New(c Config) *Authority {
	a := &Authority{config: c, log: c.Logger}
	if a.log == nil {
		a.log = slog.Default()
	}
	return a
}

const (
	recheck = time.Hour        // the Secret is read again at least this often
	retry   = 10 * time.Second // after a failure
)

// Run keeps roots and certificate in order until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	for {
		wait := retry
		next, err := a.Step(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrConflict):
			wait = time.Second
		case err != nil:
			a.log.Error("The certificate authority cannot be kept in order", "error", err)
		default:
			wait = min(recheck, time.Until(next))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// Step does what is due at a time and returns when there will be more to do.
// Run calls it; a leader calls it once before it listens.
func (a *Authority) Step(ctx context.Context, now time.Time) (time.Time, error) {
	roots, err := a.load(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	signer, ok := roots.Signer(now)
	if !ok {
		return time.Time{}, errors.New("no root can sign")
	}
	next, published, err := a.take(roots, signer, now)
	if published != nil {
		a.config.OnBundle(published)
	}
	return next, err
}

// take makes roots the present ones. It returns the bundle when that is new.
func (a *Authority) take(roots Roots, signer Root, now time.Time) (next time.Time, published []byte, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roots = roots
	if bundle := roots.Bundle(); !bytes.Equal(bundle, a.bundle) {
		a.bundle, published = bundle, bundle
	}
	if a.leaf == nil || now.Sub(a.issued) >= RenewAfter || !bytes.Equal(a.leaf.Leaf.AuthorityKeyId, signer.Certificate.SubjectKeyId) {
		leaf, err := signer.Issue(a.config.ServerNames, now)
		if err != nil {
			return time.Time{}, published, err
		}
		a.leaf, a.issued = leaf, now
	}
	next = roots.Next(now)
	if renew := a.issued.Add(RenewAfter); renew.Before(next) {
		next = renew
	}
	return next, published, nil
}

// load reads the roots and brings the stored ones up to date.
func (a *Authority) load(ctx context.Context, now time.Time) (Roots, error) {
	data, version, err := a.config.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	var roots Roots
	changed := false
	if data != nil {
		if roots, err = Decode(data); err != nil {
			// Going on with new roots would cut off every proxy for as long as
			// the new bundle takes to reach it; somebody has to decide that.
			return nil, fmt.Errorf("%w; restore the Secret, or delete it to start over", err)
		}
	} else {
		a.mu.Lock()
		roots = a.roots // somebody deleted the Secret under a running manager
		a.mu.Unlock()
		changed = len(roots) > 0
	}
	roots, rotated, err := roots.Rotate(now)
	if err != nil || !rotated && !changed {
		return roots, err
	}
	if data, err = roots.Encode(); err != nil {
		return nil, err
	}
	return roots, a.config.Store.Save(ctx, data, version)
}

// Bundle returns the public roots, in PEM; nil while there are none.
func (a *Authority) Bundle() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bundle
}

// TLSConfig returns the server's configuration. New connections get the
// present certificate; open ones are not touched by a rotation.
func (a *Authority) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.leaf == nil {
				return nil, errors.New("no certificate was issued yet")
			}
			return a.leaf, nil
		},
	}
}

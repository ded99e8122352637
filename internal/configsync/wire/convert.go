// SPDX-License-Identifier: Apache-2.0

// Package wire holds the messages of the configuration stream, generated from
// configsync.proto, and their translation to and from the types of configsync.
// Decoding checks what the other end sent: lengths of hashes, content against
// its hash.
package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

const hashLen = len(configsync.Hash{})

// heldLen is the size of one entry of Hello.held; half of the record's hash is
// enough there, because the hash over the whole snapshot is checked in the end.
const (
	heldHashLen = 8
	heldLen     = hashLen + heldHashLen
)

// HeldHash is the part of a record's hash that Hello carries.
type HeldHash [heldHashLen]byte

// HashPrefix returns the part of h that Hello carries.
func HashPrefix(h configsync.Hash) HeldHash { return HeldHash(h[:heldHashLen]) }

// EncodeHash returns the bytes of h; none for the zero hash.
func EncodeHash(h configsync.Hash) []byte {
	if h == (configsync.Hash{}) {
		return nil
	}
	return h[:]
}

// DecodeHash is the reverse of EncodeHash.
func DecodeHash(b []byte) (configsync.Hash, error) {
	var h configsync.Hash
	if len(b) != 0 && len(b) != hashLen {
		return h, fmt.Errorf("a hash has %d bytes, want %d", len(b), hashLen)
	}
	copy(h[:], b)
	return h, nil
}

// EncodePosition returns p as a message.
func EncodePosition(p configsync.Position) *Position {
	return &Position{Term: p.Term, Sequence: p.Sequence}
}

// DecodePosition is the reverse of EncodePosition; nil is the zero position.
func DecodePosition(p *Position) configsync.Position {
	return configsync.Position{Term: p.GetTerm(), Sequence: p.GetSequence()}
}

// EncodeHeld lists what a proxy holds.
func EncodeHeld[V any](m content.Map[V]) []byte {
	out := make([]byte, 0, m.Len()*heldLen)
	for e := range m.All() {
		out = append(out, e.Key[:]...)
		out = append(out, e.Hash[:heldHashLen]...)
	}
	return out
}

// DecodeHeld is the reverse of EncodeHeld.
func DecodeHeld(b []byte) (map[configsync.Hash]HeldHash, error) {
	if len(b)%heldLen != 0 {
		return nil, fmt.Errorf("held has %d bytes, want a multiple of %d", len(b), heldLen)
	}
	out := make(map[configsync.Hash]HeldHash, len(b)/heldLen)
	for ; len(b) > 0; b = b[heldLen:] {
		out[configsync.Hash(b[:hashLen])] = HeldHash(b[hashLen:heldLen])
	}
	return out, nil
}

// EncodeRecord returns r as a message; the bytes are shared.
func EncodeRecord(r *configsync.Record) *Record {
	return &Record{Kind: string(r.Key.Kind), Id: string(r.Key.ID), Type: r.Type, Json: r.JSON, Hash: r.Hash[:]}
}

// DecodeRecord is the reverse of EncodeRecord. It fails when the content does
// not have the hash that it came with.
func DecodeRecord(m *Record) (*configsync.Record, error) {
	key := entity.Key{Kind: entity.Kind(m.GetKind()), ID: entity.ID(m.GetId())}
	if key.Kind == "" || key.ID == "" {
		return nil, errors.New("a record has no kind or no id")
	}
	r := configsync.RawRecord(key, m.GetType(), m.GetJson())
	if string(m.GetHash()) != string(r.Hash[:]) {
		return nil, fmt.Errorf("%s %s: content and hash differ", key.Kind, key.ID)
	}
	return r, nil
}

// DecodeDeletes splits the key digests of Delta.deletes.
func DecodeDeletes(b []byte) ([]configsync.Hash, error) {
	if len(b)%hashLen != 0 {
		return nil, fmt.Errorf("deletes has %d bytes, want a multiple of %d", len(b), hashLen)
	}
	out := make([]configsync.Hash, 0, len(b)/hashLen)
	for ; len(b) > 0; b = b[hashLen:] {
		out = append(out, configsync.Hash(b[:hashLen]))
	}
	return out, nil
}

// EncodeSchemas returns the announcement as messages.
func EncodeSchemas(in []configsync.Schema) []*Schema {
	out := make([]*Schema, len(in))
	for i, s := range in {
		out[i] = &Schema{Name: s.Name, Hash: EncodeHash(s.Hash), Fields: s.Fields}
	}
	return out
}

// DecodeSchemas is the reverse of EncodeSchemas.
func DecodeSchemas(in []*Schema) ([]configsync.Schema, error) {
	out := make([]configsync.Schema, len(in))
	for i, s := range in {
		h, err := DecodeHash(s.GetHash())
		if err != nil {
			return nil, fmt.Errorf("schema %q: %w", s.GetName(), err)
		}
		out[i] = configsync.Schema{Name: s.GetName(), Hash: h, Fields: s.GetFields()}
	}
	return out, nil
}

// EncodeRejections returns the rejections as messages.
func EncodeRejections(in []configsync.Rejection) []*Rejection {
	out := make([]*Rejection, len(in))
	for i, r := range in {
		out[i] = &Rejection{
			Key:  &Key{Kind: string(r.Key.Kind), Id: string(r.Key.ID)},
			Name: r.Name, Field: r.Field, Reason: r.Reason,
		}
	}
	return out
}

// DecodeRejections is the reverse of EncodeRejections.
func DecodeRejections(in []*Rejection) []configsync.Rejection {
	out := make([]configsync.Rejection, len(in))
	for i, r := range in {
		out[i] = configsync.Rejection{
			Key:  entity.Key{Kind: entity.Kind(r.GetKey().GetKind()), ID: entity.ID(r.GetKey().GetId())},
			Name: r.GetName(), Field: r.GetField(), Reason: r.GetReason(),
		}
	}
	return out
}

// EncodeReport returns r as a message.
func EncodeReport(r configsync.Report) *Report {
	m := &Report{
		RequestsPerSecond: r.RequestsPerSecond,
		ErrorsPerSecond:   r.ErrorsPerSecond,
		ActiveConnections: r.ActiveConnections,
		Errors:            r.Errors,
	}
	for _, p := range r.ScopePending {
		m.ScopePending = append(m.ScopePending, &ScopePending{
			Address: p.Address.String(), SinceUnixMilli: p.Since.UnixMilli(),
		})
	}
	return m
}

// DecodeReport is the reverse of EncodeReport.
func DecodeReport(m *Report) (configsync.Report, error) {
	r := configsync.Report{
		RequestsPerSecond: m.GetRequestsPerSecond(),
		ErrorsPerSecond:   m.GetErrorsPerSecond(),
		ActiveConnections: m.GetActiveConnections(),
		Errors:            m.GetErrors(),
	}
	for _, p := range m.GetScopePending() {
		addr, err := netip.ParseAddrPort(p.GetAddress())
		if err != nil {
			return r, fmt.Errorf("scope_pending: %w", err)
		}
		r.ScopePending = append(r.ScopePending, configsync.ScopePending{
			Address: addr, Since: time.UnixMilli(p.GetSinceUnixMilli()),
		})
	}
	return r, nil
}

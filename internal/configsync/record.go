// SPDX-License-Identifier: Apache-2.0

package configsync

import (
	"cmp"
	"crypto/sha256"
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Hash identifies the content of a record, or of a whole snapshot.
type Hash = content.Hash

// Records is an immutable set of records that knows the hash over them.
type Records = content.Map[*Record]

// Record is one entity or one setting as it travels. Records are immutable.
type Record struct {
	Key entity.Key
	// Type tells apart what shares a kind but not a schema: the name of a
	// plugin, the type of a credential, else empty.
	Type string
	// JSON is canonical: equal content has equal bytes. Only what was set is in it.
	JSON []byte
	// Hash is entity.HashEntity's: over the kind and JSON.
	Hash Hash
}

// NewRecord returns the record of an entity.
func NewRecord(e entity.Entity) (*Record, error) {
	key := entity.KeyOf(e)
	data, err := entity.MarshalEntity(e)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", key.Kind, key.ID, err)
	}
	return RawRecord(key, typeOf(e), data), nil
}

// RawRecord returns a record of bytes that are known to be canonical.
func RawRecord(key entity.Key, typ string, data []byte) *Record {
	return &Record{Key: key, Type: typ, JSON: data, Hash: sum(string(key.Kind), data)}
}

func typeOf(e entity.Entity) string {
	switch e := e.(type) {
	case *entity.Plugin:
		return e.Name
	case *entity.Credential:
		return e.Type
	}
	return ""
}

// Entry returns the record as an entry of Records.
func (r *Record) Entry() content.Entry[*Record] {
	return content.Entry[*Record]{Key: KeyDigest(r.Key), Hash: r.Hash, Value: r}
}

// KeyDigest returns the digest under which Records holds a key.
func KeyDigest(k entity.Key) Hash {
	var room [128]byte // for every kind and id
	data := append(append(append(room[:0], k.Kind...), 0), k.ID...)
	sum := sha256.Sum256(data)
	return Hash(sum[:16])
}

// sum hashes a kind and what is of that kind.
func sum(kind string, data []byte) Hash {
	h := sha256.New()
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(data)
	var out [sha256.Size]byte
	return Hash(h.Sum(out[:0])[:16])
}

// DecodeEntity decodes a record that is not a setting. It fails on fields that
// this build does not know.
func DecodeEntity(r *Record) (entity.Entity, error) {
	e, err := entity.UnmarshalEntity(r.Key.Kind, r.JSON)
	if err != nil {
		return nil, err
	}
	if entity.KeyOf(e) != r.Key {
		return nil, fmt.Errorf("the record holds another id: %s", e.EntityID())
	}
	return e, nil
}

// Position orders the snapshots of a gateway: by the leader's term, then by
// sequence. A proxy never goes back to a lower one. The zero Position is below
// every published one.
type Position struct {
	Term     uint64
	Sequence uint64
}

// Compare returns -1, 0 or +1 as p is before, at or after q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Term, q.Term), cmp.Compare(p.Sequence, q.Sequence))
}

// String returns "term/sequence".
func (p Position) String() string { return fmt.Sprintf("%d/%d", p.Term, p.Sequence) }

// Snapshot is what a gateway's proxies are to hold, at a position.
type Snapshot struct {
	Position Position
	Records  Records
}

// Gateway names a KongIstioGateway.
type Gateway struct {
	Namespace string
	Name      string
}

// String returns "namespace/name".
func (g Gateway) String() string { return g.Namespace + "/" + g.Name }

// Rejection says what a proxy leaves out of the snapshot it holds, and why.
type Rejection struct {
	Key    entity.Key
	Name   string // the entity's name, where it has one
	Field  string // dotted path, empty when it is about the whole entity
	Reason string // what is wrong and how to put it right; holds no secret
}

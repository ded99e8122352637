// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Owner is a part of the snapshot that is made, and replaced, as a whole. A new
// manager goes on serving it when the object behind it is invalid by then.
type Owner struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Object is the part's main object, of the generation that was translated.
	Object     Object `json:"object,omitzero"`
	Generation int64  `json:"generation,omitempty"`
	// Plugins is the plugins annotation of that generation.
	Plugins string `json:"plugins,omitempty"`
	// Spec is what applies of an object that has no entities of its own.
	Spec json.RawMessage `json:"spec,omitempty"`
	// LastGood says that a later generation was invalid.
	LastGood bool `json:"last_good,omitempty"`
	// Entities are the records of this part, by key.
	Entities []entity.Key `json:"-"`
}

// Object names a Kubernetes object.
type Object struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Snapshot is what lies in the shards.
type Snapshot struct {
	Position configsync.Position
	Records  configsync.Records
	// Owners is for managers only; proxies ignore it.
	Owners []Owner
}

// The stream inside is lines of JSON: one header, then a line for each record,
// then a line for each owner, whose entities are indexes of records.
type header struct {
	Term     uint64 `json:"term"`
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
	Records  int    `json:"records"`
	Owners   int    `json:"owners"`
}

type recordLine struct {
	Kind entity.Kind     `json:"k"`
	ID   entity.ID       `json:"i"`
	Type string          `json:"t,omitempty"`
	JSON json.RawMessage `json:"v"`
}

type ownerLine struct {
	Owner
	Records []int `json:"records,omitempty"`
}

// Limits bound what Encode writes. Zero members mean no limit.
type Limits struct {
	Shards int
	Bytes  int // of one shard
}

// SecretLimits are those of the Secrets.
var SecretLimits = Limits{Shards: MaxShards, Bytes: MaxBytes}

// Encode writes a snapshot as one or more shards. It fails with *TooLargeError
// when they would be too many.
func Encode(s Snapshot, l Limits) ([][]byte, error) {
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	w := bufio.NewWriter(zip)
	if err := encode(w, s); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Flush(), zip.Close()); err != nil {
		return nil, err
	}
	size := l.Bytes
	if size == 0 {
		size = headLen + max(1, buf.Len())
	}
	shards := split(buf.Bytes(), size)
	if l.Shards > 0 && len(shards) > l.Shards {
		return nil, &TooLargeError{Bytes: buf.Len(), Limit: l.Shards * (size - headLen)}
	}
	return shards, nil
}

func encode(w io.Writer, s Snapshot) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err := enc.Encode(header{
		Term: s.Position.Term, Sequence: s.Position.Sequence,
		Hash: s.Records.Hash().String(), Records: s.Records.Len(), Owners: len(s.Owners),
	})
	if err != nil {
		return err
	}
	index := make(map[entity.Key]int, s.Records.Len())
	for e := range s.Records.All() {
		r := e.Value
		index[r.Key] = len(index)
		if err := encodeRecord(w, r); err != nil {
			return fmt.Errorf("%s %s: %w", r.Key.Kind, r.Key.ID, err)
		}
	}
	for _, o := range s.Owners {
		line := ownerLine{Owner: o}
		for _, key := range o.Entities {
			i, ok := index[key]
			if !ok {
				return fmt.Errorf("%s %s/%s owns %s %s, which the snapshot lacks", o.Kind, o.Namespace, o.Name, key.Kind, key.ID)
			}
			line.Records = append(line.Records, i)
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// encodeRecord writes a recordLine. The record's JSON goes in as it is: it is
// canonical, and an encoder would look through all of it once more.
func encodeRecord(w io.Writer, r *configsync.Record) error {
	head, err := json.Marshal(recordLine{Kind: r.Key.Kind, ID: r.Key.ID, Type: r.Type, JSON: json.RawMessage("0")})
	if err != nil {
		return err
	}
	for _, part := range [][]byte{bytes.TrimSuffix(head, []byte("0}")), r.JSON, []byte("}\n")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// maxStream bounds the uncompressed size that Decode accepts.
const maxStream = 1 << 30

// Decode reads a snapshot. Shards that are absent are empty or left out at the
// end. It fails with ErrNone, *TornError, or an error about the format; what it
// returns has the hash that was written.
func Decode(shards [][]byte) (Snapshot, error) {
	stream, err := join(shards)
	if err != nil {
		return Snapshot{}, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(stream))
	if err != nil {
		return Snapshot{}, err
	}
	return decode(json.NewDecoder(io.LimitReader(zip, maxStream)))
}

func decode(dec *json.Decoder) (Snapshot, error) {
	var h header
	if err := dec.Decode(&h); err != nil {
		return Snapshot{}, fmt.Errorf("snapshot header: %w", err)
	}
	s := Snapshot{Position: configsync.Position{Term: h.Term, Sequence: h.Sequence}}
	var keys []entity.Key
	edit := s.Records.Edit()
	for i := range h.Records {
		var line recordLine
		if err := dec.Decode(&line); err != nil {
			return Snapshot{}, fmt.Errorf("snapshot record %d: %w", i, err)
		}
		key := entity.Key{Kind: line.Kind, ID: line.ID}
		keys = append(keys, key)
		edit.Put(configsync.RawRecord(key, line.Type, line.JSON).Entry())
	}
	s.Records = edit.Done()
	if got := s.Records.Hash().String(); got != h.Hash {
		return Snapshot{}, fmt.Errorf("snapshot: content has hash %s, want %s", got, h.Hash)
	}
	for i := range h.Owners {
		var line ownerLine
		if err := dec.Decode(&line); err != nil {
			return Snapshot{}, fmt.Errorf("snapshot owner %d: %w", i, err)
		}
		for _, r := range line.Records {
			if r < 0 || r >= len(keys) {
				return Snapshot{}, fmt.Errorf("snapshot owner %d: record %d of %d", i, r, len(keys))
			}
			line.Entities = append(line.Entities, keys[r])
		}
		s.Owners = append(s.Owners, line.Owner)
	}
	return s, nil
}

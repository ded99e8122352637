// SPDX-License-Identifier: Apache-2.0

// Package shard holds the form in which a snapshot lies in Secrets and on disk,
// so that a proxy can start while no manager can be reached, and a new manager
// knows what its predecessor served.
//
// The snapshot is written as one gzip stream and cut into shards. Each shard
// starts with a head that names the set it belongs to; shard 0 also says how
// many there are and the SHA-256 of all of them together. Secrets are updated
// one by one, so shards of different sets can lie beside each other: such a
// torn set is refused.
package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

const (
	// MaxShards is how many Secrets a snapshot may take.
	MaxShards = 8
	// MaxBytes is the size of the largest shard. A Secret holds 1 MiB.
	MaxBytes = 900 << 10
	// SecretKey is the key of a Secret's data under which the shard lies.
	SecretKey = "data"
	// TooLargeReason is the reason under which TooLargeError is reported.
	TooLargeReason = "SnapshotTooLarge"
)

// SecretName returns the name of the Secret of one shard of a gateway.
func SecretName(gateway string, i int) string {
	return gateway + "-snapshot-" + strconv.Itoa(i)
}

// FileName returns the name under which a shard lies in the proxy's directory.
func FileName(i int) string { return "shard-" + strconv.Itoa(i) }

// ErrNone says that there is no snapshot: shard 0 is absent.
var ErrNone = errors.New("no snapshot")

// TornError says that the shards do not belong together or are not complete.
// It goes away by itself when the last of them has arrived.
type TornError struct{ Detail string }

func (e *TornError) Error() string { return "torn snapshot: " + e.Detail }

// TooLargeError says that a snapshot does not fit into the shards it may take.
type TooLargeError struct {
	Bytes int // compressed
	Limit int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the compressed snapshot has %d bytes, %d fit; "+
		"spread the routes over several gateways", e.Bytes, e.Limit)
}

// The head of every shard: magic, format, index, count, then the hash over the
// whole compressed stream.
const (
	magic   = "KIGS"
	format  = 1
	headLen = len(magic) + 1 + 2 + 2 + sha256.Size
)

type head struct {
	index, count int
	set          [sha256.Size]byte
}

func (h head) append(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, format)
	b = binary.BigEndian.AppendUint16(b, uint16(h.index))
	b = binary.BigEndian.AppendUint16(b, uint16(h.count))
	return append(b, h.set[:]...)
}

func parseHead(b []byte) (head, []byte, error) {
	var h head
	if len(b) < headLen || string(b[:len(magic)]) != magic {
		return h, nil, errors.New("not a snapshot shard")
	}
	if f := b[len(magic)]; f != format {
		return h, nil, fmt.Errorf("snapshot format %d is not known, want %d", f, format)
	}
	rest := b[len(magic)+1:]
	h.index = int(binary.BigEndian.Uint16(rest))
	h.count = int(binary.BigEndian.Uint16(rest[2:]))
	copy(h.set[:], rest[4:])
	return h, b[headLen:], nil
}

// split cuts a compressed stream into shards of at most size bytes.
func split(stream []byte, size int) [][]byte {
	room := size - headLen
	h := head{count: max(1, (len(stream)+room-1)/room), set: sha256.Sum256(stream)}
	out := make([][]byte, 0, h.count)
	for ; h.index < h.count; h.index++ {
		n := min(room, len(stream))
		out = append(out, append(h.append(make([]byte, 0, headLen+n)), stream[:n]...))
		stream = stream[n:]
	}
	return out
}

// join puts the stream together again. Shards past the count are leftovers of a
// larger set and are ignored.
func join(shards [][]byte) ([]byte, error) {
	if len(shards) == 0 || len(shards[0]) == 0 {
		return nil, ErrNone
	}
	first, stream, err := parseHead(shards[0])
	if err != nil {
		return nil, err
	}
	if first.index != 0 || first.count == 0 {
		return nil, errors.New("shard 0 has a wrong head")
	}
	if first.count > len(shards) {
		return nil, &TornError{fmt.Sprintf("%d of %d shards are present", len(shards), first.count)}
	}
	stream = stream[:len(stream):len(stream)]
	for i := 1; i < first.count; i++ {
		if len(shards[i]) == 0 {
			return nil, &TornError{fmt.Sprintf("shard %d of %d is absent", i, first.count)}
		}
		h, data, err := parseHead(shards[i])
		if err != nil {
			return nil, fmt.Errorf("shard %d: %w", i, err)
		}
		if h.set != first.set || h.index != i {
			return nil, &TornError{fmt.Sprintf("shard %d belongs to another snapshot", i)}
		}
		stream = append(stream, data...)
	}
	if sha256.Sum256(stream) != first.set {
		return nil, &TornError{"content and hash differ"}
	}
	return stream, nil
}

// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadDir reads the snapshot whose shards lie in dir as FileName says. It fails
// as Decode does; a missing directory is ErrNone.
func ReadDir(dir string) (Snapshot, error) {
	shards := make([][]byte, MaxShards)
	for i := range shards {
		b, err := os.ReadFile(filepath.Join(dir, FileName(i)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Snapshot{}, err
		}
		shards[i] = b
	}
	return Decode(shards)
}

// diskFile is the proxy's own copy, a single shard without a limit.
const diskFile = "snapshot"

// ReadDisk reads the copy that WriteDisk made in dir.
func ReadDisk(dir string) (Snapshot, error) {
	b, err := os.ReadFile(filepath.Join(dir, diskFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, ErrNone
	}
	if err != nil {
		return Snapshot{}, err
	}
	return Decode([][]byte{b})
}

// WriteDisk replaces the copy in dir as a whole: a crash leaves the old or the
// new one. The file holds keys and is readable by its owner only.
func WriteDisk(dir string, s Snapshot) (err error) {
	shards, err := Encode(s, Limits{Shards: 1})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, diskFile+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(shards[0])
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, diskFile))
}

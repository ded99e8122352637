// SPDX-License-Identifier: Apache-2.0

// Package image assembles container images from files on disk, without a
// container runtime or a registry. The same content always gives the same image.
package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Entry is one file, directory or link of a layer. Exactly one of Source, Data
// and Link says what it is; with none of them it is a directory.
type Entry struct {
	// Source is the path of a regular file on disk.
	Source string
	// Data is the content of a small file; non-nil.
	Data []byte
	// Link is the target of a symbolic link.
	Link string
	// Mode holds the permission bits.
	Mode fs.FileMode
}

// Tree is the content of a layer, by absolute path inside the image.
type Tree map[string]Entry

// AddFile puts a file from disk, following links, readable for everybody.
func (t Tree) AddFile(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", source)
	}
	t[cleanTarget(target)] = Entry{Source: source, Mode: info.Mode().Perm() | 0o444}
	return nil
}

// Add puts a file or, with everything below it, a directory from disk.
func (t Tree) Add(source, target string) error {
	return filepath.WalkDir(source, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, name)
		if err != nil {
			return err
		}
		to := path.Join(cleanTarget(target), filepath.ToSlash(relative))
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			t[to] = Entry{Mode: info.Mode().Perm() | 0o555}
		case info.Mode()&fs.ModeSymlink != 0 && name != source:
			link, err := os.Readlink(name)
			t[to] = Entry{Link: link}
			return err
		default:
			return t.AddFile(name, to)
		}
		return nil
	})
}

func cleanTarget(target string) string { return path.Clean("/" + target) }

// withParents returns the paths of the tree and of the directories above them,
// parents first.
func (t Tree) withParents() []string {
	all := map[string]bool{}
	for name := range t {
		for ; name != "/" && !all[name]; name = path.Dir(name) {
			all[name] = true
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// write writes the tree as a tar stream that depends on nothing but its content.
func (t Tree) write(w io.Writer) error {
	out := tar.NewWriter(w)
	for _, name := range t.withParents() {
		entry, own := t[name]
		if !own {
			entry = Entry{Mode: 0o755}
		}
		if err := entry.write(out, strings.TrimPrefix(name, "/")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return out.Close()
}

func (e Entry) write(out *tar.Writer, name string) error {
	header := &tar.Header{Name: name, Mode: int64(e.Mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if e.Mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case e.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, e.Link, 0o777
		return out.WriteHeader(header)
	case e.Data != nil:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(e.Data))
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		_, err := out.Write(e.Data)
		return err
	case e.Source != "":
		return e.copyFile(out, header)
	}
	header.Typeflag, header.Name = tar.TypeDir, name+"/"
	return out.WriteHeader(header)
}

func (e Entry) copyFile(out *tar.Writer, header *tar.Header) (err error) {
	file, err := os.Open(e.Source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}

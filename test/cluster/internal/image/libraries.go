// SPDX-License-Identifier: Apache-2.0

package image

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// libraryDirs are where Debian's dynamic loader looks without being told.
func libraryDirs() []string {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	return []string{"/usr/lib/" + triplet, "/lib/" + triplet, "/usr/lib", "/lib", "/usr/lib64", "/lib64"}
}

// AddProgram puts a dynamically linked program or plugin, its loader and every
// library that these need, at the paths where the loader looks for them.
func (t Tree) AddProgram(source, target string) error {
	if err := t.AddFile(source, target); err != nil {
		return err
	}
	interpreter, needed, err := dependencies(source)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if interpreter != "" && !t.has(interpreter) {
		if err := t.AddFile(interpreter, interpreter); err != nil {
			return fmt.Errorf("%s: loader: %w", source, err)
		}
	}
	for _, library := range needed {
		path, err := findLibrary(library)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		if t.has(path) {
			continue
		}
		if err := t.AddProgram(path, path); err != nil {
			return err
		}
	}
	return nil
}

func (t Tree) has(path string) bool {
	_, ok := t[cleanTarget(path)]
	return ok
}

// dependencies reads what a program asks for: its loader, if it names one, and
// its libraries.
func dependencies(path string) (interpreter string, needed []string, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		data, err := io.ReadAll(segment.Open())
		if err != nil {
			return "", nil, err
		}
		interpreter = strings.TrimRight(string(data), "\x00")
	}
	needed, err = file.ImportedLibraries()
	return interpreter, needed, err
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s not found in %s", name, strings.Join(libraryDirs(), ", "))
}

// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// maxSecret bounds one secret, in bytes: what a Kubernetes Secret may hold.
const maxSecret = 1 << 20

// location is one value in one vault. Errors of reading it name it, and never
// hold its value.
type location struct {
	backend           string
	scope             scope
	prefix, directory string
	resource, key     string
	version           int
	decode            bool // from base64
}

// sources are where values come from.
type sources struct {
	lookup func(name string) (string, bool)
	root   string
}

// read returns the value at l.
func (s sources) read(l location) (string, error) {
	var text string
	var err error
	key := l.key
	if l.backend == entity.VaultFile {
		text, key, err = s.readFile(l)
	} else {
		text, err = s.readVariable(l)
	}
	if err == nil && key != "" {
		text, err = entryOf(text, key)
	}
	if err != nil || !l.decode {
		return text, err
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", errors.New("its value is not base64")
	}
	return string(decoded), nil
}

// entryOf returns one entry of a secret in JSON. As in Kong it must be text and
// not nested.
func entryOf(text, key string) (string, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return "", errors.New("its value is not a JSON object, of which the reference names a key")
	}
	raw, ok := object[key]
	if !ok {
		return "", fmt.Errorf("its value has no key %q", key)
	}
	var value *string
	if json.Unmarshal(raw, &value) != nil || value == nil {
		return "", fmt.Errorf("its value is not text at key %q", key)
	}
	return *value, nil
}

// previousVersion is the version that Kong's env vault takes from another
// variable.
const previousVersion = 2

// readVariable reads an environment variable, named as Kong's env vault names
// them; before it, with a dot between, the scope.
func (s sources) readVariable(l location) (string, error) {
	name := strings.ToUpper(strings.ReplaceAll(l.prefix+l.resource, "-", "_"))
	if l.version == previousVersion {
		name += "_PREVIOUS"
	}
	if l.scope != "" {
		name = string(l.scope) + "." + name
	}
	if strings.ContainsAny(name, "=\x00") {
		return "", errors.New("it names no environment variable")
	}
	value, ok := s.lookup(name)
	switch {
	case !ok:
		return "", fmt.Errorf("the environment variable %s is not set in the proxy", name)
	case len(value) > maxSecret:
		return "", fmt.Errorf("the environment variable %s is longer than %d bytes", name, maxSecret)
	}
	return value, nil
}

// readFile reads a file below the root, and below the scope's directory in it.
// Links are followed as long as they stay there. Where the resource is a
// directory the key is a file in it, else an entry of the file, which is
// returned. One line end at the end does not count.
func (s sources) readFile(l location) (text, key string, err error) {
	shown := path.Join(string(l.scope), l.directory, l.resource)
	if l.version != 0 {
		return "", "", errors.New("files have no versions")
	}
	for _, name := range []string{l.resource, l.key} {
		if !isLocal(name) {
			return "", "", errors.New("its path leads out of the vault's directory")
		}
	}
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return "", "", fmt.Errorf("the directory of secrets %s cannot be opened: %w; mount it, or set %s", s.root, cause(err), fileRoot)
	}
	defer func() { _ = root.Close() }()
	dir := root
	for _, step := range []string{string(l.scope), l.directory} {
		if step == "" {
			continue
		}
		inner, err := dir.OpenRoot(step)
		if err != nil {
			return "", "", fmt.Errorf("the file %s below %s cannot be read: %w", shown, s.root, cause(err))
		}
		defer func() { _ = inner.Close() }()
		dir = inner
	}
	name, key := l.resource, l.key
	if info, err := dir.Stat(name); err == nil && info.IsDir() && key != "" {
		name, shown, key = path.Join(name, key), path.Join(shown, key), ""
	}
	data, err := readSmall(dir, name)
	if err != nil {
		return "", "", fmt.Errorf("the file %s below %s cannot be read: %w", shown, s.root, cause(err))
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), key, nil
}

func readSmall(dir *os.Root, name string) ([]byte, error) {
	// A pipe must not make us wait.
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("it is longer than %d bytes", maxSecret)
	}
	return data, err
}

// isLocal reports whether a path stays below where it starts, by its text
// alone.
func isLocal(name string) bool {
	return !strings.HasPrefix(name, "/") && !strings.ContainsAny(name, "\\\x00") && !slices.Contains(strings.Split(name, "/"), "..")
}

// cause takes the path off an error that names it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

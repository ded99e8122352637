// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// Settings are those of the process. The zero value is not usable, see
// ReadSettings.
type Settings struct {
	// EnvPrefix begins the names of variables that references reach by the
	// backend's name, {vault://env/…}. Kong: vault_env_prefix.
	EnvPrefix string
	// Root is the directory below which the file vault reads.
	Root string
	// Interval is how often a value is looked at whose vault has no ttl, and one
	// that cannot be read without a neg_ttl. Kong: KONG_VAULT_ROTATION_INTERVAL.
	Interval time.Duration
	// Isolation limits entities to the secrets of their namespace, which their
	// tags name.
	Isolation bool
}

const (
	envPrefix = "KONG_VAULT_ENV_PREFIX"
	fileRoot  = "KONG_VAULT_FILE_ROOT"
	interval  = "KONG_VAULT_ROTATION_INTERVAL"
	isolation = "KONG_VAULT_NAMESPACE_ISOLATION"

	defaultRoot     = "/run/kong/vault"
	defaultInterval = 60 * time.Second
	maxInterval     = 24 * time.Hour
)

// ReadsSetting reports whether ReadSettings looks at a variable.
func ReadsSetting(name string) bool {
	switch name {
	case envPrefix, fileRoot, interval, isolation:
		return true
	}
	return false
}

// ReadSettings reads the settings from the environment. isolated is whether
// namespaces are kept apart when the environment does not say. The error names
// the variable and what it may be.
func ReadSettings(lookup func(string) (string, bool), isolated bool) (Settings, error) {
	s := Settings{Root: defaultRoot, Interval: defaultInterval, Isolation: isolated}
	s.EnvPrefix, _ = lookup(envPrefix)
	if root, ok := lookup(fileRoot); ok {
		if !filepath.IsAbs(root) {
			return s, fmt.Errorf("%s: %q is not an absolute path", fileRoot, root)
		}
		s.Root = root
	}
	if text, ok := lookup(interval); ok {
		seconds, err := strconv.ParseFloat(text, 64)
		s.Interval = time.Duration(seconds * float64(time.Second))
		if err != nil || s.Interval < time.Second || s.Interval > maxInterval {
			return s, fmt.Errorf("%s: %q is not a number of seconds from 1 to %d", interval, text, int(maxInterval.Seconds()))
		}
	}
	if text, ok := lookup(isolation); ok {
		if text != "on" && text != "off" {
			return s, fmt.Errorf("%s: %q is neither on nor off", isolation, text)
		}
		s.Isolation = text == "on"
	}
	return s, nil
}

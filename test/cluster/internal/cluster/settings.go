// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// Settings are what a cluster was brought up with.
type Settings struct {
	Ports layout.PortBlock `json:"ports"`
	// Tools are the paths of the heavy binaries.
	Tools map[string]string `json:"tools"`
	// Istio is false when `up` was told to leave it out.
	Istio bool `json:"istio"`
	// Policy is Istio's outbound traffic policy.
	Policy addons.Policy `json:"outboundTrafficPolicy,omitempty"`
	// NoSidecars says why there is no sidecar image; empty if there is one.
	NoSidecars string `json:"noSidecars,omitempty"`
}

func readSettings(path string) (Settings, error) {
	var s Settings
	return s, readJSON(path, &s)
}

func (s Settings) write(path string) error { return writeJSON(path, s) }

// readJSON leaves into untouched if there is no file.
func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(path, data, 0o644)
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return pki.WriteFile(to, data, 0o755)
}

// SPDX-License-Identifier: Apache-2.0

// Package layout plans where a local cluster keeps its files, which addresses
// it uses inside its namespaces and which host ports its forwarders listen on.
// It decides only; it creates nothing.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// DefaultName is the name of the cluster when the user gives none.
const DefaultName = "kig"

// NodeName is the name of the one node of every cluster. It may be the same in
// all of them, because each node lives in namespaces of its own.
const NodeName = "node1"

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)

// Cluster names one local cluster and says where everything of it lies.
// The zero value is not usable; see New. It is immutable and safe to copy.
type Cluster struct {
	// Name as the user gave it, a short DNS label.
	Name string
	// StateDir holds everything that `down` removes; absolute.
	StateDir string
	// RepoDir is the root of the checkout; absolute.
	RepoDir string
	// CacheDir holds heavy builds, shared by all checkouts; absolute.
	CacheDir string
}

// New checks the parts and returns the plan of a cluster. stateDir may be empty,
// then it is <repoDir>/.cluster/<name>.
func New(name, stateDir, repoDir, cacheDir string) (Cluster, error) {
	if !validName.MatchString(name) {
		return Cluster{}, fmt.Errorf("--name %q: want a lower-case letter, then at most 29 lower-case letters, digits or dashes", name)
	}
	if stateDir == "" {
		stateDir = filepath.Join(repoDir, ".cluster", name)
	}
	c := Cluster{Name: name}
	for _, dir := range []struct {
		what, value string
		to          *string
	}{
		{"--state-dir", stateDir, &c.StateDir},
		{"--repo", repoDir, &c.RepoDir},
		{"KIG_CACHE", cacheDir, &c.CacheDir},
	} {
		abs, err := filepath.Abs(dir.value)
		if err != nil {
			return Cluster{}, fmt.Errorf("%s %q: %w", dir.what, dir.value, err)
		}
		if hidden := hiddenBelow(abs); hidden != "" {
			return Cluster{}, fmt.Errorf("%s %s lies below %s, which the node replaces by a directory of its own: choose another place", dir.what, abs, hidden)
		}
		*dir.to = abs
	}
	return c, nil
}

// PrivateDirs are the host directories that the node sees its own version of.
var PrivateDirs = []string{"/run", "/var/run", "/var/lib", "/var/log"}

func hiddenBelow(path string) string {
	for _, dir := range PrivateDirs {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return dir
		}
	}
	return ""
}

// ID tells clusters apart on one machine: equal names in two checkouts have
// different IDs. It is the name of the cluster's cgroup.
func (c Cluster) ID() string {
	sum := sha256.Sum256([]byte(c.StateDir))
	return "kig-" + c.Name + "-" + hex.EncodeToString(sum[:4])
}

// Path joins elements below the state directory.
func (c Cluster) Path(elem ...string) string {
	return filepath.Join(append([]string{c.StateDir}, elem...)...)
}

// LogDir holds one log file per component.
func (c Cluster) LogDir() string { return c.Path("log") }

// Log is the log file of one component.
func (c Cluster) Log(component string) string { return c.Path("log", component+".log") }

// PKIDir holds certificates, keys and the components' kubeconfigs.
func (c Cluster) PKIDir() string { return c.Path("pki") }

// ConfigDir holds the rendered component configuration.
func (c Cluster) ConfigDir() string { return c.Path("config") }

// Kubeconfig is the administrator's kubeconfig for use on the host.
func (c Cluster) Kubeconfig() string { return c.Path("kubeconfig") }

// Executable is the copy of this program that the node runs, so that rebuilding
// the original does not pull it away from a running cluster.
func (c Cluster) Executable() string { return c.Path("bin", "cluster") }

// Record is where the node's process is recorded.
func (c Cluster) Record() string { return c.Path("node.json") }

// Settings is where the choices of `up` are kept.
func (c Cluster) Settings() string { return c.Path("settings.json") }

// Forwards is where the access component writes its forwarders.
func (c Cluster) Forwards() string { return c.Path("forwards.json") }

// Images is where the content of the node's images is recorded.
func (c Cluster) Images() string { return c.Path("images.json") }

// ToolsDir holds the Go modules of the heavy tools.
func (c Cluster) ToolsDir() string { return filepath.Join(c.ModuleDir(), "tools") }

// ModuleDir is the root of this program's own module.
func (c Cluster) ModuleDir() string { return filepath.Join(c.RepoDir, "test", "cluster") }

// BuildLog is the log of building one of the tools modules.
func (c Cluster) BuildLog(module string) string {
	return filepath.Join(c.CacheDir, "log", "build-"+module+".log")
}

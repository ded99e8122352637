// SPDX-License-Identifier: Apache-2.0

// Package debian knows which Debian packages the local cluster needs, and
// installs those that are missing.
package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

// Package is one Debian package and a way to see that it is there without
// asking dpkg, so that other distributions work too.
type Package struct {
	// Name for apt-get.
	Name string
	// Programs are looked up in the system's program directories; all are needed.
	Programs []string
	// Files are absolute paths that all are needed.
	Files []string
	// Why is what the cluster uses it for.
	Why string
}

// CNIDir is where Debian installs the CNI plugins.
const CNIDir = "/usr/lib/cni"

// Required lists what the cluster needs beyond Go.
func Required() []Package {
	return []Package{
		{Name: "ca-certificates", Files: []string{"/etc/ssl/certs/ca-certificates.crt"}, Why: "downloads over TLS"},
		{Name: "conntrack", Programs: []string{"conntrack"}, Why: "kube-proxy"},
		{Name: "containernetworking-plugins", Files: []string{CNIDir + "/ptp", CNIDir + "/portmap", CNIDir + "/host-local"}, Why: "Pod network"},
		{Name: "curl", Programs: []string{"curl"}, Why: "requests from the client namespace"},
		{Name: "iproute2", Programs: []string{"ip"}, Why: "sidecar image"},
		{Name: "iptables", Programs: []string{"iptables", "xtables-nft-multi", "xtables-legacy-multi"}, Why: "sidecar image"},
		{Name: "nftables", Programs: []string{"nft"}, Why: "kube-proxy and the sidecar image"},
		{Name: "python3-pip", Programs: []string{"pip3"}, Why: "the Envoy wheel"},
		{Name: "runc", Programs: []string{"runc"}, Why: "containers"},
	}
}

// OnDisk reports whether an absolute path exists, or a program is found by name.
func OnDisk(what string) bool {
	if strings.HasPrefix(what, "/") {
		_, err := os.Stat(what)
		return err == nil
	}
	_, err := Find(what)
	return err == nil
}

// Find returns the path of a program, also where an ordinary user's PATH does
// not look.
func Find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := dir + "/" + program
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("program %s not found", program)
}

// Missing returns the packages of which present says that a part is absent.
func Missing(packages []Package, present func(string) bool) []Package {
	var absent []Package
	for _, p := range packages {
		for _, part := range append(append([]string{}, p.Programs...), p.Files...) {
			if !present(part) {
				absent = append(absent, p)
				break
			}
		}
	}
	return absent
}

// InstallLine is the exact line that installs the packages.
func InstallLine(packages []Package) string {
	return "apt-get update && apt-get install -y --no-install-recommends " + strings.Join(names(packages), " ")
}

func names(packages []Package) []string {
	out := make([]string, len(packages))
	for i, p := range packages {
		out[i] = p.Name
	}
	return out
}

// Install installs the packages with apt-get, writing its output to log. Who is
// not root, or has no apt-get, gets the line to run instead, as an error.
func Install(ctx context.Context, packages []Package, log io.Writer) error {
	if len(packages) == 0 {
		return nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages %s: run this as root, then the same command again:\n  %s",
			strings.Join(names(packages), ", "), InstallLine(packages))
	}
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-y", "-q", "--no-install-recommends"}, names(packages)...),
	} {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return &progress.Failure{Part: "apt-get " + args[0], Err: err,
				Fix: "see what apt-get said above, then run:\n    " + InstallLine(packages)}
		}
	}
	return nil
}

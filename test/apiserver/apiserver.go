// SPDX-License-Identifier: Apache-2.0

// Package apiserver starts a real kube-apiserver with a real etcd for tests.
package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// AssetsVariable is the environment variable that names the directory of the kube-apiserver, etcd
// and kubectl binaries.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// startTimeout bounds the start of each program; test packages start their servers side by side on
// machines with few cores.
const startTimeout = 2 * time.Minute

// patience bounds Eventually; a test that needs it all has failed.
const patience = time.Minute

// Server is a running API server. Its methods are safe for concurrent use.
type Server struct {
	// Config reaches the server as a member of system:masters.
	Config *rest.Config

	environment *envtest.Environment
}

// Start starts an API server on loopback with the CustomResourceDefinitions in the given files or
// directories, paths relative to the repository's root. The caller calls Stop. A test without the
// binaries fails, it is not skipped: the error says how to get them.
func Start(crds ...string) (*Server, error) {
	assets := os.Getenv(AssetsVariable)
	if assets == "" {
		return nil, fmt.Errorf("%s is not set: run the tests by \"make test\", or build the binaries by \"make test-tools\" and set it to their directory", AssetsVariable)
	}
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(assets, program)); err != nil {
			return nil, fmt.Errorf("%s=%s holds no %s: build it by \"make test-tools\"", AssetsVariable, assets, program)
		}
	}
	paths := make([]string, 0, len(crds))
	for _, path := range crds {
		paths = append(paths, filepath.Join(Root(), path))
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        paths,
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	config, err := environment.Start()
	if err != nil {
		return nil, fmt.Errorf("start kube-apiserver and etcd from %s: %w", assets, err)
	}
	return &Server{Config: config, environment: environment}, nil
}

// Stop stops the programs and removes their data.
func (s *Server) Stop() error {
	if err := s.environment.Stop(); err != nil {
		return fmt.Errorf("stop kube-apiserver and etcd: %w", err)
	}
	return nil
}

// User returns a configuration that reaches the server as the named user, who has no right but
// those that RBAC objects on the server give.
func (s *Server) User(name string, groups ...string) (*rest.Config, error) {
	user, err := s.environment.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("add user %s to the API server: %w", name, err)
	}
	return user.Config(), nil
}

// Root is the repository's root directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Eventually waits until check returns nil; after a minute it fails the test with what and check's last error.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

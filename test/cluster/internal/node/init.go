// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RunInit is what the process started by Launch does: it prepares its
// namespaces, then keeps components running until it is ended. It returns only
// on failure.
func RunInit(stateDir, id string) error {
	// Child processes must not get the file descriptors that Launch passed.
	goAhead, hostNet := os.NewFile(3, "go-ahead"), os.NewFile(4, "host-net")
	for _, fd := range []int{3, 4} {
		unix.CloseOnExec(fd)
	}
	// Nothing happens before the launcher has recorded this process.
	if n, err := goAhead.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("the launcher ended before it recorded the node: %w", err)
	}
	_ = goAhead.Close()
	if os.Getpid() != 1 {
		return fmt.Errorf("not the init of a pid namespace: started by hand?")
	}
	log.SetFlags(log.LstdFlags | log.LUTC)
	if err := prepareMounts(stateDir); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	if err := prepareCgroups(cgroupRoot, id); err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	clientNet, err := prepareNetwork()
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	supervisor := newSupervisor(filepath.Join(stateDir, "log"), stateDir, hostNet, clientNet)
	go supervisor.reap()
	return serve(supervisor, clientNet)
}

func serve(s *supervisor, clientNet *os.File) error {
	if err := os.MkdirAll(filepath.Dir(controlSocket), 0o755); err != nil {
		return err
	}
	listener, err := net.Listen("unix", controlSocket)
	if err != nil {
		return err
	}
	log.Print("ready")
	server := &http.Server{Handler: newHandler(s, clientNet), ErrorLog: log.New(io.Discard, "", 0)}
	return server.Serve(listener)
}

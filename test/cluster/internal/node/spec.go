// SPDX-License-Identifier: Apache-2.0

// Package node runs one cluster's node: a process that is the init of its own
// pid, mount and network namespaces, prepares them, and keeps the cluster's
// components running inside. Everything the node makes, except cgroups, lives
// in those namespaces, so ending that one process leaves nothing behind.
package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Spec says how to run one component.
type Spec struct {
	// Name of the component and of its log file.
	Name string `json:"name"`
	// Args is the whole command line; Args[0] is an absolute path.
	Args []string `json:"args"`
	// Env is added to a minimal environment.
	Env []string `json:"env,omitempty"`
	// Revision changes when something the component reads at start has changed,
	// so that applying the spec again restarts it.
	Revision string `json:"revision,omitempty"`
	// Outside passes the host's and the client's network namespaces to the
	// component, as file descriptors HostNetFD and ClientNetFD.
	Outside bool `json:"outside,omitempty"`
}

// File descriptors that a component with Spec.Outside finds open.
const (
	HostNetFD   = 3
	ClientNetFD = 4
)

// Validate reports a spec that could not be run.
func (s Spec) Validate() error {
	switch {
	case s.Name == "":
		return errors.New("component without a name")
	case len(s.Args) == 0 || s.Args[0] == "" || s.Args[0][0] != '/':
		return fmt.Errorf("component %s: args[0] must be an absolute path", s.Name)
	}
	return nil
}

// hash identifies the content of a spec.
func (s Spec) hash() string {
	data, err := json.Marshal(s)
	if err != nil {
		// Strings and a bool always marshal.
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// State of a component.
type State string

// The states of a component.
const (
	// Running: the process is there.
	Running State = "running"
	// Waiting: it ended by itself and is started again after a pause.
	Waiting State = "waiting"
	// Stopping: it was told to end.
	Stopping State = "stopping"
)

// Status tells how a component is doing.
type Status struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// PID in the node's own pid namespace; 0 unless running.
	PID int `json:"pid,omitempty"`
	// Restarts counts the times it ended by itself.
	Restarts int `json:"restarts"`
	// Since is when the state began.
	Since time.Time `json:"since"`
	// LastExit says how it ended last; empty if it never did.
	LastExit string `json:"lastExit,omitempty"`
}

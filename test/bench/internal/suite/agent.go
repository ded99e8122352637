// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
)

// Agent is the process of client and backend.
type Agent struct {
	// Backend is where the backend listens.
	Backend string

	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// StartAgent starts program with argument agent on a core.
func StartAgent(ctx context.Context, program string, core int) (*Agent, error) {
	cmd := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(core), program, "agent") // #nosec G204 -- ourselves
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a := &Agent{cmd: cmd, in: in, out: json.NewDecoder(out)}
	if err := a.out.Decode(&a.Backend); err != nil {
		return nil, fmt.Errorf("the agent does not start: %w", err)
	}
	return a, nil
}

// Run does one measurement.
func (a *Agent) Run(load *agent.Load) (*agent.Result, error) {
	if err := json.NewEncoder(a.in).Encode(load); err != nil {
		return nil, fmt.Errorf("the agent is gone: %w", err)
	}
	r := &agent.Result{}
	if err := a.out.Decode(r); err != nil {
		return nil, fmt.Errorf("the agent is gone: %w", err)
	}
	return r, nil
}

// Stop ends the agent.
func (a *Agent) Stop() error {
	_ = a.in.Close()
	return a.cmd.Wait()
}

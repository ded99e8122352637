// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// serverName is in the certificate that all proxies of a run share.
const serverName = "bench.test"

// Feeder is a feeder that runs. It is used by one goroutine.
type Feeder struct {
	// Address is where it serves the stream.
	Address string
	// ServerName is in its certificate, CADir holds the root, TokenFile what
	// the proxy shows. Gateway is whose configuration there is.
	ServerName, CADir, TokenFile, Gateway string

	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// Start runs a feeder on a core, which serves the declarative file config. It
// keeps files in dir, where cert and key are those of serverName. It has the core
// that it shares with the load generator only while that sleeps, and gives it
// back at once (SCHED_IDLE): with a mere nice value it finishes its slice first,
// and that would count as the proxy's latency.
func Start(ctx context.Context, program, dir, config, cert, key string, core int) (*Feeder, error) {
	f := &Feeder{ServerName: serverName, CADir: filepath.Join(dir, "roots"), TokenFile: filepath.Join(dir, "token"), Gateway: "bench/gateway"}
	const token = "of-this-run"
	root, err := os.ReadFile(cert) // #nosec G304 -- our own
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(f.CADir, 0o700), os.WriteFile(filepath.Join(f.CADir, "ca.crt"), root, 0o600),
		os.WriteFile(f.TokenFile, []byte(token), 0o600)); err != nil {
		return nil, err
	}
	f.cmd = exec.CommandContext(ctx, "chrt", "--idle", "0", "taskset", "-c", strconv.Itoa(core), program) // #nosec G204 -- built by us
	f.cmd.Cancel = func() error { return f.cmd.Process.Signal(syscall.SIGTERM) }
	f.cmd.Env, f.cmd.Stderr = append(os.Environ(), "GOMAXPROCS=1"), os.Stderr
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	f.out = json.NewDecoder(out)
	if err := f.tell(Setup{Config: config, Cert: cert, Key: key, Gateway: f.Gateway, Token: token}, &f.Address); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// tell writes a line and reads the answer.
func (f *Feeder) tell(line, answer any) error {
	if err := json.NewEncoder(f.in).Encode(line); err != nil {
		return fmt.Errorf("the feeder is gone: %w", err)
	}
	if err := f.out.Decode(answer); err != nil {
		return fmt.Errorf("the feeder is gone: %w", err)
	}
	return nil
}

// Do has a command done. A failure that the feeder reports is in the Report; an
// error says that there is no feeder any more.
func (f *Feeder) Do(c Command) (*Report, error) {
	r := &Report{}
	return r, f.tell(c, r)
}

// Stop ends the feeder.
func (f *Feeder) Stop() error {
	_ = f.in.Close()
	return f.cmd.Wait()
}

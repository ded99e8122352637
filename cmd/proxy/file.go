// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// filePoll is how often a declarative file is looked at. Its content is
// compared, not its time: a mounted ConfigMap changes by a link, and some file
// systems tell nobody.
const filePoll = time.Second

// file is a declarative file as the source of configuration.
type file struct {
	process *process
	path    string
	applied atomic.Bool
	seen    [sha256.Size]byte
}

// start refuses a file with any problem: a gateway that starts with half of
// its configuration is worse than one that does not.
func (f *file) start(context.Context) error {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("declarative config: %w", err)
	}
	f.seen = sha256.Sum256(data)
	set, err := decodeDeclarative(f.path, data, os.Stderr)
	if err != nil {
		return err
	}
	if rejected := f.process.engine.Apply(set); len(rejected) > 0 {
		for _, r := range rejected {
			fmt.Fprintf(os.Stderr, "%s: %s\n", f.path, r.Error())
		}
		return errReported
	}
	f.applied.Store(true)
	return nil
}

// run applies the file again whenever its content changes. A file that cannot
// be used is reported, and what runs goes on.
func (f *file) run(ctx context.Context) error {
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			f.reload()
		}
	}
}

func (f *file) reload() {
	data, err := os.ReadFile(f.path)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			f.process.log.Error("declarative config cannot be read; the last one goes on", "path", f.path, "error", err)
		}
		return
	}
	sum := sha256.Sum256(data)
	if sum == f.seen {
		return
	}
	f.seen = sum
	set, problems := decode(data)
	if len(problems) > 0 {
		for _, p := range problems {
			f.process.log.Error("declarative config has a problem; the last one goes on", "path", f.path, "problem", p.Error())
		}
		return
	}
	for _, r := range f.process.engine.Apply(set) {
		f.process.log.Error("entity cannot run", "path", f.path, "problem", r.Error())
	}
	f.process.log.Info("declarative config applied", "path", f.path, "entities", entityCount(set))
}

func entityCount(s *entity.Set) int {
	return len(s.Services) + len(s.Routes) + len(s.Upstreams) + len(s.Targets) + len(s.Plugins) + len(s.Consumers) +
		len(s.ConsumerGroups) + len(s.Credentials) + len(s.Certificates) + len(s.SNIs) + len(s.CACertificates) + len(s.Vaults)
}

func (f *file) ready() bool { return f.applied.Load() }

func (f *file) describe() map[string]any { return nil }

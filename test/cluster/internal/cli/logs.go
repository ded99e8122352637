// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

const followInterval = 200 * time.Millisecond

func runLogs(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	follow := fs.Bool("f", false, "go on printing what is written")
	tail := fs.Int("tail", 100, "how many lines to begin with")
	// The component may stand before the flags, as people write it.
	component := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		component, args = args[0], args[1:]
	}
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	if component == "" {
		component = fs.Arg(0)
	}
	if component == "" {
		files, err := c.LogFiles()
		for _, file := range files {
			fmt.Fprintln(a.stdout, file)
		}
		return err
	}
	path := c.Log(component)
	if _, err := os.Stat(path); err != nil {
		return usagef("logs: %s has no log; `logs` lists those that have", component)
	}
	fmt.Fprintln(a.stdout, progress.Tail(path, *tail))
	if !*follow {
		return nil
	}
	return a.follow(ctx, path)
}

func (a *app) follow(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		if _, err := io.Copy(a.stdout, file); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

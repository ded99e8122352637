// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/debian"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/toolchain"
)

func runBuild(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	only := fs.String("only", "", "comma-separated names of the tools to build (default: all)")
	printAssets := fs.Bool("print-assets", false, "print one directory that holds exactly the chosen binaries")
	if err := fs.Parse(args); err != nil {
		return parseError(err)
	}
	plan, err := a.plan()
	if err != nil {
		return err
	}
	modules, err := toolchain.Select(toolchain.Modules(), splitList(*only))
	if err != nil {
		return errUsage{err}
	}
	reporter := progress.New(a.stderr, "build tools")
	builder := &toolchain.Builder{CacheDir: plan.CacheDir, ToolsDir: plan.ToolsDir(), Log: plan.BuildLog, Report: reporter.Note}
	var paths toolchain.Paths
	if err := reporter.Run(ctx, func(ctx context.Context) (err error) {
		paths, err = builder.Build(ctx, modules)
		return err
	}); err != nil {
		return err
	}
	if !*printAssets {
		return nil
	}
	dir, err := toolchain.Assets(plan.CacheDir, paths)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, dir)
	return nil
}

func runPackages(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	check := fs.Bool("check", false, "only look; fail if some are missing")
	if err := fs.Parse(args); err != nil {
		return parseError(err)
	}
	absent := debian.Missing(debian.Required(), debian.OnDisk)
	if len(absent) == 0 {
		return nil
	}
	if *check {
		return fmt.Errorf("missing Debian packages: run\n  %s", debian.InstallLine(absent))
	}
	return debian.Install(ctx, absent, a.stderr)
}

func splitList(value string) []string {
	var out []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

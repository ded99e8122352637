// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

// Builder builds tools modules. Several builders, in one or more processes, may
// work on the same cache: they take turns module by module.
type Builder struct {
	// CacheDir is the root of the cache.
	CacheDir string
	// ToolsDir holds one folder with go.mod and go.sum per module.
	ToolsDir string
	// Log returns the log file of one module's build.
	Log func(module string) string
	// Report is told what goes on; it may be nil.
	Report func(format string, args ...any)
}

// Paths maps the name of a binary to where it lies in the cache.
type Paths map[string]string

// Build makes every binary of the modules that the cache lacks and returns
// where all of them are. It may be interrupted at any point: a binary appears
// in the cache only when it is complete.
func (b *Builder) Build(ctx context.Context, modules []Module) (Paths, error) {
	toolchain, err := goVersion(ctx)
	if err != nil {
		return nil, err
	}
	paths := Paths{}
	for i, module := range modules {
		dir, err := b.directory(module, toolchain)
		if err != nil {
			return nil, err
		}
		for _, binary := range module.Binaries {
			paths[binary.Name] = filepath.Join(dir, binary.Name)
		}
		if len(missing(dir, module.Binaries)) == 0 {
			continue
		}
		if err := b.buildModule(ctx, module, dir, left(modules[i+1:])); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// directory is named after everything that decides what the binaries are.
func (b *Builder) directory(module Module, toolchain string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", toolchain, module.Tags, module.LDFlags)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(b.ToolsDir, module.Name, name))
		if err != nil {
			return "", &progress.Failure{Part: "build of " + module.Name, Err: err,
				Fix: "run from inside the checkout, or name it with --repo"}
		}
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
	}
	return filepath.Join(b.CacheDir, "tools", module.Name+"-"+hex.EncodeToString(h.Sum(nil)[:8])), nil
}

func missing(dir string, binaries []Binary) []Binary {
	var out []Binary
	for _, binary := range binaries {
		if _, err := os.Stat(filepath.Join(dir, binary.Name)); err != nil {
			out = append(out, binary)
		}
	}
	return out
}

// left says what comes after the module that is being built.
func left(modules []Module) string {
	if len(modules) == 0 {
		return ""
	}
	var names []string
	minutes := 0.0
	for _, module := range modules {
		names = append(names, module.Name)
		minutes += module.ColdMinutes
	}
	return fmt.Sprintf("; then %s (up to %.0f min with cold caches)", strings.Join(names, ", "), minutes)
}

func (b *Builder) buildModule(ctx context.Context, module Module, dir, after string) error {
	log := b.Log(module.Name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(filepath.Dir(log), 0o755)); err != nil {
		return err
	}
	unlock, err := b.lock(ctx, dir+".lock", module.Name)
	if err != nil {
		return err
	}
	defer unlock()
	wanted := missing(dir, module.Binaries)
	if len(wanted) == 0 {
		return nil
	}
	began := time.Now()
	tell := func(packages int, last string) {
		b.report("%s since %s (%d programs, about %.1f min with cold caches): %d packages compiled%s%s",
			module.Name, began.Format(time.TimeOnly), len(wanted), module.ColdMinutes, packages, last, after)
	}
	tell(0, "")
	err = b.compile(ctx, module, wanted, dir, log, tell)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &progress.Failure{Part: "build of " + module.Name, Log: log, Err: err}
	}
	return nil
}

// lock waits for another process that builds the same module.
func (b *Builder) lock(ctx context.Context, path, module string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		b.report("waiting for another process that builds %s", module)
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (b *Builder) compile(ctx context.Context, module Module, wanted []Binary, dir, logPath string, tell func(int, string)) error {
	tmp := filepath.Join(dir, ".new")
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()

	cmd := exec.CommandContext(ctx, "go", buildArgs(module, wanted, tmp)...)
	cmd.Dir = filepath.Join(b.ToolsDir, module.Name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		countPackages(io.TeeReader(reader, log), tell)
	}()
	fmt.Fprintln(log, cmd.String())
	err = cmd.Run()
	_ = writer.Close()
	<-counted
	if err != nil {
		return err
	}
	return publish(tmp, dir, wanted)
}

func buildArgs(module Module, wanted []Binary, tmp string) []string {
	args := []string{"build", "-v", "-trimpath", "-ldflags", module.LDFlags}
	if module.Tags != "" {
		args = append(args, "-tags", module.Tags)
	}
	// A lone program gets its name from us: go would derive another from the
	// import path of etcd. Several need a directory.
	if len(wanted) == 1 {
		return append(args, "-o", filepath.Join(tmp, wanted[0].Name), wanted[0].Package)
	}
	args = append(args, "-o", tmp+string(filepath.Separator))
	for _, binary := range wanted {
		args = append(args, binary.Package)
	}
	return args
}

// countPackages reads what `go build -v` prints: one line per compiled package.
func countPackages(r io.Reader, tell func(int, string)) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	packages := 0
	for scanner.Scan() {
		line := scanner.Text()
		if strings.ContainsAny(line, " \t:") {
			continue
		}
		packages++
		tell(packages, ", last "+line)
	}
	// A line that is too long ends the scan; the build must not block on it.
	_, _ = io.Copy(io.Discard, r)
}

func publish(from, to string, binaries []Binary) error {
	for _, binary := range binaries {
		if err := os.Rename(filepath.Join(from, binary.Name), filepath.Join(to, binary.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) report(format string, args ...any) {
	if b.Report != nil {
		b.Report(format, args...)
	}
}

// goVersion names the compiler and platform, which decide the result as well.
func goVersion(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	out, err := cmd.Output()
	if err != nil {
		return "", &progress.Failure{Part: "go", Err: err, Fix: "install Go 1.26 and put its bin directory into PATH"}
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}

// Assets makes one directory that holds exactly the given binaries, as tests
// with a KUBEBUILDER_ASSETS directory want them, and returns its path.
func Assets(cacheDir string, paths Paths) (string, error) {
	names := make([]string, 0, len(paths))
	for name := range paths {
		names = append(names, name)
	}
	sort.Strings(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintln(h, name, paths[name])
	}
	dir := filepath.Join(cacheDir, "assets", hex.EncodeToString(h.Sum(nil)[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range names {
		err := os.Symlink(paths[name], filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return dir, nil
}

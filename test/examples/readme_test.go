// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTranslateEcho translates the walkthrough's manifests without a cluster;
// the proxy accepts the outcome.
func TestTranslateEcho(t *testing.T) {
	manager, proxy := build(t, "manager"), build(t, "proxy")
	for _, mesh := range []string{"off", "on"} {
		var out, problems bytes.Buffer
		translate := exec.CommandContext(t.Context(), manager, "translate", "-f", "../../examples/echo", "--mesh", mesh) // #nosec G204 -- built above
		translate.Stdout, translate.Stderr = &out, &problems
		if err := translate.Run(); err != nil || problems.Len() > 0 {
			t.Fatalf("translate: %v\n%s", err, problems.String())
		}
		config := filepath.Join(t.TempDir(), "kong.yml")
		if err := os.WriteFile(config, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.CommandContext(t.Context(), proxy, "config", "check", config).CombinedOutput(); err != nil {
			t.Errorf("--mesh=%s: config check: %v\n%s\n%s", mesh, err, text, out.String())
		}
	}
}

// TestReadme runs the commands of README.md that need no cluster, in a folder
// with files of the names that they use.
func TestReadme(t *testing.T) {
	dir := t.TempDir()
	layOut(t, dir)
	commands := readmeCommands(t, "The proxy alone")
	if len(commands) < 4 {
		t.Fatalf("README.md shows only %q", commands)
	}
	for _, command := range commands {
		switch {
		case strings.Contains(command, "--declarative-config"):
			runServer(t, dir, command)
		case strings.Contains(command, "config diff"): // of files that differ
			runCommand(t, dir, command, 1)
		default:
			runCommand(t, dir, command, 0)
		}
	}
}

// layOut puts the programs and files that README.md names into a folder.
func layOut(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"bin", "manifests"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"manager", "proxy"} {
		if err := os.Rename(build(t, name), filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "manifests", "echo"), os.DirFS("../../examples/echo")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../examples/standalone/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, minute := range map[string]string{"kong.yml": "5", "old.yml": "5", "new.yml": "6"} {
		edited := bytes.ReplaceAll(text, []byte("minute: 5"), []byte("minute: "+minute))
		if err := os.WriteFile(filepath.Join(dir, name), edited, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// readmeCommands returns the lines of a section that start a program of ours.
func readmeCommands(t *testing.T, section string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := bytes.Cut(text, []byte("\n## "+section+"\n"))
	if !found {
		t.Fatalf("README.md has no section %q", section)
	}
	text, _, _ = bytes.Cut(text, []byte("\n## "))
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "    "); ok && strings.HasPrefix(command, "bin/") {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// shell runs a line as a shell does; exec lets signals reach the program.
func shell(t *testing.T, dir, line string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c", "exec "+line) // #nosec G204 -- a line of README.md
	command.Dir = dir
	return command
}

func runCommand(t *testing.T, dir, line string, want int) {
	t.Helper()
	out, err := shell(t, dir, line).CombinedOutput()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	if err != nil || code != want {
		t.Errorf("%s: exit %d, want %d (%v)\n%s", line, code, want, err, out)
	}
}

// runServer runs a line until the proxy is ready and ends it; its addresses are
// replaced by free ones, the last being that of the Status API.
func runServer(t *testing.T, dir, line string) {
	t.Helper()
	status := ""
	line = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(line, func(string) string {
		status = freeAddress(t)
		return status
	})
	var log bytes.Buffer
	command := shell(t, dir, line)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	awaitReady(t, "http://"+status+"/status/ready", ended)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%s: after SIGTERM: %v\n%s", line, err, log.String())
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s: did not end within 10 s of SIGTERM", line)
	}
}

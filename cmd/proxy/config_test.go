// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigCommand(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("_format_version: \"3.0\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const plugin = `plugins:
- id: 11111111-1111-4111-8111-111111111111
  name: request-termination
  config: {message: `
	one, two := file("one.yml", plugin+"one}\n"), file("two.yml", plugin+"two}\n")
	empty, bad := file("empty.yml", ""), file("bad.yml", "plugins: [{name: nonsense}]\n")
	unrunnable := file("unrunnable.yml", "services:\n- name: a\n  host: h\n  routes:\n  - name: s\n    protocols: [tcp]\n    sources: [{ip: 127.0.0.1}]\n")
	unread := file("unread.yml", "plugins:\n- {name: http-log, config: {http_endpoint: \"{vault://env/surely-not-set}\"}}\n"+
		"certificates: [{cert: \"{vault://file/crt}\", key: \"{vault://file/key}\", snis: [{name: a.test}]}]\n")
	nowhere := file("nowhere.yml", "plugins:\n- {name: http-log, config: {http_endpoint: \"{vault://mine/x}\"}}\n")
	const entity = "plugins request-termination (11111111-1111-4111-8111-111111111111): "
	for _, tt := range []struct {
		args []string
		code int
		out  string
		errs string
	}{
		{args: []string{"check", one}, out: one + ": valid\n"},
		{args: []string{"check", bad}, code: 1, errs: "nonsense"},
		{args: []string{"check", filepath.Join(dir, "gone.yml")}, code: 1},
		{args: []string{"check", unrunnable}, code: 1, errs: unrunnable + ":3: services[0] 'a': protocol: "},
		{args: []string{"check", unread}, out: unread + ": valid\n"},
		{args: []string{"check", nowhere}, code: 1, errs: nowhere + ":3: plugins[0] 'http-log': config.http_endpoint: {vault://mine/x}: could not find vault (mine)"},
		{args: []string{"diff", one, one}},
		{args: []string{"diff", one, two}, code: 1, out: entity + "changed config.message\n"},
		{args: []string{"diff", one, empty}, code: 1, out: entity + "removed\n"},
		{args: []string{"diff", empty, one}, code: 1, out: entity + "added\n"},
		{args: []string{"diff", one, bad}, code: 1, errs: "nonsense"},
		{args: []string{"diff", one}, code: 2, errs: "usage: "},
		{args: nil, code: 2, errs: "usage: "},
		{args: []string{"-h"}, out: configUsage},
		{args: []string{"diff", "--help"}, out: configUsage},
	} {
		var out, errs bytes.Buffer
		err := configCommand(tt.args, &out, &errs)
		if code := exitCode(err); code != tt.code || out.String() != tt.out || !strings.Contains(errs.String(), tt.errs) {
			t.Errorf("config %q: exit %d (%v), output %q, errors %q", tt.args, code, err, out.String(), errs.String())
		}
	}
}

func TestExitCodes(t *testing.T) {
	for args, want := range map[string]int{
		"-h": 0, "--version": 0, "--nonsense": 2, "stray": 2, "--mesh none": 2, "config": 2,
	} {
		if code := exitCode(run(strings.Fields(args))); code != want {
			t.Errorf("proxy %s: exit %d, want %d", args, code, want)
		}
	}
}

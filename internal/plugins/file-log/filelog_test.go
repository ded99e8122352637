// SPDX-License-Identifier: Apache-2.0

package filelog

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/file-log/schema"
)

func instance(t *testing.T, host plugin.Host, config map[string]any) *plugin.Phases {
	return plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: config})
}

func request(p *plugin.Phases, target string) {
	plugintest.Serve(plugintest.New(time.Now(), "GET", target), plugintest.Answer{Status: 200}, p)
}

// lines returns the whole lines of a file.
func lines(path string) []string {
	data, _ := os.ReadFile(path)
	return strings.SplitAfter(string(data), "\n")
}

func TestLinesAreAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := instance(t, &plugintest.Host{}, map[string]any{"path": path})
	request(p, "/a")
	p.StreamLog(plugintest.NewSession(time.Now()))
	asynctest.Until(t, "three lines", func() bool { return len(lines(path)) == 4 })
	got := lines(path)
	if got[0] != "before\n" || !strings.Contains(got[1], `"uri":"/a"`) || !strings.HasPrefix(got[2], `{"session":`) {
		t.Errorf("got %q", got)
	}
}

// A file that was moved away is written on, unless it is to be opened anew.
func TestReopen(t *testing.T) {
	for reopen, want := range map[bool][2]int{false: {2, 0}, true: {1, 1}} {
		path := filepath.Join(t.TempDir(), "log")
		p := instance(t, &plugintest.Host{}, map[string]any{"path": path, "reopen": reopen})
		request(p, "/a")
		asynctest.Until(t, "the first line", func() bool { return len(lines(path)) == 2 })
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		request(p, "/b")
		asynctest.Until(t, "the second line", func() bool { return len(lines(path+".1"))+len(lines(path)) == 4 })
		if got := [2]int{len(lines(path+".1")) - 1, len(lines(path)) - 1}; got != want {
			t.Errorf("reopen %t: %v lines, want %v", reopen, got, want)
		}
	}
}

func TestNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	request(instance(t, &plugintest.Host{}, map[string]any{"path": path}), "/")
	asynctest.Until(t, "the line", func() bool { return len(lines(path)) == 2 })
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// What cannot be opened is logged; nothing waits for it.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "no", "log"), dir, pipe} {
		host := &plugintest.Host{}
		request(instance(t, host, map[string]any{"path": path}), "/")
		asynctest.Until(t, "a word about "+path, func() bool { return strings.Contains(host.Logged(), path) })
	}
}

func TestStandardOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = out
	defer func() { os.Stdout = old }()
	f := &file{path: "/dev/stdout", reopen: true}
	for range 2 {
		if err := f.Send(t.Context(), [][]byte{[]byte("a"), []byte("b")}); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if _, err := out.WriteString("open\n"); err != nil || strings.Join(lines(path), "") != "a\nb\na\nb\nopen\n" {
		t.Errorf("%v: %q", err, lines(path))
	}
}

func TestLuaIsRefused(t *testing.T) {
	conf := map[string]any{"path": "/a", "custom_fields_by_lua": map[string]any{"a": "return 1"}}
	if _, err := configure(plugin.Config{Values: conf, Host: &plugintest.Host{}}); err == nil || !strings.Contains(err.Error(), "custom_fields_by_lua") {
		t.Error(err)
	}
}

// Where plugins may not write to files, the instance is refused, so that its
// owner hears of it.
func TestForbidden(t *testing.T) {
	_, err := Registration.Configure(plugin.Config{
		Plugin: &entity.Plugin{}, Values: map[string]any{"path": "/data/log", "reopen": false}, Host: &plugintest.Host{NoFiles: true},
	})
	if err == nil || !strings.Contains(err.Error(), "path: /data/log") {
		t.Errorf("got %v", err)
	}
}

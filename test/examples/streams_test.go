// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exchange sends a line over a connection and returns the answering one.
func exchange(t *testing.T, c net.Conn, err error, line string) string {
	t.Helper()
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, line); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil {
		t.Error(err)
	}
	return string(buf[:n])
}

// echoes are the servers that examples/streams needs: of TCP, TLS and UDP.
func echoes(t *testing.T) (database, secure string, names [2]string) {
	t.Helper()
	serve := func(wrap func(net.Conn) net.Conn) string {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					c := wrap(c)
					_, _ = io.Copy(c, c)
					_ = c.Close()
				}()
			}
		}()
		return l.Addr().String()
	}
	database = serve(func(c net.Conn) net.Conn { return c })
	own := httptest.NewUnstartedServer(http.NotFoundHandler())
	own.StartTLS()
	t.Cleanup(own.Close)
	secure = serve(func(c net.Conn) net.Conn { return tls.Server(c, own.TLS) })
	for i := range names {
		names[i] = echoUDP(t)
	}
	return database, secure, names
}

func echoUDP(t *testing.T) string {
	t.Helper()
	u, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(buf[:n], from)
		}
	}()
	return u.LocalAddr().String()
}

// TestStreams runs examples/streams as its first lines say, on free ports.
func TestStreams(t *testing.T) {
	program := build(t, "proxy")
	database, secure, names := echoes(t)
	plain, overTLS, datagrams, status := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	text, err := os.ReadFile("../../examples/streams/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	edited := strings.NewReplacer(
		"port: 5432", "port: "+port(database), "port: 6443", "port: "+port(secure),
		"port: 9000", "port: "+port(plain), "port: 9053", "port: "+port(datagrams),
		"127.0.0.1:5353", names[0], "127.0.0.1:5354", names[1],
	).Replace(string(text))
	config := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(config, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	command := exec.CommandContext(t.Context(), program, "--declarative-config", config, "--proxy-listen", "off", "--status-listen", status, // #nosec G204 -- built above
		"--stream-listen", fmt.Sprintf("%s, %s ssl, %s udp", plain, overTLS, datagrams))
	command.Stdout, command.Stderr = &log, &log
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the proxy:\n%s", log.String())
		}
	})
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	awaitReady(t, "http://"+status+"/status/ready", ended)

	var dialer net.Dialer
	c, err := dialer.DialContext(t.Context(), "tcp", plain)
	if got := exchange(t, c, err, "over TCP"); got != "over TCP" {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{"db.example.org", "a.secure.example.org"} {
		c, err := secured(t.Context(), overTLS, name)
		if got := exchange(t, c, err, name); got != name {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if c, err := secured(t.Context(), overTLS, "other.example.org"); err == nil {
		_ = c.Close()
		t.Error("a name that no route has is served")
	}
	c, err = dialer.DialContext(t.Context(), "udp", datagrams)
	if got := exchange(t, c, err, "over UDP"); got != "over UDP" {
		t.Errorf("got %q", got)
	}

	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, log.String())
		}
	case <-time.After(20 * time.Second):
		t.Error("did not end within 20 s of SIGTERM")
	}
}

func secured(ctx context.Context, address, name string) (net.Conn, error) {
	dialer := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}} // #nosec G402 -- its certificate is made for the test
	return dialer.DialContext(ctx, "tcp", address)
}

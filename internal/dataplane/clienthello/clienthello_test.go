// SPDX-License-Identifier: Apache-2.0

package clienthello

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// hello returns what crypto/tls's client sends first.
func hello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer func() { _, _ = client.Close(), server.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	go func() { _ = tls.Client(client, config).HandshakeContext(ctx) }()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	stop()
	return append(head, body...)
}

// build makes a ClientHello with these extensions.
func build(extensions ...string) []byte {
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	if all := strings.Join(extensions, ""); extensions != nil {
		body += vector(2, all)
	}
	return []byte(records(len(body)+4, "\x01"+vector(3, body)))
}

func vector(size int, s string) string {
	out := ""
	for i := size - 1; i >= 0; i-- {
		out += string([]byte{byte(len(s) >> (8 * i))})
	}
	return out + s
}

func records(size int, message string) (out string) {
	for message != "" {
		n := min(size, len(message))
		out += "\x16\x03\x01" + vector(2, message[:n])
		message = message[n:]
	}
	return out
}

func extension(kind, data string) string { return kind + vector(2, data) }

func name(host string) string {
	return extension("\x00\x00", vector(2, "\x00"+vector(2, host)))
}

func TestServerName(t *testing.T) {
	grease := extension("\x0a\x0a", "\x00")
	ech := extension("\xfe\x0d", strings.Repeat("e", 200))
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"crypto/tls", hello(t, &tls.Config{ServerName: "Www.Example.org", NextProtos: []string{"h2", "http/1.1"}}), "www.example.org"},
		{"crypto/tls 1.2", hello(t, &tls.Config{ServerName: "a.test", MaxVersion: tls.VersionTLS12}), "a.test"},
		{"crypto/tls without a name", hello(t, &tls.Config{InsecureSkipVerify: true}), ""},
		{"no extensions", build(), ""},
		{"empty extensions", build(""), ""},
		{"final dot", build(name("a.test.")), "a.test"},
		{"underscore", build(name("_a-1.test")), "_a-1.test"},
		{"GREASE", build(grease, name("a.test"), extension("\xfa\xfa", "")), "a.test"},
		{"encrypted ClientHello", build(ech, name("public.test")), "public.test"},
		{"data behind", append(build(name("a.test")), "more"...), "a.test"},
	} {
		got, err := ServerName(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
		for i := range c.in {
			if i >= len(c.in)-len("more") {
				break
			}
			if _, err := ServerName(c.in[:i]); !errors.Is(err, ErrMore) {
				t.Errorf("%s: first %d of %d bytes: %v", c.name, i, len(c.in), err)
				break
			}
		}
	}
}

func TestFragments(t *testing.T) {
	whole := build(name("fragments.example.org"), extension("\x00\x15", strings.Repeat("\x00", 60)))
	message := string(whole[5:])
	for _, size := range []int{5, 6, 50, len(message) - 1, len(message)} {
		in := records(size, message)
		if got, err := ServerName([]byte(in)); err != nil || got != "fragments.example.org" {
			t.Errorf("records of %d bytes: %q, %v", size, got, err)
		}
	}
	if _, err := ServerName([]byte(records(1, message))); err == nil || errors.Is(err, ErrMore) {
		t.Errorf("a record for each byte: %v", err)
	}
}

func TestRefused(t *testing.T) {
	long := strings.Repeat("a", 60)
	for what, in := range map[string][]byte{
		"HTTP":                    []byte("GET / HTTP/1.1\r\n"),
		"alert":                   []byte("\x15\x03\x01\x00\x02\x01\x00"),
		"SSLv2":                   []byte("\x80\x2e\x01\x03\x01"),
		"version":                 []byte("\x16\x02"),
		"empty record":            []byte("\x16\x03\x01\x00\x00"),
		"large record":            []byte("\x16\x03\x01\x40\x01"),
		"ServerHello":             []byte(records(99, "\x02\x00\x00\x01a")),
		"short body":              []byte(records(99, "\x01\x00\x00\x01a")),
		"bytes behind extensions": []byte(records(200, "\x01"+vector(3, "\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x02\x13\x01\x01\x00"+"\x00\x00"+"x"))),
		"no cipher suites":        []byte(records(200, "\x01"+vector(3, "\x03\x03"+strings.Repeat("r", 32)+"\x00\x00\x00\x01\x00"))),
		"session id":              []byte(records(200, "\x01"+vector(3, "\x03\x03"+strings.Repeat("r", 32)+vector(1, strings.Repeat("s", 33))+"\x00\x02\x13\x01\x01\x00"))),
		"two names":               build(name("a.test"), name("b.test")),
		"two names in a list":     build(extension("\x00\x00", vector(2, "\x00"+vector(2, "a")+"\x00"+vector(2, "b")))),
		"name type":               build(extension("\x00\x00", vector(2, "\x01"+vector(2, "a")))),
		"empty name":              build(name("")),
		"only a dot":              build(name(".")),
		"control character":       build(name("a\x00.test")),
		"blank":                   build(name("a b")),
		"not ASCII":               build(name("\xc3\xa4.test")),
		"empty label":             build(name("a..test")),
		"empty last label":        build(name("a.test..")),
		"long name":               build(name(strings.Join([]string{long, long, long, long, long}, "."))),
		"truncated extension":     build("\x00\x00\x00\x09ab"),
	} {
		if got, err := ServerName(in); err == nil || errors.Is(err, ErrMore) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

// What crypto/tls's server reads as the server name, ServerName reads too, and
// nothing that it refuses as malformed.
func FuzzServerName(f *testing.F) {
	f.Add(hello(f, &tls.Config{ServerName: "www.example.org", NextProtos: []string{"h2"}}))
	f.Add(build(name("a.test")))
	f.Add(build())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ServerName(b)
		if err != nil {
			return
		}
		if got != strings.ToLower(got) || strings.HasSuffix(got, ".") || strings.ContainsAny(got, " \x00/:") {
			t.Fatalf("%q", got)
		}
		if seen, ok := served(b); ok && !strings.EqualFold(strings.TrimSuffix(seen, "."), got) {
			t.Fatalf("crypto/tls reads %q, ServerName %q", seen, got)
		}
	})
}

// served returns the server name that crypto/tls's server finds.
func served(b []byte) (name string, ok bool) {
	stop := errors.New("seen")
	config := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = h.ServerName, true
		return nil, stop
	}}
	_ = tls.Server(&replay{rest: b}, config).HandshakeContext(context.Background())
	return name, ok
}

// replay is a connection that says b and hears nothing.
type replay struct {
	net.Conn
	rest []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *replay) Write(p []byte) (int, error) { return len(p), nil }

func (r *replay) Close() error { return nil }

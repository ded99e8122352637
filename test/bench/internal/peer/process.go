// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
	"github.com/kong/kong-istio-gateway/test/bench/internal/proc"
)

const (
	// startPatience is how long a proxy may take to listen.
	startPatience = 60 * time.Second
	// stopPatience is how long it may take to end when asked to.
	stopPatience = 10 * time.Second
)

// Process is a proxy that runs.
type Process struct {
	Peer  *Peer
	Place *Place
	// PIDs are all its processes.
	PIDs []int
	// Feeder changes the configuration of a Streamed site; nil with others.
	Feeder *feed.Feeder

	cmd    *exec.Cmd
	errors *tail
	ended  chan struct{}
	err    error
}

// tail keeps the end of what a program writes.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if excess := len(t.buf) - 4<<10; excess > 0 {
		t.buf = t.buf[excess:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

// Start configures a proxy for a site in a new directory and starts it on its
// core. It returns when the proxy listens and has its configuration.
func Start(ctx context.Context, p *Peer, site *Site, ground *Ground) (*Process, error) {
	place, err := newPlace(p, site, ground)
	if err != nil {
		return nil, err
	}
	if err := p.render(place); err != nil {
		return nil, err
	}
	r := &Process{Peer: p, Place: place, errors: &tail{}, ended: make(chan struct{})}
	if site.Streamed {
		if err := r.feed(ctx, ground); err != nil {
			return nil, err
		}
	}
	if err := r.run(ctx, ground.ProxyCore); err != nil {
		return nil, errors.Join(err, r.stopFeeder())
	}
	if err := r.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not start: %w: %s", p.Name, err, r.errors), r.Stop())
	}
	r.PIDs, err = proc.Tree(r.cmd.Process.Pid)
	return r, err
}

// run starts the proxy's program.
func (r *Process) run(ctx context.Context, core int) error {
	args, env := r.Peer.arguments(r.Place)
	args = append([]string{"-c", strconv.Itoa(core), r.Peer.Program}, args...)
	r.cmd = exec.CommandContext(ctx, "taskset", args...) // #nosec G204 -- paths of our own
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = stopPatience
	r.cmd.Dir, r.cmd.Env, r.cmd.Stderr = r.Place.Dir, append(os.Environ(), env...), r.errors
	if r.Peer.logged && r.Place.AccessLog {
		out, err := os.Create(r.Place.log())
		if err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
		r.cmd.Stdout = out
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	return nil
}

// feed starts the feeder with what the proxy would read from a file.
func (r *Process) feed(ctx context.Context, ground *Ground) (err error) {
	p := r.Place
	if err := os.MkdirAll(p.data(), 0o700); err != nil {
		return err
	}
	r.Feeder, err = feed.Start(ctx, ground.Feeder, p.Dir, filepath.Join(p.Dir, gatewayConfig), p.Cert, p.Key, ground.LoadCore)
	p.Feeder = r.Feeder
	return err
}

func (r *Process) stopFeeder() error {
	if r.Feeder == nil {
		return nil
	}
	return r.Feeder.Stop()
}

func newPlace(p *Peer, site *Site, ground *Ground) (*Place, error) {
	dir := ground.Dir
	place := &Place{Site: *site, Dir: filepath.Join(dir, strings.ToLower(p.Name)+"-"+site.Name), Backend: ground.Backend,
		Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Both: filepath.Join(dir, "both.pem"), Root: os.Geteuid() == 0}
	if err := os.MkdirAll(place.Dir, 0o700); err != nil {
		return nil, err
	}
	numbers, err := ports(4)
	if err != nil {
		return nil, err
	}
	place.Plain, place.TLS, place.H2C, place.Status = numbers[0], numbers[1], numbers[2], numbers[3]
	return place, nil
}

// await waits until all ports are open and the configuration has come.
func (r *Process) await(ctx context.Context) error {
	if err := r.awaitPorts(ctx); err != nil || r.Feeder == nil {
		return err
	}
	report, err := r.Feeder.Do(feed.Command{Verb: feed.Await})
	if err == nil && report.Failure != "" {
		err = errors.New(report.Failure)
	}
	return err
}

func (r *Process) awaitPorts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for _, port := range []int{r.Place.Plain, r.Place.TLS, r.Place.H2C} {
		for {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-r.ended:
				return fmt.Errorf("it ended: %w", r.err)
			case <-ctx.Done():
				return fmt.Errorf("port %d is not open: %w", port, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// Stop ends the proxy by its process id, and its feeder.
func (r *Process) Stop() error { return errors.Join(r.stopProxy(), r.stopFeeder()) }

func (r *Process) stopProxy() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
		return nil
	case <-time.After(stopPatience):
	}
	err := r.cmd.Process.Kill()
	<-r.ended
	return err
}

// Address is where the proxy takes requests of the named kind: plain, tls or
// h2c.
func (r *Process) Address(kind string) string {
	port := map[string]int{"plain": r.Place.Plain, "tls": r.Place.TLS, "h2c": r.Place.H2C}[kind]
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// data is where the gateway keeps its copy of a configuration that is streamed.
func (p *Place) data() string { return filepath.Join(p.Dir, "data") }

func (p *Place) log() string { return filepath.Join(p.Dir, "access.log") }

// LogLines counts the lines of the access log.
func (r *Process) LogLines() (int64, error) {
	data, err := os.ReadFile(r.Place.log())
	return int64(bytes.Count(data, []byte("\n"))), err
}

// Certificate writes a key pair for bench.test into dir, for all proxies.
func Certificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench.test"}, DNSNames: []string{"bench.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), certPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "both.pem"), append(certPEM, keyPEM...), 0o600))
}

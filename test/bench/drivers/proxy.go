// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/dial"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/fast"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/goroutines"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/loop"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

// start serves a plaintext and a TLS address in front of a backend and returns
// both.
type start func(backend netip.AddrPort) (plain, secure net.Addr, err error)

var starts = map[string]start{
	"engine":      startEngine,
	"goroutine":   startGoroutines,
	"epoll":       func(b netip.AddrPort) (net.Addr, net.Addr, error) { return startLoop(b, true) },
	"epoll-naive": func(b netip.AddrPort) (net.Addr, net.Addr, error) { return startLoop(b, false) },
	"fasthttp":    startFast,
}

// runProxy serves as one of the proxies until it is killed.
func runProxy(args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	driver := flags.String("driver", "", "which way")
	backend := flags.String("backend", "", "address of the backend")
	if err := flags.Parse(args); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(*backend)
	if err != nil {
		return err
	}
	begin, ok := starts[*driver]
	if !ok {
		return fmt.Errorf("no driver %q", *driver)
	}
	plain, secure, err := begin(to)
	if err != nil {
		return err
	}
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR1)
	fmt.Println(plain, secure)
	for range collect {
		debug.FreeOSMemory()
	}
	return nil
}

func startEngine(backend netip.AddrPort) (plain, secure net.Addr, err error) {
	parts, err := site.NewParts(backend)
	if err != nil {
		return nil, nil, err
	}
	settings := engine.DefaultSettings()
	// The others count neither requests nor connections.
	settings.KeepaliveRequests, settings.UpstreamKeepaliveMaxRequests, settings.WorkerConnections = 1<<30, 1<<30, 1<<20
	e, err := engine.New(engine.Options{
		Settings: settings, Catalog: parts.Catalog, Schemas: parts.Schemas,
		Dialer: dial.New(nil, 0), Logger: slog.New(slog.DiscardHandler), Product: site.Product,
		Resolve: func(_ context.Context, host string) ([]balancer.Address, time.Time, error) {
			addr, err := netip.ParseAddr(host)
			return []balancer.Address{{Addr: addr}}, time.Now().Add(time.Hour), err
		},
	})
	if err != nil {
		return nil, nil, err
	}
	cert, key, err := newCertificate()
	if err != nil {
		return nil, nil, err
	}
	id := entity.ID("6f1c9a52-9c7c-4c0e-9d0b-4f3b7d1e2a11")
	parts.Set.Certificates = append(parts.Set.Certificates, &entity.Certificate{ID: id, Cert: string(cert), Key: string(key)})
	parts.Set.SNIs = append(parts.Set.SNIs, &entity.SNI{ID: "6f1c9a52-9c7c-4c0e-9d0b-4f3b7d1e2a12", Name: "*", Certificate: &entity.Ref{ID: id}})
	if rejected := e.Apply(parts.Set); len(rejected) > 0 {
		return nil, nil, rejected[0]
	}
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if err := e.Listen(context.Background(), []engine.ListenSpec{{Address: loopback}, {Address: loopback, TLS: true}}); err != nil {
		return nil, nil, err
	}
	return e.Addresses()[0], e.Addresses()[1], nil
}

// server is what the proxies have in common that take listeners.
type server interface {
	Serve(l net.Listener, config *tls.Config)
}

func startGoroutines(backend netip.AddrPort) (plain, secure net.Addr, err error) {
	s, err := site.New(backend)
	if err != nil {
		return nil, nil, err
	}
	return listenBoth(goroutines.New(s))
}

func startFast(backend netip.AddrPort) (plain, secure net.Addr, err error) {
	s, err := site.New(backend)
	if err != nil {
		return nil, nil, err
	}
	return listenBoth(fast.New(s))
}

func listenBoth(s server) (plain, secure net.Addr, err error) {
	config, err := serverTLS()
	if err != nil {
		return nil, nil, err
	}
	p, err := listen()
	if err != nil {
		return nil, nil, err
	}
	q, err := listen()
	if err != nil {
		return nil, nil, err
	}
	go s.Serve(p, nil)
	go s.Serve(q, config)
	return p.Addr(), q.Addr(), nil
}

func startLoop(backend netip.AddrPort, handOver bool) (plain, secure net.Addr, err error) {
	s, err := site.New(backend)
	if err != nil {
		return nil, nil, err
	}
	config, err := serverTLS()
	if err != nil {
		return nil, nil, err
	}
	// A port that is free; the loops share it with a socket each.
	free, err := listen()
	if err != nil {
		return nil, nil, err
	}
	address := free.Addr().(*net.TCPAddr)
	if err := free.Close(); err != nil {
		return nil, nil, err
	}
	l := loop.New(s)
	l.HandOver = handOver
	if err := l.Listen(address.AddrPort()); err != nil {
		return nil, nil, err
	}
	q, err := listen()
	if err != nil {
		return nil, nil, err
	}
	go l.ListenTLS(q, config)
	return address, q.Addr(), nil
}

func listen() (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1}
	return config.Listen(context.Background(), "tcp", "127.0.0.1:0")
}

func serverTLS() (*tls.Config, error) {
	cert, key, err := newCertificate()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, err
}

// newCertificate returns a certificate and its key in PEM.
func newCertificate() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench.test"}, DNSNames: []string{"bench.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}

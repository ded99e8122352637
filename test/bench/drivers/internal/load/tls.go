// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// tlsRequest is what is asked over TLS.
var tlsRequest = []byte("GET /plain HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")

// TLSClient is a number of connections over TLS.
type TLSClient []*tls.Conn

// NewTLSClient opens n connections, each of which is answered once.
func NewTLSClient(address netip.AddrPort, n int) (TLSClient, error) {
	c := make(TLSClient, 0, n)
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} //nolint:gosec // a certificate made for the run
	buf := make([]byte, 4096)
	for range n {
		conn, err := dialer.DialContext(context.Background(), "tcp", address.String())
		if err == nil {
			c = append(c, conn.(*tls.Conn))
			err = roundTrip(conn, buf)
		}
		if err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close closes the connections.
func (c TLSClient) Close() {
	for _, conn := range c {
		_ = conn.Close()
	}
}

// Run keeps every connection busy for so long.
func (c TLSClient) Run(d time.Duration) (Result, error) {
	results, failures := make([]Result, len(c)), make([]error, len(c))
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for i, conn := range c {
		all.Go(func() {
			buf := make([]byte, 4096)
			for began := time.Now(); began.Before(end); began = time.Now() {
				if failures[i] = roundTrip(conn, buf); failures[i] != nil {
					return
				}
				results[i].Requests++
				results[i].Latencies = append(results[i].Latencies, time.Since(began))
			}
		})
	}
	all.Wait()
	var total Result
	for _, r := range results {
		total.Requests += r.Requests
		total.Latencies = append(total.Latencies, r.Latencies...)
	}
	slices.Sort(total.Latencies)
	return total, errors.Join(failures...)
}

func roundTrip(c net.Conn, buf []byte) error {
	if _, err := c.Write(tlsRequest); err != nil {
		return err
	}
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.HasSuffix(buf[:n], body) {
			return nil
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// RunTLS opens n connections over TLS and keeps them busy for so long. measured
// is called when all are open and were answered once.
func RunTLS(address netip.AddrPort, n int, d time.Duration, measured func()) (Result, error) {
	conns := make([]*tls.Conn, n)
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench.test:%d\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", "/plain", address.Port())
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} //nolint:gosec // a certificate made for the run
	for i := range conns {
		c, err := dialer.DialContext(context.Background(), "tcp", address.String())
		if err != nil {
			return Result{}, err
		}
		defer func() { _ = c.Close() }()
		conns[i] = c.(*tls.Conn)
		if err := roundTrip(conns[i], request, make([]byte, 4096)); err != nil {
			return Result{}, err
		}
	}
	measured()
	results, failures := make([]Result, n), make([]error, n)
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			buf := make([]byte, 4096)
			for began := time.Now(); began.Before(end); began = time.Now() {
				if failures[i] = roundTrip(c, request, buf); failures[i] != nil {
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

func roundTrip(c *tls.Conn, request, buf []byte) error {
	if _, err := c.Write(request); err != nil {
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

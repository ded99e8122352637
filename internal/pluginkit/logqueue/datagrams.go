// SPDX-License-Identifier: Apache-2.0

package logqueue

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Datagrams is a sink that sends each record in a datagram of its own.
type Datagrams struct {
	host    plugin.Host
	network string
	address string
	timeout time.Duration
}

// NewUDP returns a sink for a host and port. The timeout of a batch is in
// milliseconds.
func NewUDP(h plugin.Host, host string, port int, timeout float64) *Datagrams {
	return &Datagrams{
		host: h, network: "udp", address: net.JoinHostPort(host, strconv.Itoa(port)),
		timeout: time.Duration(timeout * float64(time.Millisecond)),
	}
}

// localTimeout bounds a batch to a socket of this machine.
const localTimeout = 5 * time.Second

// NewLocal returns a sink for a socket in the file system.
func NewLocal(h plugin.Host, path string) *Datagrams {
	return &Datagrams{host: h, network: "unixgram", address: path, timeout: localTimeout}
}

// Send implements Sink. The address of a name is looked up for each batch.
func (d *Datagrams) Send(ctx context.Context, batch [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.host.Dial(ctx, d.network, d.address)
	if err != nil {
		return fmt.Errorf("%s: %w", d.address, err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(d.timeout))
	var last error
	lost := 0
	for _, record := range batch {
		// One that is too large, or that nobody took, costs no other one.
		if _, err := conn.Write(record); err != nil {
			last, lost = err, lost+1
		}
	}
	if last != nil {
		return fmt.Errorf("%s: %d of %d: %w", d.address, lost, len(batch), last)
	}
	return nil
}

// Close implements Sink.
func (d *Datagrams) Close() {}

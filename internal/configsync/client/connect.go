// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

const (
	connectTimeout   = 5 * time.Second // for one address
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
	maxFromManager   = 32 << 20 // a message is about 1 MiB, or a single larger record
)

// roots reads every file of a directory as PEM certificates. The kubelet's own
// bookkeeping ("..data") is skipped. A file without certificates is an error:
// trusting less than was meant would show only at the next rotation.
func roots(dir string) (*x509.CertPool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	found := false
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no PEM certificate", path)
		}
		found = true
	}
	if !found {
		return nil, fmt.Errorf("%s holds no certificate of the manager's CA yet", dir)
	}
	return pool, nil
}

func token(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	t := strings.TrimSpace(string(data))
	if t == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return t, nil
}

// open connects to one address and opens the stream. The caller closes the
// connection. The roots and the token are read here, so that every connection
// sees the present ones.
func (c *Client) open(ctx context.Context, address string) (*grpc.ClientConn, wire.ConfigSync_StreamClient, error) {
	pool, err := roots(c.config.CADir)
	if err != nil {
		return nil, nil, err
	}
	bearer, err := token(c.config.TokenFile)
	if err != nil {
		return nil, nil, err
	}
	// Dialled and handshaken here rather than by gRPC: its own reconnecting
	// would go around the order of addresses and around the backoff.
	conn, err := c.handshake(ctx, address, pool)
	if err != nil {
		return nil, nil, err
	}
	var used atomic.Bool
	cc, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(established{}),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errors.New("the connection was lost")
			}
			return conn, nil
		}),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxFromManager)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	stream, err := wire.NewConfigSyncClient(cc).Stream(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+bearer))
	if err != nil {
		err = errors.Join(err, cc.Close())
		if !used.Swap(true) {
			err = errors.Join(err, conn.Close())
		}
		return nil, nil, err
	}
	return cc, stream, nil
}

func (c *Client) handshake(ctx context.Context, address string, pool *x509.CertPool) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := c.config.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		RootCAs: pool, ServerName: c.config.ServerName, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", address, err), raw.Close())
	}
	return conn, nil
}

// established are the credentials of a connection that is handshaken already.
type established struct{}

// ClientHandshake implements credentials.TransportCredentials: the handshake has been, its facts are passed on.
func (established) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return nil, nil, errors.New("not a TLS connection")
	}
	return conn, credentials.TLSInfo{
		State:          t.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// ServerHandshake implements credentials.TransportCredentials; it always fails.
func (established) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("this end is a client")
}

// Info implements credentials.TransportCredentials.
func (established) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (e established) Clone() credentials.TransportCredentials { return e }

// OverrideServerName implements credentials.TransportCredentials; the name was checked by the handshake.
func (established) OverrideServerName(string) error { return nil }

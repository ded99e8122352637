// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// RedisConfig is Kong's redis block. Timeout is in milliseconds.
type RedisConfig struct {
	Host       string `json:"host"`
	Port       int    `json:"port"`
	Timeout    int    `json:"timeout"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	Database   int    `json:"database"`
	SSL        bool   `json:"ssl"`
	SSLVerify  bool   `json:"ssl_verify"`
	ServerName string `json:"server_name"`
}

// Redis counts in a Redis server. It is safe for concurrent use.
type Redis struct {
	client  *redis.Client
	timeout time.Duration
	shared  *shared
}

// shared is one client and the handles that use it.
type shared struct {
	mu     sync.Mutex
	users  int
	open   func() *redis.Client
	client *redis.Client
	async  map[time.Duration]*Async
}

// silence keeps the library from writing to standard error: what fails is
// returned, and logged by the plugin.
type silence struct{}

// Printf implements the library's logger.
func (silence) Printf(context.Context, string, ...any) {}

var silenced sync.Once

// OpenRedis returns a handle on the client for a server. Handles with the same
// config share connections; Close releases the handle. Nothing is dialled yet.
func OpenRedis(host plugin.Host, pluginName string, c RedisConfig) *Redis {
	silenced.Do(func() { redis.SetLogger(silence{}) })
	// The password is part of what tells clients apart, but not of a key that
	// may be shown.
	digest := sha256.Sum256(fmt.Appendf(nil, "%#v", c))
	s := host.State(pluginName, "redis:"+hex.EncodeToString(digest[:]), func() any {
		return &shared{open: func() *redis.Client { return redis.NewClient(c.options(host)) }, async: map[time.Duration]*Async{}}
	}).(*shared)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		s.client = s.open()
	}
	s.users++
	return &Redis{client: s.client, timeout: time.Duration(c.Timeout) * time.Millisecond, shared: s}
}

// Close releases the handle; the last one closes the connections.
func (r *Redis) Close() {
	s := r.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		_ = s.client.Close() // its connections are given up either way
	}
}

func (c *RedisConfig) options(host plugin.Host) *redis.Options {
	timeout := time.Duration(c.Timeout) * time.Millisecond
	return &redis.Options{
		Addr:     net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		Username: c.Username, Password: c.Password, DB: c.Database,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := host.Dial(ctx, network, address)
			if err != nil || !c.SSL {
				return conn, err
			}
			return c.handshake(ctx, conn)
		},
	}
}

func (c *RedisConfig) handshake(ctx context.Context, conn net.Conn) (net.Conn, error) {
	name := c.ServerName
	if name == "" {
		name = c.Host
	}
	// ssl_verify is the user's choice and off by default, as in Kong.
	secure := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: !c.SSLVerify, MinVersion: tls.VersionTLS12}) //nolint:gosec // see above
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// count reads the counters KEYS and adds ARGV[1] to each of them, unless
// ARGV[2] is 1 and one has reached its limit. Limits and the seconds that a new
// key lives follow in pairs. It returns the counts from before.
var count = redis.NewScript(`
local used, full = {}, false
for i, key in ipairs(KEYS) do
  used[i] = redis.call('GET', key) or '0'
  if ARGV[2] == '1' and tonumber(used[i]) >= tonumber(ARGV[1 + 2 * i]) then
    full = true
  end
end
if not full and ARGV[1] ~= '0' then
  for i, key in ipairs(KEYS) do
    redis.call('INCRBYFLOAT', key, ARGV[1])
    if redis.call('TTL', key) < 0 then
      redis.call('EXPIRE', key, ARGV[2 + 2 * i])
    end
  end
end
return used
`)

// Take is Local.Take on the server.
func (r *Redis) Take(ctx context.Context, k Key, limits *Limits, now time.Time) (Usage, bool, error) {
	used, err := r.run(ctx, k, limits, now, 1, true)
	return used, err == nil && !used.exhausts(limits), err
}

// Usage is Local.Usage on the server.
func (r *Redis) Usage(ctx context.Context, k Key, limits *Limits, now time.Time) (Usage, error) {
	return r.run(ctx, k, limits, now, 0, false)
}

// Add is Local.Add on the server.
func (r *Redis) Add(ctx context.Context, k Key, limits *Limits, now time.Time, n float64) error {
	_, err := r.run(ctx, k, limits, now, n, false)
	return err
}

func (r *Redis) run(ctx context.Context, k Key, limits *Limits, now time.Time, n float64, check bool) (Usage, error) {
	var used Usage
	var keys []string
	var order []Period
	args := []any{strconv.FormatFloat(n, 'f', -1, 64), 0}
	if check {
		args[1] = 1
	}
	for p, limit := range limits.Each {
		start := p.Start(now)
		order = append(order, p)
		keys = append(keys, k.redis(p, start))
		args = append(args, strconv.FormatFloat(limit, 'f', -1, 64), max(1, p.End(start)-now.Unix()))
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	values, err := count.Run(ctx, r.client, keys, args...).StringSlice()
	if err != nil {
		return used, err
	}
	if len(values) != len(order) {
		return used, fmt.Errorf("redis answered %d counters instead of %d", len(values), len(order))
	}
	for i, v := range values {
		if used[order[i]], err = strconv.ParseFloat(v, 64); err != nil {
			return used, fmt.Errorf("redis key of the %s counter holds no number", order[i])
		}
	}
	return used, nil
}

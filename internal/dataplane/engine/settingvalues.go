// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
)

func splitList(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func parsePrefixes(v string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, part := range splitList(v) {
		if part == "unix:" {
			continue // no client comes by a socket of that kind
		}
		if p, err := netip.ParsePrefix(part); err == nil {
			out = append(out, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(part)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an IP address nor a CIDR range", part)
		}
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

// readErrorTemplate reads the file of an error template.
func readErrorTemplate(path string, media errorpage.Type, into *errorpage.Templates) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := into.Replace(media, string(text)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func parseHeaderSet(v string) (HeaderSet, error) {
	var h HeaderSet
	for _, part := range splitList(v) {
		switch strings.ToLower(part) {
		case "off":
		case "server_tokens":
			h.ServerToken, h.ViaToken = true, true
		case "latency_tokens":
			h.latencyTokens()
		case "server":
			h.ServerToken = true
		case "via":
			h.ViaToken = true
		case "x-kong-proxy-latency":
			h.ProxyLatency = true
		case "x-kong-response-latency":
			h.ResponseLatency = true
		case "x-kong-upstream-latency":
			h.UpstreamLatency = true
		case "x-kong-admin-latency":
			// Of Kong's Admin API, which is not served here.
		case "x-kong-upstream-status":
			h.UpstreamStatus = true
		case "x-kong-request-id":
			h.RequestID = true
		default:
			return h, fmt.Errorf("%q is not a header that the gateway adds", part)
		}
	}
	return h, nil
}

func parseOnOff(v string, into *bool) error {
	switch v {
	case "on", "true":
		*into = true
	case "off", "false":
		*into = false
	default:
		return fmt.Errorf("%q is neither on nor off", v)
	}
	return nil
}

func parseOneOf(v string, into *string, allowed ...string) error {
	for _, a := range allowed {
		if v == a {
			*into = v
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(allowed, ", "))
}

func parseCount(v string, into *int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a count", v)
	}
	*into = n
	return nil
}

// mostHeaders is what a request's bookkeeping can count.
const mostHeaders = 10000

func parseMaxHeaders(v string, into *int) error {
	n := 0
	if err := parseCount(v, &n); err != nil || n < 1 || n > mostHeaders {
		return fmt.Errorf("%q is not a count from 1 to %d", v, mostHeaders)
	}
	*into = n
	return nil
}

// parseSize reads nginx's size notation: bytes, or a number with k, m or g.
func parseSize(v string) (int64, error) {
	unit := int64(1)
	digits := strings.ToLower(v)
	for suffix, factor := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, factor
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%q is not a size such as 512, 8k or 10m", v)
	}
	return n * unit, nil
}

// parseHeaderBuffers reads nginx's "number size".
func parseHeaderBuffers(v string) (HeaderBuffers, error) {
	const largest = 1 << 20 // of one connection's head
	fields := strings.Fields(v)
	if len(fields) == 2 {
		number, err := strconv.Atoi(fields[0])
		size, sizeErr := parseSize(fields[1])
		if err == nil && sizeErr == nil && number > 0 && size >= 1<<10 && int64(number)*size <= largest {
			return HeaderBuffers{Number: number, Size: int(size)}, nil
		}
	}
	return HeaderBuffers{}, fmt.Errorf("%q is not NUMBER SIZE such as \"4 8k\", 1k to 1m in all", v)
}

// parseSeconds reads a time in seconds, with nginx's units ms, s, m and h.
func parseSeconds(v string, into *time.Duration) error {
	if n, err := strconv.ParseFloat(v, 64); err == nil && n >= 0 {
		*into = time.Duration(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time such as 60 or 75s", v)
	}
	*into = d
	return nil
}

func parsePortMaps(v string) (map[uint16]uint16, error) {
	out := map[uint16]uint16{}
	for _, part := range splitList(v) {
		outer, inner, ok := strings.Cut(part, ":")
		o, errOuter := strconv.ParseUint(outer, 10, 16)
		i, errInner := strconv.ParseUint(inner, 10, 16)
		if !ok || errOuter != nil || errInner != nil {
			return nil, fmt.Errorf("%q is not PORT:PORT", part)
		}
		out[uint16(i)] = uint16(o)
	}
	return out, nil
}

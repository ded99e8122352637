// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"regexp"
	"strconv"
	"strings"
)

// Family says what an expression is matched with.
type Family uint8

// A route's protocols are of one family.
const (
	HTTP   Family = iota // requests: http, https, grpc, grpcs
	Stream               // connections: tcp, tls, tls_passthrough, udp
)

// FieldKind is a field, or a group of fields that differ by name.
type FieldKind uint8

// The fields (Kong docs, "Expressions router", available fields).
const (
	NetProtocol FieldKind = iota
	NetSourceIP
	NetSourcePort
	NetDestinationIP
	NetDestinationPort
	TLSSNI
	HTTPMethod
	HTTPHost
	HTTPPath
	HTTPPathSegments   // http.path.segments.3, http.path.segments.1_2
	HTTPPathSegmentLen // http.path.segments.len
	HTTPHeader         // http.headers.x_name
	HTTPQuery          // http.queries.name
)

// Field is one field of a request or a connection.
type Field struct {
	Kind FieldKind
	// Name is that of the query argument, or of the header as it is written: in
	// any case and with _ for -.
	Name string
	// First and Last are the segments of HTTPPathSegments, from 0.
	First, Last int
}

// String is the field as it is written.
func (f Field) String() string {
	switch f.Kind {
	case HTTPHeader:
		return headersPrefix + f.Name
	case HTTPQuery:
		return queriesPrefix + f.Name
	case HTTPPathSegments:
		s := segmentsPrefix + strconv.Itoa(f.First)
		if f.Last > f.First {
			s += "_" + strconv.Itoa(f.Last)
		}
		return s
	}
	for name, kind := range plainFields {
		if kind == f.Kind && name != "net.port" {
			return name
		}
	}
	return ""
}

// valueType is the type of a field's values.
type valueType uint8

const (
	textType valueType = iota
	intType
	addressType
)

func (t valueType) String() string {
	return [...]string{textType: "text", intType: "a number", addressType: "an IP address"}[t]
}

func (k FieldKind) valueType() valueType {
	switch k {
	case NetSourceIP, NetDestinationIP:
		return addressType
	case NetSourcePort, NetDestinationPort, HTTPPathSegmentLen:
		return intType
	}
	return textType
}

// plainFields are the fields without a name of their own.
var plainFields = map[string]FieldKind{
	"net.protocol": NetProtocol,
	"net.src.ip":   NetSourceIP, "net.src.port": NetSourcePort,
	"net.dst.ip": NetDestinationIP, "net.dst.port": NetDestinationPort,
	"net.port":    NetDestinationPort, // its name before Kong 3.6
	"tls.sni":     TLSSNI,
	"http.method": HTTPMethod, "http.host": HTTPHost, "http.path": HTTPPath,
	"http.path.segments.len": HTTPPathSegmentLen,
}

const (
	segmentsPrefix = "http.path.segments."
	headersPrefix  = "http.headers."
	queriesPrefix  = "http.queries."
)

const (
	streamFields = "net.protocol, net.src.ip, net.src.port, net.dst.ip, net.dst.port, tls.sni"
	httpFields   = "http.method, http.host, http.path, http.path.segments.*, http.headers.*, http.queries.*, " + streamFields
)

// parseField returns the field of a name, or what is wrong with it.
func parseField(name string, family Family) (field Field, problem string) {
	if family == Stream && strings.HasPrefix(name, "http.") {
		return field, name + " does not exist for the protocols tcp, tls, tls_passthrough and udp; use one of " + streamFields
	}
	if kind, ok := plainFields[name]; ok {
		return Field{Kind: kind}, ""
	}
	for prefix, kind := range map[string]FieldKind{headersPrefix: HTTPHeader, queriesPrefix: HTTPQuery} {
		if own, ok := strings.CutPrefix(name, prefix); ok && own != "" && !strings.Contains(own, ".") {
			return Field{Kind: kind, Name: own}, ""
		}
	}
	if segments, ok := strings.CutPrefix(name, segmentsPrefix); ok {
		return parseSegments(segments)
	}
	known := httpFields
	if family == Stream {
		known = streamFields
	}
	return field, "unknown field " + strconv.Quote(name) + "; use one of " + known
}

var segmentsPattern = regexp.MustCompile(`^(0|[1-9]\d{0,8})(?:_([1-9]\d{0,8}))?$`)

func parseSegments(s string) (field Field, problem string) {
	field.Kind = HTTPPathSegments
	m := segmentsPattern.FindStringSubmatch(s)
	if m != nil {
		field.First, _ = strconv.Atoi(m[1])
		field.Last = field.First
		if m[2] == "" {
			return field, ""
		}
		if field.Last, _ = strconv.Atoi(m[2]); field.First < field.Last {
			return field, ""
		}
	}
	return field, "illformed " + segmentsPrefix + "* field " + strconv.Quote(segmentsPrefix+s) +
		"; use a segment (" + segmentsPrefix + "0), a range (" + segmentsPrefix + "0_2) or " + segmentsPrefix + "len"
}

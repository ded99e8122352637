// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// serviceAnnotation sets the fields that one annotation of a Service stands
// for, or says what the value should have been.
type serviceAnnotation struct {
	key   string
	apply func(s *entity.Service, u *entity.Upstream, value string) error
}

// serviceAnnotations are applied in this order: the protocol before the path,
// which gRPC has no use for.
var serviceAnnotations = []serviceAnnotation{
	{fragment.AnnotationProtocol, serviceProtocol},
	{fragment.AnnotationPath, servicePath},
	{fragment.AnnotationHostHeader, func(_ *entity.Service, u *entity.Upstream, v string) error {
		u.HostHeader = strings.TrimSpace(v)
		return nil
	}},
	{fragment.AnnotationConnectTimeout, func(s *entity.Service, _ *entity.Upstream, v string) error {
		return setPositive(&s.ConnectTimeout, v)
	}},
	{fragment.AnnotationWriteTimeout, func(s *entity.Service, _ *entity.Upstream, v string) error {
		return setPositive(&s.WriteTimeout, v)
	}},
	{fragment.AnnotationReadTimeout, func(s *entity.Service, _ *entity.Upstream, v string) error {
		return setPositive(&s.ReadTimeout, v)
	}},
	{fragment.AnnotationRetries, retries},
	{fragment.AnnotationTLSVerify, func(s *entity.Service, _ *entity.Upstream, v string) error {
		return setBool(&s.TLSVerify, v, strconv.ParseBool)
	}},
	{fragment.AnnotationTLSVerifyDepth, tlsVerifyDepth},
}

// annotateService applies the annotations of a Service and returns those that
// it had to ignore. stream is as in fragment.BackendKey.
func annotateService(s *entity.Service, u *entity.Upstream, annotations map[string]string, stream string) []ignored {
	var problems []ignored
	for _, a := range serviceAnnotations {
		value, set := annotations[a.key]
		if !set {
			continue
		}
		if stream != "" && a.key == fragment.AnnotationProtocol {
			if err := streamServiceProtocol(s, stream, value); err != nil {
				problems = append(problems, ignoredAnnotation(a.key, value, err))
			}
			continue
		}
		if instead := insteadOfStream[entity.Protocol(value)]; instead != "" && a.key == fragment.AnnotationProtocol {
			s.Protocol = instead
			problems = append(problems, ignored{
				field:   fragment.AnnotationField(a.key),
				message: fmt.Sprintf("the protocol %q does not fit the routes of an Ingress; %s is used for them", value, instead),
				fix:     "use " + errHTTPProtocol.Error() + ", or a TCPIngress or UDPIngress",
			})
			continue
		}
		if err := a.apply(s, u, value); err != nil {
			problems = append(problems, ignoredAnnotation(a.key, value, err))
		}
	}
	return problems
}

// insteadOfStream are the protocols of a service behind routes for HTTP whose
// annotation is one for streams: the connection stays as secret as was asked for.
var insteadOfStream = map[entity.Protocol]entity.Protocol{
	entity.ProtocolTCP: entity.ProtocolHTTP, entity.ProtocolUDP: entity.ProtocolHTTP,
	entity.ProtocolTLS: entity.ProtocolHTTPS, entity.ProtocolTLSPassthrough: entity.ProtocolHTTPS,
}

var errHTTPProtocol = errors.New("one of http, https, grpc, grpcs, ws, wss")

// serviceProtocol sets the protocol of a service behind routes for HTTP.
// WebSocket needs none of its own: it goes through HTTP.
func serviceProtocol(s *entity.Service, _ *entity.Upstream, value string) error {
	switch p := cmp.Or(webSocket[value], entity.Protocol(value)); p {
	case entity.ProtocolHTTP, entity.ProtocolHTTPS, entity.ProtocolGRPC, entity.ProtocolGRPCS:
		s.Protocol = p
		return nil
	}
	return errHTTPProtocol
}

// streamServiceProtocol sets the protocol of a service behind stream routes.
func streamServiceProtocol(s *entity.Service, stream, value string) error {
	p := entity.Protocol(value)
	switch {
	case stream == streamUDP && p != entity.ProtocolUDP:
		return errors.New("udp behind a UDPIngress")
	case stream == streamTCP && p != entity.ProtocolTCP && p != entity.ProtocolTLS && p != entity.ProtocolTLSPassthrough:
		return errors.New("tcp, tls or tls_passthrough behind a TCPIngress")
	}
	s.Protocol = p
	return nil
}

func servicePath(s *entity.Service, _ *entity.Upstream, value string) error {
	if !strings.HasPrefix(value, "/") {
		return errors.New(`a path that starts with "/"`)
	}
	switch s.Protocol {
	case "", entity.ProtocolHTTP, entity.ProtocolHTTPS:
		s.Path = value
	}
	return nil
}

// Bounds of Kong's service fields.
const (
	maxTimeout     = 2147483646 // milliseconds
	maxRetries     = 32767
	maxVerifyDepth = 64
)

func setPositive(field **int, value string) error {
	var n *int
	if err := setInt(&n, value); err != nil || *n < 1 || *n > maxTimeout {
		return errors.New("a number of milliseconds from 1 to 2147483646")
	}
	*field = n
	return nil
}

func retries(s *entity.Service, _ *entity.Upstream, value string) error {
	var n *int
	if err := setInt(&n, value); err != nil || *n < 0 || *n > maxRetries {
		return errors.New("a number from 0 to 32767")
	}
	s.Retries = n
	return nil
}

func tlsVerifyDepth(s *entity.Service, _ *entity.Upstream, value string) error {
	var n *int
	if err := setInt(&n, value); err != nil || *n < 0 || *n > maxVerifyDepth {
		return errors.New("a number from 0 to 64")
	}
	s.TLSVerifyDepth = n
	return nil
}

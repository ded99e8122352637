// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"cmp"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// ignored is an annotation that has no effect because its value is wrong. As
// in Kong's ingress controller the default stays.
type ignored struct{ field, message, fix string }

// routeAnnotation sets the fields of a route that one annotation stands for, or
// says what the value should have been.
type routeAnnotation struct {
	key   string
	apply func(r *entity.Route, value string) error
}

// routeAnnotations are applied in this order: force-ssl-redirect before the two
// that override it, strip-path before the protocols that exclude it.
var routeAnnotations = []routeAnnotation{
	{fragment.AnnotationForceSSLRedirect, forceSSLRedirect},
	{fragment.AnnotationHTTPSRedirectStatusCode, httpsRedirectStatusCode},
	{fragment.AnnotationStripPath, func(r *entity.Route, v string) error { return setBool(&r.StripPath, v, parseTrueFalse) }},
	{fragment.AnnotationProtocols, routeProtocols},
	{fragment.AnnotationPreserveHost, func(r *entity.Route, v string) error { return setBool(&r.PreserveHost, v, parseTrueFalse) }},
	{fragment.AnnotationRequestBuffering, func(r *entity.Route, v string) error { return setBool(&r.RequestBuffering, v, parseAnyBool) }},
	{fragment.AnnotationResponseBuffering, func(r *entity.Route, v string) error { return setBool(&r.ResponseBuffering, v, parseAnyBool) }},
	{fragment.AnnotationRegexPriority, func(r *entity.Route, v string) error { return setInt(&r.RegexPriority, v) }},
	{fragment.AnnotationMethods, methods},
	{fragment.AnnotationSNIs, snis},
	{fragment.AnnotationHostAliases, hostAliases},
	{fragment.AnnotationPathHandling, pathHandling},
}

// annotateRoute applies the annotations of a route object and returns those
// that it had to ignore.
func annotateRoute(r *entity.Route, annotations map[string]string) []ignored {
	return append(applyAnnotations(routeAnnotations, r, annotations), headers(r, annotations)...)
}

// streamAnnotations are those that mean something for stream routes.
var streamAnnotations = []routeAnnotation{
	{fragment.AnnotationProtocols, streamProtocols},
	{fragment.AnnotationSNIs, snis},
}

// annotateStream applies the annotations of an object with stream routes and
// returns those that it had to ignore: nothing can be matched in a stream but
// where it goes to.
func annotateStream(r *entity.Route, annotations map[string]string) []ignored {
	problems := applyAnnotations(streamAnnotations, r, annotations)
	for _, a := range routeAnnotations {
		if _, set := annotations[a.key]; set && a.key != fragment.AnnotationProtocols && a.key != fragment.AnnotationSNIs {
			problems = append(problems, ignored{
				field:   fragment.AnnotationField(a.key),
				message: "the annotation means nothing for stream routes; it is ignored",
				fix:     "remove the annotation, or use an Ingress",
			})
		}
	}
	return problems
}

func applyAnnotations(list []routeAnnotation, r *entity.Route, annotations map[string]string) []ignored {
	var problems []ignored
	for _, a := range list {
		value, set := annotations[a.key]
		if !set {
			continue
		}
		if err := a.apply(r, value); err != nil {
			problems = append(problems, ignoredAnnotation(a.key, value, err))
		}
	}
	return problems
}

func ignoredAnnotation(key, value string, want error) ignored {
	return ignored{
		field:   fragment.AnnotationField(key),
		message: fmt.Sprintf("the value %q is not valid; the annotation is ignored", value),
		fix:     "use " + want.Error(),
	}
}

var errTrueFalse = errors.New(`"true" or "false"`)

// parseTrueFalse accepts the two words in any case.
func parseTrueFalse(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errTrueFalse
}

// parseAnyBool accepts what Go's ParseBool does, in any case.
func parseAnyBool(v string) (bool, error) { return strconv.ParseBool(strings.ToLower(v)) }

func setBool(field **bool, value string, parse func(string) (bool, error)) error {
	b, err := parse(value)
	if err != nil {
		return errTrueFalse
	}
	*field = &b
	return nil
}

func setInt(field **int, value string) error {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		return errors.New("a whole number")
	}
	*field = &n
	return nil
}

// forceSSLRedirect makes the routes https-only with a redirect for others; any
// value but "true" has no meaning.
func forceSSLRedirect(r *entity.Route, value string) error {
	if value != "true" {
		return nil
	}
	code := 302
	r.HTTPSRedirectStatusCode = &code
	if slices.Contains(r.Protocols, entity.ProtocolGRPC) || slices.Contains(r.Protocols, entity.ProtocolGRPCS) {
		r.Protocols = []entity.Protocol{entity.ProtocolGRPCS}
		return nil
	}
	r.Protocols = []entity.Protocol{entity.ProtocolHTTPS}
	return nil
}

func httpsRedirectStatusCode(r *entity.Route, value string) error {
	code, err := strconv.Atoi(value)
	if err != nil || !slices.Contains([]int{426, 301, 302, 307, 308}, code) {
		return errors.New("426, 301, 302, 307 or 308")
	}
	r.HTTPSRedirectStatusCode = &code
	return nil
}

// routeProtocolNames are what the protocols annotation accepts.
var routeProtocolNames = []entity.Protocol{
	entity.ProtocolHTTP, entity.ProtocolHTTPS, entity.ProtocolGRPC, entity.ProtocolGRPCS,
	entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough,
}

// webSocket are the protocols that carry Kong Enterprise's ones for WebSocket.
var webSocket = map[string]entity.Protocol{"ws": entity.ProtocolHTTP, "wss": entity.ProtocolHTTPS}

// routeProtocols sets the protocols; one bad entry voids the list, and a mix of
// grpc and http means http and https.
func routeProtocols(r *entity.Route, value string) error {
	var list []entity.Protocol
	var http, grpc bool
	for _, v := range fragment.List(value) {
		p := cmp.Or(webSocket[v], entity.Protocol(v))
		if !slices.Contains(routeProtocolNames, p) {
			return errors.New("a comma list of http, https, grpc, grpcs, ws, wss, tcp, tls, tls_passthrough")
		}
		http = http || p == entity.ProtocolHTTP || p == entity.ProtocolHTTPS
		grpc = grpc || p == entity.ProtocolGRPC || p == entity.ProtocolGRPCS
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil
	}
	if http && grpc {
		list, grpc = []entity.Protocol{entity.ProtocolHTTP, entity.ProtocolHTTPS}, false
	}
	if grpc {
		r.StripPath = nil // a route for gRPC cannot strip its path
	}
	r.Protocols = list
	return nil
}

// streamProtocols sets the protocols of a stream route.
func streamProtocols(r *entity.Route, value string) error {
	var list []entity.Protocol
	for _, v := range fragment.Unique(fragment.List(value)) {
		p := entity.Protocol(v)
		switch p {
		case entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough, entity.ProtocolUDP:
		default:
			return errors.New("a comma list of tcp, tls, tls_passthrough, udp")
		}
		list = append(list, p)
	}
	if len(list) > 0 {
		r.Protocols = list
	}
	return nil
}

var methodPattern = regexp.MustCompile(`^[A-Z]+$`)

func methods(r *entity.Route, value string) error {
	list := fragment.List(value)
	for i, m := range list {
		list[i] = strings.ToUpper(m)
		if !methodPattern.MatchString(list[i]) {
			return errors.New("a comma list of HTTP methods")
		}
	}
	if len(list) > 0 {
		r.Methods = fragment.Unique(list)
	}
	return nil
}

var (
	sniPattern  = regexp.MustCompile(`^(\*\.)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*(\.\*)?$`)
	hostPattern = regexp.MustCompile(`^(\*\.)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*(\.\*)?(:[0-9]{1,5})?$`)
)

// snis sets the SNI criterion; an empty value clears it.
func snis(r *entity.Route, value string) error {
	list := fragment.List(value)
	for _, s := range list {
		if !sniPattern.MatchString(s) {
			return errors.New("a comma list of host names")
		}
	}
	r.SNIs = fragment.Unique(list)
	if len(list) == 0 {
		r.SNIs = nil
	}
	return nil
}

func hostAliases(r *entity.Route, value string) error {
	list := fragment.List(value)
	for _, h := range list {
		if !hostPattern.MatchString(h) {
			return errors.New("a comma list of host names")
		}
	}
	if len(list) > 0 {
		r.Hosts = fragment.Unique(append(slices.Clone(r.Hosts), list...))
	}
	return nil
}

func pathHandling(r *entity.Route, value string) error {
	if value != "v0" && value != "v1" {
		return errors.New("v0 or v1")
	}
	r.PathHandling = value
	return nil
}

// headers sets the header criteria: one annotation per header, whose name
// follows "konghq.com/headers.".
func headers(r *entity.Route, annotations map[string]string) []ignored {
	sep := ","
	if s := annotations[fragment.AnnotationHeadersSeparator]; s != "" {
		sep = s
	}
	var keys []string
	for key := range annotations {
		if strings.HasPrefix(key, fragment.AnnotationHeadersPrefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var problems []ignored
	for _, key := range keys {
		name := strings.TrimPrefix(key, fragment.AnnotationHeadersPrefix)
		values := fragment.Split(annotations[key], sep)
		if len(values) == 0 || textproto.CanonicalMIMEHeaderKey(name) == "Host" {
			problems = append(problems, ignoredAnnotation(key, annotations[key],
				errors.New("a list of header values; the Host header is matched by the rule's host")))
			continue
		}
		if r.Headers == nil {
			r.Headers = make(map[string][]string)
		}
		r.Headers[name] = values
	}
	return problems
}

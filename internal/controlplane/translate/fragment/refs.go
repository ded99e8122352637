// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"strings"
	"time"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Settings are the properties of a gateway that its translation depends on.
type Settings struct {
	// Class is the ingress class the gateway serves.
	Class string
	// DefaultClass is true when the class is the cluster's default: objects
	// without a class belong to it.
	DefaultClass bool
	// Mesh is true when the gateway's pods are in the mesh: backends are then
	// dialled at the Service's address.
	Mesh bool
	// ServiceHost sends the Service's full name as Host to every backend in the
	// mesh, not only to headless ones.
	ServiceHost bool
	// ClusterDomain is the DNS domain of the cluster, "cluster.local" if empty.
	ClusterDomain string
	// ServiceUpstream sends requests to the Services' own addresses instead of
	// their endpoints (IngressClassParameters).
	ServiceUpstream bool
	// LegacyRegexDetection takes paths with characters that have a meaning in
	// regular expressions for such (IngressClassParameters).
	LegacyRegexDetection bool
	// LocalRefused is true when the proxies refuse to connect to their own pod
	// and to link-local addresses.
	LocalRefused bool
	// RunWithoutBrokenPlugins makes routes run without plugins that have no
	// usable version, as Kong's ingress controller does. The default is to
	// answer 500.
	RunWithoutBrokenPlugins bool
}

// Owns reports whether an object belongs to the gateway's class: by its
// annotation, else by specClass, else because the class is the default one.
func (s Settings) Owns(annotations map[string]string, specClass *string) bool {
	class := annotations[AnnotationClass]
	if class == "" && specClass != nil {
		class = *specClass
	}
	if class == "" {
		return s.DefaultClass
	}
	return class == s.Class
}

// Refs answers a translator's questions. Answers are shared and must not be
// changed. A nil answer means that the object does not exist.
type Refs interface {
	// Settings returns the gateway's settings.
	Settings() Settings
	// Check returns what is wrong with an entity on its own. It depends on
	// nothing but the entity.
	Check(entity.Entity) []entity.Problem
	// Runs reports whether a plugin can run on routes of these protocols, none
	// standing for http and https, and whether it guards them: nothing must pass
	// without it. It depends on nothing else.
	Runs(p *entity.Plugin, protocols []entity.Protocol) (runs, guards bool)
	// Vaults calls f with each field of a plugin that refers to a vault, and the
	// vault's prefix, or backend. It depends on nothing else.
	Vaults(p *entity.Plugin, f func(field, vault string))
	// Service returns a Service.
	Service(namespace, name string) *corev1.Service
	// EndpointSlices returns a Service's EndpointSlices, sorted by name.
	EndpointSlices(namespace, service string) []*discoveryv1.EndpointSlice
	// Secret returns a Secret with its data.
	Secret(namespace, name string) *corev1.Secret
	// ConfigMap returns a ConfigMap that holds a CA certificate. Others are not
	// read: nil is returned for them as well.
	ConfigMap(namespace, name string) *corev1.ConfigMap
	// Granted reports whether a ReferenceGrant in to's namespace permits the
	// reference.
	Granted(from GrantFrom, to GrantTo) bool

	// Backend returns what is known about a Service port, and keeps its unit
	// alive.
	Backend(BackendKey) BackendFacts
	// Certificate returns what is known about a TLS Secret, and keeps its unit
	// alive.
	Certificate(namespace, secret string) CertificateFacts
	// CACertificate returns what is known about a Secret with a CA certificate,
	// and keeps its unit alive.
	CACertificate(namespace, secret string) CertificateFacts
	// CAConfigMap is CACertificate for a ConfigMap.
	CAConfigMap(namespace, name string) CertificateFacts
	// KongIngress returns what is known about a KongIngress, and keeps its unit
	// alive.
	KongIngress(namespace, name string) PolicyFacts
	// UpstreamPolicy returns what is known about a KongUpstreamPolicy, and keeps
	// its unit alive.
	UpstreamPolicy(namespace, name string) PolicyFacts
	// Plugin returns the plugin that a KongPlugin, or with an empty namespace a
	// KongClusterPlugin, describes.
	Plugin(namespace, name string) PluginFacts
	// ConsumerGroup returns a consumer group of the gateway's class.
	ConsumerGroup(namespace, name string) GroupFacts

	// What units claim. That the unit itself is the only claimant must mean the
	// same to it as that there is none: it is not translated again for having
	// claimed what nobody did.

	// First returns the unit that a claim goes to: the oldest claimant.
	First(Claim) (Claimant, bool)
	// Claimed reports whether anyone claims.
	Claimed(Claim) bool
	// Claimants returns all claimants, oldest first.
	Claimants(Claim) []Claimant
}

// InstanceChecker may be implemented by Refs that remember what they found.
type InstanceChecker interface {
	// CheckInstance is Check for a plugin made of a template. What it answers
	// follows from the template, which must not change any more, and from which
	// kinds of entities the instance is attached to; of which ones, and its id,
	// the answer is independent.
	CheckInstance(template, instance *entity.Plugin) []entity.Problem
}

// CheckInstance checks a plugin made of a template.
func CheckInstance(refs Refs, template, instance *entity.Plugin) []entity.Problem {
	if c, ok := refs.(InstanceChecker); ok {
		return c.CheckInstance(template, instance)
	}
	return refs.Check(instance)
}

// GrantFrom is the referring side of a reference across namespaces.
type GrantFrom struct{ Group, Kind, Namespace string }

// GrantTo is the referred side of a reference across namespaces.
type GrantTo struct{ Group, Kind, Namespace, Name string }

// BackendKey names a Service port as an object refers to it.
type BackendKey struct {
	Namespace string
	Service   string
	// Port is the port's number or name, in the form it was referred to.
	Port string
	// Stream is "tcp" or "udp" for a backend of stream routes, else "".
	Stream string
}

// Owner returns the backend's unit.
func (k BackendKey) Owner() Owner {
	name := k.Service + ":" + k.Port
	if k.Stream != "" {
		name += ":" + k.Stream
	}
	return Owner{Kind: OwnerBackend, Namespace: k.Namespace, Name: name}
}

// BackendOf is the inverse of BackendKey.Owner. Neither names of Services nor
// of ports contain a colon.
func BackendOf(o Owner) BackendKey {
	service, rest, _ := strings.Cut(o.Name, ":")
	port, stream, _ := strings.Cut(rest, ":")
	return BackendKey{Namespace: o.Namespace, Service: service, Port: port, Stream: stream}
}

// BackendFacts is what units learn about a backend they refer to.
type BackendFacts struct {
	// Service is the id of the Kong service, "" when there cannot be one.
	Service entity.ID
	// RewriteHost is true when requests must carry the upstream's host_header:
	// pods of a headless Service are only known to the mesh by that name.
	RewriteHost bool
	// Reason, Message and Fix say why the backend has no targets; empty when
	// all is well.
	Reason, Message, Fix string
}

// CertificateFacts is what units learn about a TLS Secret.
type CertificateFacts struct {
	// ID is the id of the Kong certificate, "" when the Secret is unusable.
	ID entity.ID
	// Reason, Message and Fix say why it is unusable.
	Reason, Message, Fix string
}

// GroupFacts is what units learn about a consumer group; ID is "" when there is
// none.
type GroupFacts struct {
	ID entity.ID
}

// PluginFacts is what units learn about a KongPlugin or KongClusterPlugin.
type PluginFacts struct {
	// Exists is true when there is an object of that name.
	Exists bool
	// Object names it.
	Object ObjectRef
	// Template is the plugin without id and scope, nil when the object has no
	// usable version.
	Template *entity.Plugin
	// Why says why there is no usable version.
	Why string
}

// PolicyFacts is what units learn about a KongUpstreamPolicy or a KongIngress.
type PolicyFacts struct {
	// Exists is true when there is an object of that name, Object names it.
	Exists bool
	Object ObjectRef
	// Policy, of a KongUpstreamPolicy, and Upstream, of a KongIngress, are what
	// applies: the newest version or, when LastGood is true, the last one that
	// was valid. Both are nil where there is nothing to apply.
	Policy   *kongv1beta1.KongUpstreamPolicySpec
	Upstream *kongv1.KongIngressUpstream
	LastGood bool
	// Field and Message say what is wrong with the newest version; empty when it
	// is valid.
	Field, Message string
}

// ClaimScope is a kind of claim.
type ClaimScope string

// The claims.
const (
	// ClaimDefaultBackend is contended for by the Ingresses with a default
	// backend: only the oldest has it.
	ClaimDefaultBackend ClaimScope = "default-backend"
	// ClaimSNI is contended for by the Ingresses that bring a certificate for a
	// host.
	ClaimSNI ClaimScope = "sni"
	// ClaimCACertificate is contended for by the Secrets and ConfigMaps that give
	// a CA certificate the same id, ClaimCADigest by those with the same
	// certificate. The data of the latter is the id.
	ClaimCACertificate ClaimScope = "ca-certificate"
	ClaimCADigest      ClaimScope = "ca-digest"
	// ClaimUpstreamName is contended for by backends: the same Service port may be
	// reached by HTTP and by stream routes.
	ClaimUpstreamName ClaimScope = "upstream-name"
	// ClaimCertificateID is contended for by custom entities of a namespace that
	// give a certificate the same id. The value is the namespace and that id, the
	// data the id that the certificate has in the gateway.
	ClaimCertificateID ClaimScope = "certificate-id"
	// ClaimRouteName is contended for by routes, whose names are not unique by
	// construction.
	ClaimRouteName ClaimScope = "route-name"
	// ClaimPluginOnRoute, ClaimPluginOnService, ClaimPluginOnConsumer and
	// ClaimPluginOnGroup make known who refers to a plugin. The value is the
	// plugin unit's String, for a KongClusterPlugin with the namespace of those
	// who refer, the data the id of the consumer or group, or the number of routes
	// or services and the id of the first.
	ClaimPluginOnRoute    ClaimScope = "plugin-on-route"
	ClaimPluginOnService  ClaimScope = "plugin-on-service"
	ClaimPluginOnConsumer ClaimScope = "plugin-on-consumer"
	ClaimPluginOnGroup    ClaimScope = "plugin-on-group"
	// ClaimGlobalPlugin is contended for by global plugins of one type.
	ClaimGlobalPlugin ClaimScope = "global-plugin"
	// ClaimConsumerName and ClaimConsumerCustomID are contended for by
	// consumers.
	ClaimConsumerName     ClaimScope = "consumer-username"
	ClaimConsumerCustomID ClaimScope = "consumer-custom-id"
	// ClaimGroupName is contended for by consumer groups.
	ClaimGroupName ClaimScope = "consumer-group-name"
	// ClaimVaultPrefix is contended for by vaults.
	ClaimVaultPrefix ClaimScope = "vault-prefix"
	// ClaimCredential is contended for by credentials with a unique key. The
	// value is the type and a digest of the key.
	ClaimCredential ClaimScope = "credential"
)

// Claim is something that a unit contends for or makes known.
type Claim struct {
	Scope ClaimScope
	Value string
	// Data goes with the claim to those who look at the claimants. It is not
	// part of the claim's identity.
	Data string
}

// Claimant is a unit that makes a claim. Claimants are ordered by the creation
// time of their objects, then by owner.
type Claimant struct {
	Owner   Owner
	Created time.Time
	Data    string
}

// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// OwnerKind is a kind of translation unit.
type OwnerKind string

// The translation units. Ingress, TCPIngress, UDPIngress, consumer, consumer
// group, global plugin, vault and custom entity units exist because an object of
// the gateway's class exists; the others exist as long as another unit refers to
// them.
const (
	OwnerIngress       OwnerKind = "Ingress"
	OwnerTCPIngress    OwnerKind = "TCPIngress"
	OwnerUDPIngress    OwnerKind = "UDPIngress"
	OwnerConsumer      OwnerKind = "KongConsumer"
	OwnerConsumerGroup OwnerKind = "KongConsumerGroup"
	OwnerGlobalPlugin  OwnerKind = "GlobalPlugin"
	OwnerVault         OwnerKind = "KongVault"
	OwnerCustomEntity  OwnerKind = "KongCustomEntity"
	OwnerBackend       OwnerKind = "Backend"
	OwnerCertificate   OwnerKind = "Certificate"
	// OwnerCACertificate is a CA certificate in a Secret, OwnerCAConfigMap one in
	// a ConfigMap.
	OwnerCACertificate OwnerKind = "CACertificate"
	OwnerCAConfigMap   OwnerKind = "CACertificateConfigMap"
	OwnerPlugin        OwnerKind = "Plugin"
	// OwnerUpstreamPolicy and OwnerKongIngress have no entities: backends are made
	// with what they say.
	OwnerUpstreamPolicy OwnerKind = "KongUpstreamPolicy"
	OwnerKongIngress    OwnerKind = "KongIngress"
)

// Owner names a translation unit: the part of a configuration that is made, and
// replaced, as a whole. Namespace is empty for units of cluster-scoped objects;
// Name is the object's name, followed by ":port" for a backend, and ":tcp" or
// ":udp" for one of stream routes.
type Owner struct {
	Kind      OwnerKind
	Namespace string
	Name      string
}

// Compare orders owners by kind, namespace and name.
func (o Owner) Compare(other Owner) int {
	return cmp.Or(cmp.Compare(o.Kind, other.Kind), cmp.Compare(o.Namespace, other.Namespace), cmp.Compare(o.Name, other.Name))
}

// String returns "Kind namespace/name".
func (o Owner) String() string {
	return string(o.Kind) + " " + o.Namespace + "/" + o.Name
}

// ObjectRef names a Kubernetes object.
type ObjectRef struct {
	Group     string
	Version   string
	Kind      string
	Namespace string
	Name      string
	UID       types.UID
}

// String returns "Kind namespace/name", or "Kind name" for cluster scope.
func (r ObjectRef) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Compare orders references by kind, namespace, name and uid.
func (r ObjectRef) Compare(other ObjectRef) int {
	return cmp.Or(
		cmp.Compare(r.Kind, other.Kind), cmp.Compare(r.Namespace, other.Namespace),
		cmp.Compare(r.Name, other.Name), cmp.Compare(r.UID, other.UID), cmp.Compare(r.Group, other.Group),
	)
}

// Problem is something wrong with an object: what the user sees in an event, a
// condition or the gateway's status. It never carries secret values.
type Problem struct {
	// Object is what has to be changed.
	Object ObjectRef
	// Field is the path inside the object, such as
	// "metadata.annotations[konghq.com/methods]".
	Field string
	// Reason is a CamelCase word, one of the Reason constants.
	Reason string
	// Message says what is wrong and what follows from it.
	Message string
	// Fix says what to do.
	Fix string
}

// Compare orders problems by object, field, reason and message.
func (p Problem) Compare(other Problem) int {
	return cmp.Or(
		p.Object.Compare(other.Object), cmp.Compare(p.Field, other.Field),
		cmp.Compare(p.Reason, other.Reason), cmp.Compare(p.Message, other.Message), cmp.Compare(p.Fix, other.Fix),
	)
}

// Reasons of problems.
const (
	ReasonAnnotationIgnored   = "AnnotationIgnored"
	ReasonBackendNotFound     = "BackendNotFound"
	ReasonBackendPort         = "BackendPortNotFound"
	ReasonBackendUnsupported  = "BackendUnsupported"
	ReasonCertificateInvalid  = "CertificateInvalid"
	ReasonConflict            = "Conflict"
	ReasonConsumerInvalid     = "ConsumerInvalid"
	ReasonConfigMapInvalid    = "ConfigMapInvalid"
	ReasonConfigMapNotFound   = "ConfigMapNotFound"
	ReasonCredentialInvalid   = "CredentialInvalid"
	ReasonCustomEntityInvalid = "CustomEntityInvalid"
	ReasonDelegatedToMesh     = "DelegatedToMesh"
	ReasonEndpointRefused     = "EndpointRefused"
	ReasonGroupNotFound       = "ConsumerGroupNotFound"
	ReasonKongIngressInvalid  = "KongIngressInvalid"
	ReasonKongIngressNotFound = "KongIngressNotFound"
	ReasonPluginConfigInvalid = "PluginConfigInvalid"
	ReasonPluginNotFound      = "PluginNotFound"
	ReasonPluginUnknown       = "PluginUnknown"
	ReasonPluginUnusable      = "PluginUnusable"
	ReasonPolicyInvalid       = "UpstreamPolicyInvalid"
	ReasonPolicyNotFound      = "UpstreamPolicyNotFound"
	ReasonRefNotPermitted     = "RefNotPermitted"
	ReasonRouteInvalid        = "RouteInvalid"
	ReasonSecretInvalid       = "SecretInvalid"
	ReasonSecretNotFound      = "SecretNotFound"
	ReasonVaultInvalid        = "VaultInvalid"
	ReasonVaultNotFound       = "VaultNotFound"
)

// Backend is a Service port that routes send requests to. The gateway's egress
// scope is made from them.
type Backend struct {
	Namespace string
	Service   string
	// ClusterIP is the Service's address; "" for headless Services and
	// ExternalName Services.
	ClusterIP string
	// Headless is true for a Service without a cluster address of its own.
	Headless bool
	// ExternalName is the DNS name of an ExternalName Service.
	ExternalName string
	// Port is the Service's port, PortName its name.
	Port     int32
	PortName string
	// Protocol is Kong's protocol towards the backend, "http" when not set.
	Protocol string
	// AppProtocol is the port's appProtocol.
	AppProtocol string
	// Addresses are the addresses, in the form "ip:port", that proxies dial:
	// the cluster address, or the pods' for a headless Service. Sorted; empty
	// outside the mesh.
	Addresses []string
}

// Compare orders backends by namespace, service and port, then by what else
// tells them apart.
func (b Backend) Compare(other Backend) int {
	return cmp.Or(
		cmp.Compare(b.Namespace, other.Namespace), cmp.Compare(b.Service, other.Service),
		cmp.Compare(b.Port, other.Port), cmp.Compare(other.Protocol, b.Protocol), cmp.Compare(b.ExternalName, other.ExternalName),
		slices.Compare(b.Addresses, other.Addresses), cmp.Compare(b.ClusterIP, other.ClusterIP),
		cmp.Compare(b.PortName, other.PortName), cmp.Compare(b.AppProtocol, other.AppProtocol),
	)
}

// SamePort reports whether both are the same port of the same Service. A port
// of UDP is another than that of TCP.
func (b Backend) SamePort(other Backend) bool {
	return b.Namespace == other.Namespace && b.Service == other.Service && b.Port == other.Port &&
		(b.Protocol == "udp") == (other.Protocol == "udp")
}

// Result is what the translation of one unit yields.
type Result struct {
	// Entities are the unit's Kong entities, in a fixed order.
	Entities []entity.Entity
	// Problems are what the user has to know.
	Problems []Problem
	// Backends are the Service ports the unit sends requests to.
	Backends []Backend
	// Claims are what the unit contends for or makes known to other units.
	Claims []Claim
	// Facts is what units that refer to this one can read: a BackendFacts,
	// CertificateFacts, GroupFacts, PluginFacts or PolicyFacts.
	Facts any
	// Invalid is true when the unit's own object is wrong: its last good
	// version goes on serving. Wrong references never set it.
	Invalid bool
}

// Fragment is a unit's part of a gateway's configuration.
type Fragment struct {
	Owner Owner
	// Object is the unit's main object; its UID and Generation are those of the
	// version that the entities were made from.
	Object     ObjectRef
	Generation int64
	Entities   []entity.Entity
	// Plugins is the plugins annotation of that version: entities do not tell
	// which plugin is missing.
	Plugins string
	// Spec is what applies of an object that has no entities of its own, a
	// KongUpstreamPolicy's spec or a KongIngress's upstream, as JSON.
	Spec []byte
	// LastGood is true when the object's newest version is invalid and the
	// entities come from an earlier one.
	LastGood bool
}

// Report adds a problem to the result. Texts that are very long, because they
// quote something, are cut.
func (r *Result) Report(object ObjectRef, field, reason, message, fix string) {
	r.Problems = append(r.Problems, Problem{
		Object: object, Field: Cut(field, maxField), Reason: reason, Message: Cut(message, maxMessage), Fix: fix,
	})
}

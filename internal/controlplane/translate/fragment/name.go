// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// ID returns the id of an entity: the version 5 UUID of its natural key, within
// its kind.
func ID(kind entity.Kind, key string) entity.ID { return entity.NewID(string(kind), key) }

// CertificateDigest is the same for the same PEM certificate, however it is
// written; it is "" for what is none.
func CertificateDigest(text string) string {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// ManagedTag is on every entity made from a Kubernetes object.
const ManagedTag = "managed-by-ingress-controller"

// RefOf names an object of the given group, version and kind. The kind is
// passed because objects from caches carry none.
func RefOf(group, version, kind string, o metav1.Object) ObjectRef {
	return ObjectRef{Group: group, Version: version, Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID()}
}

// Tags returns the tags that say which object an entity was made from, as
// Kong's ingress controller writes them, followed by the user's own: those of
// the annotation, then more.
func Tags(r ObjectRef, annotations map[string]string, more ...string) []string {
	own := List(annotations[AnnotationTags])
	tags := append(make([]string, 0, objectTags+len(own)+len(more)), "k8s-name:"+r.Name)
	if r.Namespace != "" {
		tags = append(tags, "k8s-namespace:"+r.Namespace)
	}
	tags = append(tags, "k8s-kind:"+r.Kind)
	if r.UID != "" {
		tags = append(tags, "k8s-uid:"+string(r.UID))
	}
	if r.Group != "" {
		tags = append(tags, "k8s-group:"+r.Group)
	}
	tags = append(tags, "k8s-version:"+r.Version)
	tags = append(tags, ManagedTag)
	if own = append(own, more...); len(own) == 0 {
		return tags
	}
	seen := make(map[string]bool, len(tags)+len(own))
	for _, t := range tags {
		seen[t] = true
	}
	for _, t := range own {
		if !seen[t] && validTag(t) {
			seen[t] = true
			tags = append(tags, t)
		}
	}
	return tags
}

// objectTags is how many tags an object brings at most that are not the user's.
const objectTags = 7

// objectTag is what tags that name an object begin with.
const objectTag = "k8s-"

// validTag reports whether Kong accepts a user's tag; others are left out. So
// are those that seem to name an object: what an entity was made from decides
// whose secrets it sees and who is told what is wrong with it.
func validTag(t string) bool {
	return !strings.HasPrefix(t, objectTag) && utf8.ValidString(t) && !strings.ContainsFunc(t, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f })
}

// ObjectOf returns the object that an entity's tags name; ok is false for
// entities without such tags.
func ObjectOf(tags []string) (r ObjectRef, ok bool) {
	for _, t := range tags {
		k, v, found := strings.Cut(t, ":")
		if !found {
			continue
		}
		switch k {
		case "k8s-name":
			r.Name = v
		case "k8s-namespace":
			r.Namespace = v
		case "k8s-kind":
			r.Kind = v
		case "k8s-group":
			r.Group = v
		case "k8s-uid":
			r.UID = types.UID(v)
		case "k8s-version":
			r.Version = v
		}
	}
	return r, r.Kind != "" && r.Name != ""
}

// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Path is where the API server sends reviews.
const Path = "/validate"

// Config is what the webhook needs.
type Config struct {
	// Objects is the cache of the objects that routes are made of. It fails on
	// kinds without an informer: those of a CRD that is not installed.
	Objects cache.Cache
	// Own is a cache with CacheOptions.
	Own cache.Cache
	// Reader reads Secrets from the API server.
	Reader client.Reader
	// Writer applies the configuration.
	Writer client.Client
	// Scheme holds the kinds that are judged.
	Scheme  *runtime.Scheme
	Schemas entity.SchemaSet
	// Controller is spec.controller of our IngressClasses, OwnerAnnotation the
	// annotation that a class has while a gateway serves it.
	Controller, OwnerAnnotation string
	// Bundle returns the certificates that the API server is to trust; nil when
	// somebody else writes them into the configuration.
	Bundle func() []byte
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

func (c Config) log() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}

// handler answers reviews.
type handler struct {
	config  Config
	decoder ctrladmission.Decoder
	lookup  func(context.Context) admission.Lookup
}

// NewHandler returns what answers the API server.
func NewHandler(c Config) http.Handler {
	return &ctrladmission.Webhook{Handler: newHandler(c)}
}

func newHandler(c Config) *handler {
	return &handler{
		config: c, decoder: ctrladmission.NewDecoder(c.Scheme),
		lookup: func(ctx context.Context) admission.Lookup { return newLookup(ctx, c) },
	}
}

// Handle implements admission.Handler. What cannot be judged is admitted with a
// warning: the control plane judges it again.
func (h *handler) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return ctrladmission.Allowed("")
	}
	object, err := h.decode(req.Kind, req.Object)
	if err != nil || object == nil {
		return h.unknown(req, err)
	}
	old, err := h.decode(req.Kind, req.OldObject)
	if err != nil {
		return h.unknown(req, err)
	}
	if object.GetNamespace() == "" {
		object.SetNamespace(req.Namespace)
	}
	decision, err := admission.Review(object, old, h.config.Schemas, h.lookup(ctx))
	if err != nil {
		return h.unknown(req, err)
	}
	return respond(decision)
}

// decode returns the object in a review; nil where there is none, and for kinds
// that are not judged.
func (h *handler) decode(kind metav1.GroupVersionKind, raw runtime.RawExtension) (metav1.Object, error) {
	if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
		return nil, nil
	}
	o, err := h.config.Scheme.New(schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind})
	if err != nil {
		return nil, nil //nolint:nilerr // not a kind of ours
	}
	if err := h.decoder.DecodeRaw(raw, o); err != nil {
		return nil, fmt.Errorf("the object cannot be read as %s %s", kind.Version, kind.Kind) // err may quote it
	}
	return meta.Accessor(o)
}

// unknown admits what could not be judged.
func (h *handler) unknown(req ctrladmission.Request, err error) ctrladmission.Response {
	if err == nil {
		return ctrladmission.Allowed("")
	}
	name := req.Name
	if req.Namespace != "" {
		name = req.Namespace + "/" + name
	}
	h.config.log().Warn("An object is admitted without having been judged", "kind", req.Kind.Kind, "name", name, "error", err)
	return ctrladmission.Allowed("").WithWarnings(
		req.Kind.Kind + " " + name + ": it could not be checked whether the gateway can use it; see its conditions and events")
}

// respond puts a decision into the API server's words.
func respond(d admission.Decision) ctrladmission.Response {
	response := ctrladmission.Allowed("")
	if len(d.Violations) > 0 {
		status := &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Details: &metav1.StatusDetails{}}
		for _, v := range d.Violations {
			status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{
				Type: metav1.CauseType(v.Reason), Field: v.Field, Message: v.Message,
			})
		}
		status.Message = strings.Join(texts(d.Violations), "; ")
		response.Allowed, response.Result = false, status
	}
	return response.WithWarnings(texts(d.Warnings)...)
}

func texts(list []fragment.Problem) []string {
	out := make([]string, 0, len(list))
	for _, p := range list {
		out = append(out, admission.Text(p))
	}
	return out
}

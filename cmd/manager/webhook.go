// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/controllers/webhook"
	"github.com/kong/kong-istio-gateway/internal/controlplane/streamca"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

const (
	// webhookRoots is the Secret, in the manager's namespace, with the roots of
	// the webhook's certificates.
	webhookRoots = "kong-istio-gateway-webhook-roots"
	// webhookService is the Service through which the API server calls.
	webhookService = "kong-istio-gateway-webhook"
)

// setupWebhook registers the admission webhook, which every replica serves.
func setupWebhook(mgr ctrl.Manager, o options, objects cache.Cache) error {
	if o.webhookAddress == "" || o.webhookAddress == "0" {
		return nil
	}
	log := slog.New(logr.ToSlogHandler(mgr.GetLogger().WithName("webhook")))
	config, err := webhookConfig(mgr, objects)
	if err != nil {
		return err
	}
	config.Logger = log
	changed := make(chan event.GenericEvent, 16)
	var ownCertificates []func(*tls.Config)
	if o.webhookCertDir == "" {
		authority := webhookAuthority(mgr, o, changed, log)
		config.Bundle = authority.Bundle
		ownCertificates = append(ownCertificates, func(c *tls.Config) { c.GetCertificate = authority.TLSConfig().GetCertificate })
		if err := mgr.Add(onEveryReplica(authority.Run)); err != nil {
			return err
		}
	}
	server, err := webhookServer(o, ownCertificates)
	if err != nil {
		return err
	}
	server.Register(webhook.Path, webhook.NewHandler(config))
	for _, r := range []manager.Runnable{&warm{config.Own}, server} {
		if err := mgr.Add(r); err != nil {
			return err
		}
	}
	if err := mgr.AddReadyzCheck("webhook", webhook.Ready(config, server.StartedChecker())); err != nil {
		return err
	}
	return webhook.Setup(context.Background(), mgr, config, changed)
}

// webhookConfig makes the webhook's own cache and what it needs of others.
func webhookConfig(mgr ctrl.Manager, objects cache.Cache) (webhook.Config, error) {
	scheme, err := routes.Scheme()
	if err != nil {
		return webhook.Config{}, err
	}
	options, err := webhook.CacheOptions(schemas.All())
	if err != nil {
		return webhook.Config{}, err
	}
	options.HTTPClient = mgr.GetHTTPClient()
	own, err := cache.New(mgr.GetConfig(), options)
	if err != nil {
		return webhook.Config{}, fmt.Errorf("cache of the webhook: %w", err)
	}
	return webhook.Config{
		Objects: objects, Own: own, Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), Scheme: scheme, Schemas: schemas.All(),
		Controller: render.IngressController, OwnerAnnotation: render.AnnotationOwnerUID,
	}, nil
}

// webhookAuthority makes the certificates. All replicas share its roots, and each
// issues itself a certificate.
func webhookAuthority(mgr ctrl.Manager, o options, changed chan<- event.GenericEvent, log *slog.Logger) *streamca.Authority {
	host := fmt.Sprintf("%s.%s.svc", webhookService, o.namespace)
	return streamca.New(streamca.Config{
		Store: &streamca.SecretStore{
			Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), Name: types.NamespacedName{Namespace: o.namespace, Name: webhookRoots},
		},
		ServerNames: []string{host}, Logger: log.With("of", "webhook"),
		OnBundle: func([]byte) {
			select { // only the leader listens; one event is enough
			case changed <- event.GenericEvent{Object: &v1alpha1.KongIstioGateway{}}:
			default:
			}
		},
	})
}

// webhookServer makes the HTTPS server.
func webhookServer(o options, tlsOptions []func(*tls.Config)) (ctrlwebhook.Server, error) {
	host, text, err := net.SplitHostPort(o.webhookAddress)
	if err != nil {
		return nil, fmt.Errorf("--webhook-bind-address: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("--webhook-bind-address %s: the port is not a number from 1 to 65535", o.webhookAddress)
	}
	return ctrlwebhook.NewServer(ctrlwebhook.Options{Host: host, Port: int(port), CertDir: o.webhookCertDir, TLSOpts: tlsOptions}), nil
}

// onEveryReplica is a runnable that does not wait for leadership.
type onEveryReplica func(context.Context) error

// Start implements manager.Runnable.
func (f onEveryReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (onEveryReplica) NeedLeaderElection() bool { return false }

# Kong Istio Gateway. `make help` lists what there is.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

BIN     := $(CURDIR)/bin
VERSION ?= 0.1.0
NAME    ?= kig
LDFLAGS := -s -w -X main.version=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false
CLUSTER := $(BIN)/cluster --name $(NAME)
# How long a user waits before the walkthrough counts as failed is in its steps.
TESTFLAGS ?= -race -timeout 15m

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-zA-Z_-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ For users

.PHONY: demo
demo: images ## Bring up a local cluster with Istio, install the operator, run the echo walkthrough, leave it up
	$(CLUSTER) up
	@$(MAKE) --no-print-directory install
	$(BIN)/walkthrough -cluster $(BIN)/cluster -name $(NAME) -examples examples/echo

.PHONY: demo-down
demo-down: $(BIN)/cluster ## End the local cluster and remove what it left
	$(CLUSTER) down

.PHONY: install
install: images ## Load the images into the running cluster and install the operator
	@# The tag is the content: a rebuilt program rolls out, an unchanged one does not.
	@manager=$$(sha256sum $(BIN)/manager | cut -c1-12); proxy=$$(sha256sum $(BIN)/proxy | cut -c1-12); \
	load() { $(CLUSTER) image build --load --ref kong/kong-istio-gateway-$$1:$$2 --user 65532 --entrypoint /$$1 \
	  $(BIN)/$$1:/$$1 /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt; }; \
	load manager $$manager; load proxy $$proxy; \
	mkdir -p $(BIN)/overlay; printf '%s\n' \
	  'resources: [../../config/kong-crds, ../../config/default]' \
	  'configurations: [../../config/manager/image_fields.yaml]' \
	  'images:' \
	  "- {name: kong/kong-istio-gateway-manager, newTag: '$$manager'}" \
	  "- {name: kong/kong-istio-gateway-proxy, newTag: '$$proxy'}" > $(BIN)/overlay/kustomization.yaml
	$(CLUSTER) kubectl kustomize --load-restrictor LoadRestrictionsNone $(BIN)/overlay > $(BIN)/overlay/install.yaml
	$(CLUSTER) kubectl apply --server-side --force-conflicts -f $(BIN)/overlay/install.yaml >/dev/null
	$(CLUSTER) kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
	$(CLUSTER) kubectl -n kong-istio-system rollout status deployment/kong-istio-gateway-manager --timeout=180s

##@ For developers

.PHONY: build
build: $(BIN)/manager $(BIN)/proxy ## Build the programs

.PHONY: images
images: build $(BIN)/cluster $(BIN)/walkthrough

# Go knows better than make what has changed.
.PHONY: $(BIN)/manager $(BIN)/proxy $(BIN)/cluster $(BIN)/walkthrough
$(BIN)/manager:
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o $@ ./cmd/manager
$(BIN)/proxy:
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o $@ ./cmd/proxy
$(BIN)/walkthrough:
	$(GOBUILD) -o $@ ./test/e2e/walkthrough
$(BIN)/cluster:
	cd test/cluster && $(GOBUILD) -o $@ .

.PHONY: test
test: test-packages test-tools ## Everything that checks a change: unit, goldens, recorded cases, API-server tests
	KUBEBUILDER_ASSETS=$$($(BIN)/cluster build --only kube-apiserver,etcd,kubectl --print-assets) \
	  go test $(TESTFLAGS) $$(go list ./... | grep -v /test/conformance/)
	@# Verbose, because go test hides what a package that passes prints: here, how many recorded cases of Kong pass.
	go test $(TESTFLAGS) -v ./test/conformance/... | sed '/^=== /d; /^ *--- PASS/d'
	go test -tags poison $(TESTFLAGS) ./internal/dataplane/... ./internal/plugins/... ./internal/pluginkit/...
	@# The race detector and the poison tag allocate, and have memory of their own: what bounds that runs without them.
	go test -run 'Allocations|Memory|LargeBodies' -timeout 5m ./internal/dataplane/engine
	@# Under the race detector sockets are read by other calls.
	go test -timeout 5m ./internal/dataplane/socket
	go test -run 'CostOfAChange|NothingIsLeftOver' -timeout 5m ./test/scale/chain
	cd test/cluster && go test $(TESTFLAGS) ./...
	cd test/bench && go test -count=1 $(TESTFLAGS) ./...
	@# What these tests read is outside their module, where go's test cache does not look.
	cd test/bundle && go test -count=1 $(TESTFLAGS) ./...
	@$(MAKE) --no-print-directory test-conformance-http

.PHONY: test-conformance-http
test-conformance-http: $(BIN)/proxy ## h2spec against the built proxy, over plaintext and TLS
	cd test/conformance/h2spec && go test -count=1 -timeout 5m ./...

.PHONY: test-packages
test-packages: ## Install the Debian packages that tests need
	@missing=""; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else echo "missing packages; run: sudo apt-get install -y$$missing" >&2; exit 1; fi; \
	fi

.PHONY: test-tools
test-tools: $(BIN)/cluster ## Build kube-apiserver, etcd and kubectl (minutes when cold)
	$(BIN)/cluster build --only kube-apiserver,etcd,kubectl

.PHONY: e2e
e2e: ## The walkthrough on a cluster of its own, which is ended afterwards
	@status=0; $(MAKE) --no-print-directory demo NAME=$(NAME) || status=$$?; \
	if [ $$status != 0 ]; then $(CLUSTER) kubectl -n kong-istio-system logs -l app.kubernetes.io/component=manager --tail=60 || true; \
	  $(CLUSTER) kubectl -n kong-istio logs -l gateway.konghq.com/gateway=edge -c proxy --tail=60 || true; fi; \
	$(MAKE) --no-print-directory demo-down NAME=$(NAME); exit $$status

.PHONY: generate
generate: $(BIN)/controller-gen generate-wire ## Generate deep copies and the stream's messages
	$(BIN)/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: $(BIN)/controller-gen ## Generate our CRD and copy Kong's
	$(BIN)/controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	go run ./hack/kongcrds config/kong-crds

# Where the images are published; by digest in a release.
MANAGER_IMAGE ?= docker.io/kong/kong-istio-gateway-manager:$(VERSION)
PROXY_IMAGE   ?= docker.io/kong/kong-istio-gateway-proxy:$(VERSION)
BUNDLE_OUTPUT ?= .
.PHONY: bundle
bundle: $(BIN)/kustomize ## Generate the OLM bundle from config/
	$(BIN)/kustomize build config/manifests | go run ./hack/bundle -version $(VERSION) -icon config/manifests/icon.svg -output $(BUNDLE_OUTPUT) \
	  -image kong/kong-istio-gateway-manager=$(MANAGER_IMAGE) -image kong/kong-istio-gateway-proxy=$(PROXY_IMAGE)

PROTOC ?= protoc
.PHONY: generate-wire
generate-wire:
	@command -v $(PROTOC) >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq protobuf-compiler >/dev/null; \
	  else echo "protoc is missing; run: sudo apt-get install -y protobuf-compiler" >&2; exit 1; fi; }
	cd hack/tools/protoc && go build -o $(BIN)/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
	$(PROTOC) --plugin=$(BIN)/protoc-gen-go --plugin=$(BIN)/protoc-gen-go-grpc \
	  --go_out=. --go_opt=module=github.com/kong/kong-istio-gateway \
	  --go-grpc_out=. --go-grpc_opt=module=github.com/kong/kong-istio-gateway \
	  internal/configsync/wire/configsync.proto

GENERATED := api config/crd config/kong-crds internal/configsync/wire bundle bundle.Dockerfile
.PHONY: verify
verify: generate manifests bundle ## Fail when generated files or module files are stale
	go mod tidy -diff
	go -C test/cluster mod tidy -diff
	go -C test/bundle mod tidy -diff
	go -C test/bench mod tidy -diff
	go -C test/conformance/h2spec mod tidy -diff
	@stale=$$(git status --short -- $(GENERATED)); test -z "$$stale" || { echo "$$stale"; \
	  echo "generated files are stale: commit what 'make generate manifests bundle' wrote" >&2; exit 1; }

.PHONY: lint
lint: $(BIN)/golangci-lint $(BIN)/kube-api-linter ## Run the linters
	$(BIN)/golangci-lint run ./...
	$(BIN)/kube-api-linter run -c .golangci-api.yml ./api/...

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@go list ./... | while read -r p; do \
	  for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$p; done; done

.PHONY: bench
bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

# A run of everything takes 25 minutes on a quiet machine and writes docs/performance.md; with ONLY or PEERS it prints only.
BENCHFLAGS ?=
.PHONY: bench-peers
bench-peers: $(BIN)/proxy ## Measure the proxy against nginx, HAProxy, Envoy, Traefik and Caddy (ONLY=plain,tls for some sections)
	cd test/bench && $(GOBUILD) -o $(BIN)/bench .
	$(BIN)/bench -proxy $(BIN)/proxy -only '$(ONLY)' -peers '$(PEERS)' $(BENCHFLAGS) $(if $(ONLY)$(PEERS)$(BENCHFLAGS),,-output docs/performance.md)

SCALEFLAGS ?=
.PHONY: bench-scale
bench-scale: $(BIN)/manager $(BIN)/proxy test-tools ## Measure manager and proxy with 5,000 Ingresses on an API server; writes docs/scale.md
	KUBEBUILDER_ASSETS=$$($(BIN)/cluster build --only kube-apiserver,etcd,kubectl --print-assets) \
	  go run ./test/scale -manager $(BIN)/manager -proxy $(BIN)/proxy $(if $(SCALEFLAGS),$(SCALEFLAGS),-output docs/scale.md)

MINUTES ?= 30
.PHONY: soak
soak: $(BIN)/proxy ## Mixed traffic for MINUTES; fails when answers are wrong or memory grows
	go run ./test/soak -proxy $(BIN)/proxy -minutes $(MINUTES)

# Tools, each from a module of its own.
$(BIN)/controller-gen: hack/tools/controller-gen/go.mod
	go -C hack/tools/controller-gen build -trimpath -o $@ sigs.k8s.io/controller-tools/cmd/controller-gen
$(BIN)/kustomize: hack/tools/kustomize/go.mod
	go -C hack/tools/kustomize build -trimpath -o $@ sigs.k8s.io/kustomize/kustomize/v5
$(BIN)/golangci-lint: hack/tools/golangci-lint/go.mod
	go -C hack/tools/golangci-lint build -trimpath -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(BIN)/kube-api-linter: hack/tools/kube-api-linter/go.mod
	go -C hack/tools/kube-api-linter build -trimpath -o $@ sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter

# syntax=docker/dockerfile:1

# Two images from one build:
#
#   docker build --target manager --build-arg VERSION=0.1.0 -t kong/kong-istio-gateway-manager:0.1.0 .
#   docker build --target proxy   --build-arg VERSION=0.1.0 -t kong/kong-istio-gateway-proxy:0.1.0 .
#
# The programs are built with the flags that `make build` uses, so they are the same bytes as in bin/.

ARG GO_VERSION=1.26

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY internal internal
ENV CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH}
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    for program in manager proxy; do \
      go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/${program} ./cmd/${program} || exit 1; \
    done

# What both images are made of: nothing but the certificates of public authorities, for plugins and
# clients that speak TLS. The user is numeric, so that runAsNonRoot can be checked.
FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/kong/kong-istio-gateway"

FROM base AS manager
LABEL org.opencontainers.image.title="Kong Istio Gateway manager"
COPY --from=build /out/manager /manager
ENTRYPOINT ["/manager"]

FROM base AS proxy
LABEL org.opencontainers.image.title="Kong Istio Gateway proxy"
COPY --from=build /out/proxy /proxy
ENTRYPOINT ["/proxy"]

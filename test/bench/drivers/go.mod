module github.com/kong/kong-istio-gateway/test/bench/drivers

go 1.26.0

replace github.com/kong/kong-istio-gateway => ../../..

require (
	github.com/kong/kong-istio-gateway v0.0.0-00010101000000-000000000000
	github.com/valyala/fasthttp v1.71.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/andybalholm/brotli v1.2.1 // indirect
	github.com/dlclark/regexp2 v1.12.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.18.6 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

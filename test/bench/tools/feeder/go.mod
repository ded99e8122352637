module github.com/kong/kong-istio-gateway/test/bench/tools/feeder

go 1.26.0

replace (
	github.com/kong/kong-istio-gateway => ../../../..
	github.com/kong/kong-istio-gateway/test/bench => ../..
)

require (
	github.com/kong/kong-istio-gateway v0.0.0-00010101000000-000000000000
	github.com/kong/kong-istio-gateway/test/bench v0.0.0-00010101000000-000000000000
)

require (
	github.com/dlclark/regexp2 v1.12.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/grpc v1.85.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

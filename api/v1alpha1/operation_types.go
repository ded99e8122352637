// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Drain is how a proxy that is asked to stop ends its work: it reports not ready, goes on accepting
// for acceptSeconds, then accepts no more, lets what is under way end, and stops.
type Drain struct {
	// acceptSeconds is for how many seconds a stopping proxy still accepts connections, while load
	// balancers notice that it is going. 0 to 600, default 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=600
	AcceptSeconds *int32 `json:"acceptSeconds,omitempty"`

	// timeoutSeconds is for how many seconds after that requests under way may go on before they
	// are cut. 1 to 3600, default 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}

// RolloutMode is how a change of the pods reaches the fleet.
//
// +kubebuilder:validation:Enum=RollingUpdate;BlueGreen
type RolloutMode string

// Rollout modes.
const (
	// RolloutRollingUpdate replaces pods one after the other, as deployment.strategy says.
	RolloutRollingUpdate RolloutMode = "RollingUpdate"
	// RolloutBlueGreen brings up a second fleet and moves traffic to it. Not acted on yet: see
	// Unsupported.
	RolloutBlueGreen RolloutMode = "BlueGreen"
)

// Rollout is how a change of the pods reaches the fleet.
//
// +kubebuilder:validation:XValidation:rule="!has(self.blueGreen) || self.mode == 'BlueGreen'",message="blueGreen is only for mode BlueGreen; remove blueGreen or change the mode"
type Rollout struct {
	// mode is RollingUpdate (deployment.strategy) or BlueGreen. BlueGreen is declared but not acted
	// on yet: a gateway that sets it is not accepted.
	// +optional
	// +kubebuilder:default=RollingUpdate
	Mode RolloutMode `json:"mode,omitempty"`

	// progressDeadlineSeconds is after how many seconds without progress a rollout counts as
	// failed, which condition RolledOut then says. 10 to 86400, default 600.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	ProgressDeadlineSeconds int32 `json:"progressDeadlineSeconds,omitempty"`

	// blueGreen holds the settings of mode BlueGreen.
	// +optional
	BlueGreen *BlueGreen `json:"blueGreen,omitempty"`
}

// BlueGreen holds the settings of rollout mode BlueGreen.
type BlueGreen struct {
	// promotion is when traffic moves to the new fleet.
	// +optional
	// +kubebuilder:default={}
	Promotion Promotion `json:"promotion,omitzero"`
}

// PromotionMode is who decides that traffic moves to the new fleet.
//
// +kubebuilder:validation:Enum=Automatic;Manual
type PromotionMode string

// Promotion modes.
const (
	// PromotionAutomatic promotes when the new fleet is ready and was observed long enough.
	PromotionAutomatic PromotionMode = "Automatic"
	// PromotionManual waits for the user.
	PromotionManual PromotionMode = "Manual"
)

// Promotion is when traffic moves to the new fleet.
type Promotion struct {
	// mode is Automatic or Manual.
	// +optional
	// +kubebuilder:default=Automatic
	Mode PromotionMode `json:"mode,omitempty"`

	// observeSeconds is for how many seconds the new fleet is observed before it is promoted and,
	// after that, for how many seconds the old one is kept for a way back. 0 to 86400, default 60.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	ObserveSeconds *int32 `json:"observeSeconds,omitempty"`
}

// Observability is what the gateway tells about itself.
type Observability struct {
	// accessLog is the proxies' access log.
	// +optional
	// +kubebuilder:default={}
	AccessLog AccessLog `json:"accessLog,omitzero"`

	// podMonitor is whether the operator keeps a Prometheus Operator PodMonitor for the proxies.
	// +optional
	// +kubebuilder:default={}
	PodMonitor PodMonitor `json:"podMonitor,omitzero"`

	// tracing is whether the proxies record spans.
	// +optional
	// +kubebuilder:default={}
	Tracing Tracing `json:"tracing,omitzero"`
}

// AccessLogMode is where the access log goes.
//
// +kubebuilder:validation:Enum=Stdout;Disabled
type AccessLogMode string

// Access log modes.
const (
	// AccessLogStdout writes one line per request to the container's standard output.
	AccessLogStdout AccessLogMode = "Stdout"
	// AccessLogDisabled writes none.
	AccessLogDisabled AccessLogMode = "Disabled"
)

// AccessLog is the proxies' access log.
type AccessLog struct {
	// mode is Stdout (one line per request on the container's standard output, Kong's
	// proxy_access_log) or Disabled.
	// +optional
	// +kubebuilder:default=Stdout
	Mode AccessLogMode `json:"mode,omitempty"`
}

// PodMonitor is whether the operator keeps a PodMonitor for the proxies.
//
// +kubebuilder:validation:XValidation:rule="self.mode == 'Managed' || !(has(self.intervalSeconds) || has(self.labels))",message="intervalSeconds and labels are only for mode Managed; remove them or set mode: Managed"
type PodMonitor struct {
	// mode is Unmanaged (none) or Managed. Managed is declared but not acted on yet: a gateway that
	// sets it is not accepted.
	// +optional
	// +kubebuilder:default=Unmanaged
	Mode ManagementMode `json:"mode,omitempty"`

	// intervalSeconds is the time between two scrapes, in seconds. Default: Prometheus' own.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`

	// labels are set on the PodMonitor, so that a Prometheus selects it.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
}

// TracingMode is whether, and how, the proxies record spans.
//
// +kubebuilder:validation:Enum=Disabled;OpenTelemetry
type TracingMode string

// Tracing modes.
const (
	// TracingDisabled records no spans.
	TracingDisabled TracingMode = "Disabled"
	// TracingOpenTelemetry sends spans by OTLP. Not acted on yet: see Unsupported.
	TracingOpenTelemetry TracingMode = "OpenTelemetry"
)

// Tracing is whether the proxies record spans.
//
// +kubebuilder:validation:XValidation:rule="has(self.mode) && self.mode == 'OpenTelemetry' ? has(self.endpoint) : !has(self.endpoint)",message="endpoint is required with mode OpenTelemetry and has no meaning without it; set both or neither"
type Tracing struct {
	// mode is Disabled or OpenTelemetry. OpenTelemetry is declared but not acted on yet: a gateway
	// that sets it is not accepted.
	// +optional
	// +kubebuilder:default=Disabled
	Mode TracingMode `json:"mode,omitempty"`

	// endpoint is the URL of an OTLP/HTTP collector, such as http://otel.observability:4318/v1/traces.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="must be an http or https URL with a host"
	Endpoint string `json:"endpoint,omitempty"`

	// samplingPercent is how many of 100 new traces are recorded. Default 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SamplingPercent *int32 `json:"samplingPercent,omitempty"`
}

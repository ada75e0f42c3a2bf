{{- define "weir.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "weir.metadata" -}}
name: {{ include "weir.fullname" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "weir.labels" . | nindent 2 }}
{{- end }}

{{- define "weir.image" -}}
{{- $image := .root.Values.image }}
{{- $own := (index .root.Values .component).tag }}
{{- if $own }}{{ $image.repository }}:{{ $own }}
{{- else if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "weir.secretEnv" -}}
{{- if .secret.name }}
- name: {{ .variable }}
  valueFrom: {secretKeyRef: {name: {{ .secret.name }}, key: {{ .secret.key }}}}
{{- end }}
{{- end }}

{{/* What every process is told. Written into each pod, so that a change of a value starts the pods anew. */}}
{{- define "weir.env" -}}
{{- $v := .Values }}
- {name: WEIR_KAFKA_BOOTSTRAP, value: {{ required "kafka.bootstrap is required" $v.kafka.bootstrap | quote }}}
- {name: WEIR_KAFKA_SECURITY_PROTOCOL, value: {{ $v.kafka.securityProtocol }}}
{{- if hasPrefix "SASL" $v.kafka.securityProtocol }}
- {name: WEIR_KAFKA_SASL_MECHANISM, value: {{ $v.kafka.saslMechanism }}}
- {name: WEIR_KAFKA_SASL_USERNAME, value: {{ required "kafka.username is required, since kafka.securityProtocol has SASL" $v.kafka.username | quote }}}
{{- $_ := required "kafka.passwordSecret.name is required, since kafka.securityProtocol has SASL" $v.kafka.passwordSecret.name }}
{{- include "weir.secretEnv" (dict "variable" "WEIR_KAFKA_SASL_PASSWORD" "secret" $v.kafka.passwordSecret) }}
{{- end }}
{{- if $v.kafka.caSecret.name }}
- {name: WEIR_KAFKA_SSL_CA, value: /etc/weir/kafka-ca/{{ $v.kafka.caSecret.key }}}
{{- end }}
{{- with $v.kafka.certificateSecret }}{{ if .name }}
- {name: WEIR_KAFKA_SSL_CERTIFICATE, value: /etc/weir/kafka-certificate/{{ .certificate }}}
- {name: WEIR_KAFKA_SSL_KEY_FILE, value: /etc/weir/kafka-certificate/{{ .privateKey }}}
{{- end }}{{ end }}
- {name: WEIR_KAFKA_REPLICATION, value: {{ $v.kafka.replication | quote }}}
- {name: WEIR_PARTITIONS, value: {{ $v.kafka.partitions | quote }}}
- {name: WEIR_CLICKHOUSE_HOST, value: {{ required "clickhouse.host is required" $v.clickhouse.host | quote }}}
- {name: WEIR_CLICKHOUSE_PORT, value: {{ $v.clickhouse.port | quote }}}
- {name: WEIR_CLICKHOUSE_SECURE, value: {{ $v.clickhouse.secure | quote }}}
- {name: WEIR_CLICKHOUSE_DATABASE, value: {{ $v.clickhouse.database }}}
- {name: WEIR_CLICKHOUSE_USER, value: {{ $v.clickhouse.user | quote }}}
{{- include "weir.secretEnv" (dict "variable" "WEIR_CLICKHOUSE_PASSWORD" "secret" $v.clickhouse.passwordSecret) }}
{{- if $v.clickhouse.caSecret.name }}
- {name: WEIR_CLICKHOUSE_CA, value: /etc/weir/clickhouse-ca/{{ $v.clickhouse.caSecret.key }}}
{{- end }}
{{- with $v.clickhouse.certificateSecret }}{{ if .name }}
- {name: WEIR_CLICKHOUSE_CERTIFICATE, value: /etc/weir/clickhouse-certificate/{{ .certificate }}}
- {name: WEIR_CLICKHOUSE_KEY_FILE, value: /etc/weir/clickhouse-certificate/{{ .privateKey }}}
{{- end }}{{ end }}
{{- if $v.clickhouse.cluster }}
- {name: WEIR_CLICKHOUSE_CLUSTER, value: {{ $v.clickhouse.cluster | quote }}}
{{- end }}
{{- $_ := required "adminKeySecret.name is required" $v.adminKeySecret.name }}
{{- include "weir.secretEnv" (dict "variable" "WEIR_ADMIN_KEY" "secret" $v.adminKeySecret) }}
{{- include "weir.secretEnv" (dict "variable" "WEIR_WEBHOOK_KEY" "secret" $v.webhookKeySecret) }}
- {name: WEIR_DATA_DIR, value: /var/lib/weir}
- {name: WEIR_SNAPSHOT_DIR, value: /var/lib/weir/snapshots}
{{- range $name, $value := $v.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{/* Folders below /etc/weir, and the secret that each shows. */}}
{{- define "weir.files" -}}
{{- range $name, $secret := dict "kafka-ca" .Values.kafka.caSecret "kafka-certificate" .Values.kafka.certificateSecret "clickhouse-ca" .Values.clickhouse.caSecret "clickhouse-certificate" .Values.clickhouse.certificateSecret }}
{{- if $secret.name }}
{{ $name }}: {{ $secret.name }}
{{- end }}
{{- end }}
{{- end }}

{{/* A pod's specification. component; command: list; env: YAML of its own variables; port, live, ready: of its probes. */}}
{{- define "weir.pod" -}}
{{- $own := index .root.Values .component }}
enableServiceLinks: false  # else a service named weir-gateway would set WEIR_GATEWAY_PORT to tcp://…
automountServiceAccountToken: false
{{- with .root.Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
terminationGracePeriodSeconds: 30
{{- if .restart }}
restartPolicy: {{ .restart }}
{{- else }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "weir.selector" . | nindent 8 }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "weir.image" . }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: {{ .command | toJson }}
    env:
      {{- include "weir.env" .root | nindent 6 }}
      {{- with .env }}
      {{- . | nindent 6 }}
      {{- end }}
    {{- if .port }}
    ports:
      - {name: http, containerPort: {{ .port }}}
    startupProbe:
      httpGet: {path: {{ .live }}, port: http}
      periodSeconds: 2
      failureThreshold: 150
    livenessProbe:  # whether the process answers; never whether Kafka does, since a restart mends no Kafka
      httpGet: {path: {{ .live }}, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 2
    {{- end }}
    {{- if .serves }}
    lifecycle:
      preStop: {exec: {command: [sleep, "5"]}}  # until no balancer sends anything here any more
    {{- end }}
    resources:
      {{- toYaml $own.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: data, mountPath: /var/lib/weir}
      - {name: tmp, mountPath: /tmp}
      {{- range $name, $secret := include "weir.files" .root | fromYaml }}
      - {name: {{ $name }}, mountPath: /etc/weir/{{ $name }}, readOnly: true}
      {{- end }}
volumes:
  - name: data
    emptyDir: {sizeLimit: {{ .root.Values.snapshots.sizeLimit }}}
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- range $name, $secret := include "weir.files" .root | fromYaml }}
  - name: {{ $name }}
    secret: {secretName: {{ $secret }}, defaultMode: 0440}
  {{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels and annotations of a pod; port: where Prometheus finds /metrics. */}}
{{- define "weir.podMetadata" -}}
labels:
  {{- include "weir.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- if .port }}
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ .port | quote }}
  prometheus.io/path: /metrics
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

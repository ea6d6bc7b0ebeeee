{{/* Names. A release called rds-csi gives the names that deploy/rbac and deploy/kustomize have. */}}
{{- define "rds-csi.name" -}}
{{- if contains "rds-csi" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-rds-csi" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects the pods of a role: never changes, or upgrades fail. (list . "controller") */}}
{{- define "rds-csi.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: rds-csi
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* An image by digest where there is one, else by tag. (dict "repository" … "tag" … "digest" …) */}}
{{- define "rds-csi.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{- define "rds-csi.driverImage" -}}
{{- $image := .Values.image -}}
{{- include "rds-csi.image" (dict "repository" $image.repository "tag" ($image.tag | default .Chart.AppVersion) "digest" $image.digest) -}}
{{- end }}

{{/* (list . "provisioner") */}}
{{- define "rds-csi.sidecarImage" -}}
{{- $sidecars := (index . 0).Values.sidecars -}}
{{- $one := index $sidecars (index . 1) -}}
{{- $repository := $one.image -}}
{{- if $sidecars.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" $sidecars.registry) $one.image }}{{ end -}}
{{- include "rds-csi.image" (dict "repository" $repository "tag" $one.tag "digest" $one.digest) -}}
{{- end }}

{{/* A flag that was set; what is empty is left to the driver's own default. (list "fence-settle" .Values…) */}}
{{- define "rds-csi.flag" -}}
{{- $value := index . 1 -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- {{ printf "--%s=%v" (index . 0) $value | quote }}
{{- end }}
{{- end }}

{{/* Flags that both roles have. */}}
{{- define "rds-csi.commonFlags" -}}
- --endpoint=unix:///csi/csi.sock
- --driver-name={{ .Values.driverName }}
- {{ printf "--metrics-address=%s:%v" .Values.metrics.address .Values.metrics.port | quote }}
- --log-format={{ .Values.log.format }}
- {{ printf "--log-level=%s" .Values.log.level | quote }}
{{- include "rds-csi.flag" (list "nqn-prefix" .Values.nqnPrefix) }}
{{- end }}

{{- define "rds-csi.ownCommonFlags" -}}
--endpoint
--driver-name
--metrics-address
--log-format
--log-level
--nqn-prefix
{{- end }}

{{/* Which pod this is: Events are posted in its name. */}}
{{- define "rds-csi.podEnvironment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end }}

{{/* Health on the driver's own port: a standby, and a leader whose device is down, are ready, so that rollouts end. */}}
{{- define "rds-csi.probes" -}}
ports:
  - name: metrics
    containerPort: {{ .Values.metrics.port }}
# What the process before it left behind is looked at first; killed in that, it would only begin again.
startupProbe:
  httpGet: {path: /livez, port: metrics}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /livez, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* What Pod Security calls restricted. */}}
{{- define "rds-csi.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The port of the device's management. */}}
{{- define "rds-csi.devicePort" -}}
{{- $host := regexReplaceAll "^[a-z]+://" .Values.device.address "" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- if $port }}{{ $port }}{{ else if hasPrefix "http://" .Values.device.address }}80{{ else }}443{{ end }}
{{- end }}

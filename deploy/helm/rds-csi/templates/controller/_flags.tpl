{{/* The controller's flags, from the values that are set. */}}
{{- define "rds-csi.controllerFlags" -}}
{{- include "rds-csi.commonFlags" . }}
{{- include "rds-csi.flag" (list "cluster-id" .Values.clusterId) }}
{{- include "rds-csi.deviceFlags" . }}
{{- include "rds-csi.flag" (list "max-volume-size" .Values.volumes.maxSize) }}
{{- include "rds-csi.flag" (list "pool-reserve" .Values.volumes.poolReserve) }}
{{- include "rds-csi.flag" (list "fencing" .Values.fencing.mode) }}
{{- include "rds-csi.flag" (list "fence-settle" .Values.fencing.settle) }}
{{- include "rds-csi.flag" (list "attachment-grace-period" .Values.attachments.gracePeriod) }}
{{- include "rds-csi.flag" (list "attachment-reconcile-interval" .Values.attachments.reconcileInterval) }}
{{- if .Values.attachments.rwxPlainPods }}
- --rwx-plain-pods
{{- end }}
{{- include "rds-csi.flag" (list "pods-unreadable" .Values.attachments.podsUnreadable) }}
{{- include "rds-csi.flag" (list "lease-duration" .Values.controller.leaseDuration) }}
{{- end }}

{{/* Those flags, set or not, which extraArgs may not give again. */}}
{{- define "rds-csi.ownControllerFlags" -}}
{{- include "rds-csi.ownCommonFlags" . }}
--cluster-id
--address
--user-file
--password-file
--ca-file
--tls-fingerprint
--tls-insecure
--nvme-address
--base-path
--device
--max-in-flight
--poll-interval
--figures-interval
--max-volume-size
--pool-reserve
--fencing
--fence-settle
--attachment-grace-period
--attachment-reconcile-interval
--rwx-plain-pods
--pods-unreadable
--lease-duration
{{- end }}

{{- define "rds-csi.deviceFlags" -}}
{{- $device := .Values.device }}
- {{ printf "--address=%s" $device.address | quote }}
- {{ printf "--user-file=/etc/rds-csi/credentials/%s" $device.credentials.userKey | quote }}
- {{ printf "--password-file=/etc/rds-csi/credentials/%s" $device.credentials.passwordKey | quote }}
{{- if $device.tls.caSecretName }}
- {{ printf "--ca-file=/etc/rds-csi/ca/%s" $device.tls.caKey | quote }}
{{- end }}
{{- include "rds-csi.flag" (list "tls-fingerprint" $device.tls.fingerprint) }}
{{- if $device.tls.insecure }}
- --tls-insecure
{{- end }}
- {{ printf "--nvme-address=%s" $device.dataAddress | quote }}
{{- range $device.basePaths }}
- {{ printf "--base-path=%s" . | quote }}
{{- end }}
{{- range $name, $value := $device.facts }}
- {{ printf "--device=%s=%s" $name $value | quote }}
{{- end }}
{{- include "rds-csi.flag" (list "max-in-flight" $device.maxInFlight) }}
{{- include "rds-csi.flag" (list "poll-interval" $device.pollInterval) }}
{{- include "rds-csi.flag" (list "figures-interval" $device.figuresInterval) }}
{{- end }}

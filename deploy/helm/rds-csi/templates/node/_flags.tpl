{{- define "rds-csi.kubeletDir" -}}
{{- trimSuffix "/" .Values.kubeletDir -}}
{{- end }}

{{/* The driver's own directory on the node, where the kubelet looks for its socket. */}}
{{- define "rds-csi.ownDir" -}}
{{- printf "%s/plugins/%s" (include "rds-csi.kubeletDir" .) .Values.driverName -}}
{{- end }}

{{/* The node's flags. It registers itself: its socket goes by the path that the kubelet, outside, has for it. */}}
{{- define "rds-csi.nodeFlags" -}}
{{- include "rds-csi.commonFlags" . }}
- --kubelet-dir={{ include "rds-csi.kubeletDir" . }}
- --registration-socket=/registration/{{ .Values.driverName }}-reg.sock
- --registered-endpoint={{ include "rds-csi.ownDir" . }}/csi.sock
- --helper-cgroup=/sys/fs/cgroup/{{ .Values.driverName }}-helpers
{{- include "rds-csi.flag" (list "cluster-id" .Values.clusterId) }}
{{- include "rds-csi.flag" (list "max-volumes" .Values.node.maxVolumes) }}
{{- end }}

{{/* Those flags, set or not, which extraArgs may not give again. */}}
{{- define "rds-csi.ownNodeFlags" -}}
{{- include "rds-csi.ownCommonFlags" . }}
--kubelet-dir
--registration-socket
--registered-endpoint
--helper-cgroup
--cluster-id
--max-volumes
{{- end }}

{{/* A sidecar's container. None has a kubelet probe: beside a standby it waits at the driver's Probe for as long as that
     takes, and serves nothing yet. None has an election: the driver's Lease is the only one. (list . "provisioner") */}}
{{- define "rds-csi.sidecar" -}}
{{- $root := index . 0 -}}{{- $which := index . 1 -}}
{{- $one := index $root.Values.sidecars $which -}}
- name: csi-{{ $which }}
  image: {{ include "rds-csi.sidecarImage" . }}
  imagePullPolicy: {{ $root.Values.sidecars.pullPolicy }}
  terminationMessagePolicy: FallbackToLogsOnError
  args:
    - --csi-address=/csi/csi.sock
    - --leader-election=false
    - --timeout={{ $root.Values.sidecars.timeout }}
    {{- /* Five requests a second, their default, would be what a drained node with many volumes waits for. */}}
    - --kube-api-qps=20
    - --kube-api-burst=100
    {{- /* Five minutes, their default, would be added to every outage of the device. */}}
    - --retry-interval-max=30s
    - --v={{ $root.Values.sidecars.logLevel }}
    {{- include (printf "rds-csi.flagsOf.%s" $which) $root | nindent 4 }}
    {{- range $one.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  {{- if eq $which "provisioner" }}
  env:
    - name: NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    - name: POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
  {{- end }}
  securityContext:
    {{- include "rds-csi.restricted" $root | nindent 4 }}
  resources: {{ toJson $one.resources }}
  volumeMounts:
    - {name: socket, mountPath: /csi}
{{- end }}

{{/* What is set here, a flag a line. (list . "provisioner") */}}
{{- define "rds-csi.ownSidecarFlags" -}}
--csi-address
--leader-election
--timeout
--kube-api-qps
--kube-api-burst
--retry-interval-max
--v
{{ regexReplaceAll "(?m)(=.*| *#.*|^- )" (include (printf "rds-csi.flagsOf.%s" (index . 1)) (index . 0)) "" }}
{{- end }}

{{- define "rds-csi.flagsOf.provisioner" -}}
# The claim's name and namespace: Events need them before there is a PV.
- --extra-create-metadata
- --default-fstype=ext4
# The pools' room as CSIStorageCapacity objects, owned by the Deployment (pod, ReplicaSet, Deployment).
- --enable-capacity
- --capacity-ownerref-level=2
- --capacity-for-immediate-binding
{{- end }}

{{- define "rds-csi.flagsOf.attacher" -}}
- --default-fstype=ext4
{{- end }}

{{- define "rds-csi.flagsOf.resizer" -}}
# It would watch all pods of the cluster to learn when a volume is free; a retry tells as well.
- --handle-volume-inuse-error=false
{{- end }}

{{/* What the schema cannot say: values that contradict each other, and what the cluster must have. All of it at once,
     each with what to do. Messages are lines of a text, since a template can answer nothing else. */}}
{{- define "rds-csi.problems" -}}
{{- include "rds-csi.missing" . }}
{{- include "rds-csi.tlsProblems" . }}
{{- include "rds-csi.sizeProblems" . }}
{{- include "rds-csi.fencingProblems" . }}
{{- include "rds-csi.podProblems" . }}
{{- include "rds-csi.classProblems" . }}
{{- include "rds-csi.flagProblems" (list "controller.extraArgs" .Values.controller.extraArgs (include "rds-csi.ownControllerFlags" .)) }}
{{- include "rds-csi.flagProblems" (list "node.extraArgs" .Values.node.extraArgs (include "rds-csi.ownNodeFlags" .)) }}
{{- include "rds-csi.electionProblems" . }}
{{- include "rds-csi.addressProblems" . }}
{{- include "rds-csi.labelProblems" . }}
{{- include "rds-csi.clusterProblems" . }}
{{- end }}

{{- define "rds-csi.missing" -}}
{{- $device := .Values.device -}}
{{- if not .Values.image.repository }}
- image.repository is not set: give the registry and name under which you keep the driver's image (`cargo xtask image` builds it)
{{- end }}
{{- if kindIs "invalid" .Values.sidecars.registry }}
- sidecars.registry is not set: give the registry, and the path in it, that your cluster pulls csi-provisioner, csi-attacher and csi-resizer from; "" where the nodes have these images under their bare names
{{- end }}
{{- if not $device.address }}
- device.address is not set: give the device's management address, https://host[:port]
{{- end }}
{{- if not $device.dataAddress }}
- device.dataAddress is not set: give host[:port] where the nodes reach the device by NVMe/TCP
{{- end }}
{{- if not $device.basePaths }}
- device.basePaths is not set: give at least one directory for images on the device, as in [/raid10/csi]
{{- end }}
{{- if not $device.credentials.secretName }}
- device.credentials.secretName is not set: {{ include "rds-csi.makeCredentials" (list . "NAME") }}
{{- end }}
{{- range $which := list "provisioner" "attacher" "resizer" }}
{{- $one := index $.Values.sidecars $which -}}
{{- if not (or $one.tag $one.digest) }}
- sidecars.{{ $which }} has neither a tag nor a digest: leave it the chart's tag, with which everything is tested, or give one
{{- end }}
{{- end }}
{{- end }}

{{- define "rds-csi.makeCredentials" -}}
{{- $root := index . 0 -}}{{- $keys := $root.Values.device.credentials -}}
make it with `kubectl -n {{ $root.Release.Namespace }} create secret generic {{ index . 1 }} --from-literal={{ $keys.userKey }}=… --from-file={{ $keys.passwordKey }}=FILE`
{{- end }}

{{- define "rds-csi.tlsProblems" -}}
{{- $tls := .Values.device.tls -}}
{{- $said := 0 -}}
{{- range list $tls.caSecretName $tls.fingerprint $tls.insecure }}{{ if . }}{{ $said = add1 $said }}{{ end }}{{ end -}}
{{- if ne (int $said) 1 }}
- device.tls says {{ if $said }}{{ $said }} ways{{ else }}no way{{ end }} to check the device's certificate: set exactly one of caSecretName, fingerprint and insecure
{{- end }}
{{- if and (hasPrefix "http://" (.Values.device.address | default "")) (not $tls.insecure) }}
- device.address is http://, which sends the password in clear: use https://, or set device.tls.insecure if you mean it
{{- end }}
{{- end }}

{{/* Less than the smallest volume, or more than is a number to the driver, which ends with either. */}}
{{- define "rds-csi.sizeProblems" -}}
{{- with .Values.volumes.maxSize }}
{{- $units := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $bytes := mulf (regexFind "^[0-9]+" .) (get $units (regexFind "[KMGT]i$" .)) -}}
{{- if lt $bytes 16777216.0 }}
- volumes.maxSize is {{ . }}, and the smallest volume has 16Mi: give that or more, or leave it empty for 16Ti
{{- else if ge $bytes 18446744073709551616.0 }}
- volumes.maxSize is {{ . }}, which is more bytes than 64 bits hold: give less, or leave it empty for 16Ti
{{- end }}
{{- end }}
{{- end }}

{{- define "rds-csi.fencingProblems" -}}
{{- $fencing := .Values.fencing -}}
{{- $settle := $fencing.settle | default "" -}}
{{- $hasty := regexMatch "^0+(ms|s|m)$" $settle -}}
{{- $drains := eq (dig "unexport" "early" .Values.device.facts) "drains" -}}
{{- if and $hasty (not $drains) }}
- fencing.settle is 0: late writes of the old node would land in the new one's data. Give a time, or device.facts.unexport=drains where that was seen of the device
{{- end }}
{{- if and $settle (not $hasty) $drains }}
- fencing.settle is {{ $settle }} and device.facts.unexport is drains, after which nothing is waited for: remove fencing.settle, or the fact if that was not seen of the device
{{- end }}
{{- if and (eq $fencing.mode "off") $settle }}
- fencing.mode is off and fencing.settle is set: without a fence nothing settles. Remove one of them
{{- end }}
{{- if and (hasKey .Values.device.facts "allow-list") (ne $fencing.mode "host-nqn") }}
- device.facts.allow-list is set and fencing.mode is {{ $fencing.mode | default "generation" }}: only host-nqn uses the list. Set fencing.mode=host-nqn, or remove the fact
{{- end }}
{{- end }}

{{- define "rds-csi.podProblems" -}}
{{- $attachments := .Values.attachments -}}
{{- if and $attachments.rwxPlainPods (not .Values.rbac.readPods) (ne $attachments.podsUnreadable "allow") }}
- attachments.rwxPlainPods is set and rbac.readPods is false: whose pods they are is not seen, so every second node is refused. Set rbac.readPods, or attachments.podsUnreadable=allow
{{- end }}
{{- if and (not .Values.rbac.readPods) (not $attachments.podsUnreadable) }}
{{- range .Values.storageClasses }}
{{- if eq (.accessMode | default "") "ReadWriteMany" }}
- storageClasses: {{ .name }} is ReadWriteMany and rbac.readPods is false: whose pods ask is not seen, so every second node is refused and no virtual machine migrates. Set rbac.readPods; or attachments.podsUnreadable=refuse where no machine migrates, allow where any two nodes may share a disk
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rds-csi.classProblems" -}}
{{- $names := list -}}{{- $defaults := list -}}{{- $basePaths := list -}}
{{- /* As the driver compares them. */ -}}
{{- range .Values.device.basePaths }}{{ $basePaths = append $basePaths (trimSuffix "/" .) }}{{ end -}}
{{- range .Values.storageClasses }}
{{- $class := .name -}}
{{- $shared := eq (.accessMode | default "") "ReadWriteMany" -}}
{{- if has .name $names }}
- storageClasses: {{ .name }} is there twice
{{- end }}
{{- if and $shared (ne (.volumeMode | default "") "Block") }}
- storageClasses: {{ .name }} is ReadWriteMany, which is served for raw block only: set volumeMode: Block{{ if .fsType }} and remove fsType{{ end }}
{{- else if and .fsType (eq (.volumeMode | default "") "Block") }}
- storageClasses: {{ .name }} has fsType {{ .fsType }} and volumeMode Block: remove one of them
{{- end }}
{{- if and .mountOptions (eq (.volumeMode | default "") "Block") }}
- storageClasses: {{ .name }} has mountOptions and volumeMode Block: remove one of them
{{- end }}
{{- if and (hasKey (.parameters | default dict) "migrationTimeoutSeconds") (not $shared) }}
- storageClasses: {{ .name }} has migrationTimeoutSeconds, which is for virtual machines that migrate: set accessMode: ReadWriteMany and volumeMode: Block, or remove it
{{- end }}
{{- with .parameters | default dict }}
{{- $lost := dig "ctrlLossTmo" 1800 . | int -}}
{{- if and (hasKey . "fastIoFailTmo") (ge $lost 0) (gt (int .fastIoFailTmo) $lost) }}
- storageClasses: {{ $class }} has fastIoFailTmo {{ .fastIoFailTmo }}, more than ctrlLossTmo ({{ $lost }}), after which the path is given up and I/O fails anyway: give less, or remove it, and the class a new name if it is there already
{{- end }}
{{- end }}
{{- with (.parameters | default dict).volumePath }}
{{- if not (has (trimSuffix "/" .) $basePaths) }}
- storageClasses: {{ $class }} has volumePath {{ . }}, below which this controller makes no images: add it to device.basePaths, or take one of those ({{ join ", " $basePaths }})
{{- end }}
{{- end }}
{{- $names = append $names .name -}}
{{- if .default }}{{ $defaults = append $defaults .name }}{{ end -}}
{{- end }}
{{- if gt (len $defaults) 1 }}
- storageClasses: {{ join " and " $defaults }} are both default: a cluster has one
{{- end }}
{{- end }}

{{/* A flag twice is one that the driver ends at, and what a flag says no check here sees. (list WHERE FURTHER OWN) */}}
{{- define "rds-csi.flagProblems" -}}
{{- $where := index . 0 -}}{{- $own := index . 2 -}}
{{- range index . 1 }}
{{- $flag := regexFind "^--[a-z-]+" . -}}
{{- if has $flag (splitList "\n" $own) }}
- {{ $where }}: {{ $flag }} is set by this chart: set its value instead, if it has one
{{- end }}
{{- end }}
{{- end }}

{{/* A key twice: which of both holds is nobody's choice, and without its own the chart's selectors find nothing. */}}
{{- define "rds-csi.labelProblems" -}}
{{- $own := include "rds-csi.selector" (list . "") | fromYaml | keys | sortAlpha -}}
{{- $given := dict "controller.podLabels" .Values.controller.podLabels "node.podLabels" .Values.node.podLabels "metrics.podMonitors.labels" .Values.metrics.podMonitors.labels -}}
{{- range $where, $labels := $given }}
{{- range $own }}
{{- if hasKey ($labels | default dict) . }}
- {{ $where }}: {{ . }} is the chart's own, by which it finds what it made: remove it
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Elections that the chart's own would be at odds with, or none at all, of which two controllers would write at once. */}}
{{- define "rds-csi.electionProblems" -}}
{{- range $where, $flags := dict "controller.extraArgs" .Values.controller.extraArgs "node.extraArgs" .Values.node.extraArgs }}
{{- range $flags }}
{{- if and (regexMatch "^--lease-name(space)?(=|$)" .) (ne . (printf "--lease-namespace=%s" $.Release.Namespace)) }}
- {{ $where }}: {{ regexFind "^--[a-z-]+" . }} would need a right that the chart does not give, whose Role names the Lease {{ $.Values.driverName }} in this namespace: remove it
{{- else if regexMatch "^--(kubernetes|kubeconfig|pod-[a-z]+)(=|$)" . }}
- {{ $where }}: {{ regexFind "^--[a-z-]+" . }} is for a driver outside of a cluster: here it would lead without an election, or be taken for another pod. Remove it
{{- end }}
{{- end }}
{{- end }}
{{- range $which := list "provisioner" "attacher" "resizer" }}
{{- $own := include "rds-csi.ownSidecarFlags" (list $ $which) -}}
{{- range (index $.Values.sidecars $which).extraArgs }}
{{- if hasPrefix "--leader-election" . }}
- sidecars.{{ $which }}.extraArgs: {{ . }} would have a sidecar wait for an election of its own, beside a driver that leads: the driver's Lease is the only one, remove it
{{- else if has (regexFind "^--[a-z0-9-]+" .) (splitList "\n" $own) }}
- sidecars.{{ $which }}.extraArgs: {{ regexFind "^--[a-z0-9-]+" . }} is set by this chart, and what it says the driver and its rights go by: remove it
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rds-csi.addressProblems" -}}
{{- if regexMatch "^(127\\.|\\[(0{0,4}:)+:?0{0,3}1\\]$)" .Values.metrics.address }}
- metrics.address is {{ .Values.metrics.address }}, and kubelets ask the pod's address for its health: each pod would be killed again and again. Leave it 0.0.0.0, or [::] where pods have IPv6 only
{{- end }}
{{- end }}

{{- define "rds-csi.clusterProblems" -}}
{{- if and .Values.metrics.podMonitors.enabled (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor")) }}
- metrics.podMonitors.enabled, but this cluster has no PodMonitor: install the CRDs of the Prometheus operator first, or leave it off (`helm template` asks no cluster: add --api-versions monitoring.coreos.com/v1/PodMonitor)
{{- end }}
{{- /* Nothing is found where no cluster can be asked, not even what every cluster has. */ -}}
{{- if and .Values.checkSecrets (lookup "v1" "Namespace" "" "kube-system") }}
{{- include "rds-csi.namespaceProblem" . }}
{{- /* Later it could not be followed: another id makes a stranger of every volume that there is. */ -}}
{{- if .Release.IsInstall }}
{{- include "rds-csi.releaseProblems" . }}
{{- end }}
{{- include "rds-csi.identityProblems" . }}
{{- $keys := .Values.device.credentials -}}
{{- with $keys.secretName }}
{{- include "rds-csi.secretProblem" (list $ . (list $keys.userKey $keys.passwordKey) (include "rds-csi.makeCredentials" (list $ .))) }}
{{- end }}
{{- with .Values.device.tls.caSecretName }}
{{- $key := $.Values.device.tls.caKey -}}
{{- include "rds-csi.secretProblem" (list $ . (list $key) (printf "make it with `kubectl -n %s create secret generic %s --from-file=%s=FILE`" $.Release.Namespace . $key)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Node pods mount, so that they are privileged. Without the label the cluster's own default holds, which cannot be read. */}}
{{- define "rds-csi.namespaceProblem" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace -}}
{{- $level := dig "metadata" "labels" "pod-security.kubernetes.io/enforce" "privileged" ($namespace | default dict) -}}
{{- if ne $level "privileged" }}
- the namespace {{ .Release.Namespace }} enforces the Pod Security level {{ $level }}, so that no node would get the driver: `kubectl label --overwrite namespace {{ .Release.Namespace }} pod-security.kubernetes.io/enforce=privileged`, or install it into a namespace of its own
{{- end }}
{{- end }}

{{/* Two releases with one id: each takes the other's volumes and connections for its own that nobody wants, and ends them. */}}
{{- define "rds-csi.releaseProblems" -}}
{{- $mine := printf "--cluster-id=%s" .Values.clusterId -}}
{{- range (lookup "apps/v1" "Deployment" "" "").items }}
{{- $labels := .metadata.labels | default dict -}}
{{- $isOther := or (ne .metadata.namespace $.Release.Namespace) (ne (get $labels "app.kubernetes.io/instance") $.Release.Name) -}}
{{- if and $isOther (eq (get $labels "app.kubernetes.io/name") "rds-csi") (eq (get $labels "app.kubernetes.io/component") "controller") }}
{{- $theirs := "--cluster-id=" -}}
{{- range .spec.template.spec.containers }}{{ range .args }}{{ if hasPrefix "--cluster-id=" . }}{{ $theirs = . }}{{ end }}{{ end }}{{ end -}}
{{- if eq $mine $theirs }}
- the release {{ get $labels "app.kubernetes.io/instance" }} in the namespace {{ .metadata.namespace }} has the same clusterId: each would end the other's exports and connections. Set another one here; never of a release that has volumes (docs/operations.md, two devices)
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What volumes, connections and mounts go by, against the nodes that are installed: with another name, id or prefix they would
     be nobody's, and with another directory nobody would find them. */}}
{{- define "rds-csi.identityProblems" -}}
{{- $installed := lookup "apps/v1" "DaemonSet" .Release.Namespace (printf "%s-node" (include "rds-csi.name" .)) -}}
{{- $theirs := list -}}
{{- range dig "spec" "template" "spec" "containers" list $installed }}{{ if eq .name "rds-csi" }}{{ $theirs = .args }}{{ end }}{{ end -}}
{{- if $theirs }}
{{- $mine := include "rds-csi.nodeFlags" . | fromYamlArray -}}
{{- $unset := dict "cluster-id" (lookup "v1" "Namespace" "" "kube-system").metadata.uid "nqn-prefix" "nqn.2000-02.com.mikrotik" -}}
{{- $values := dict "driver-name" "driverName" "cluster-id" "clusterId" "nqn-prefix" "nqnPrefix" "kubelet-dir" "kubeletDir" -}}
{{- range $flag, $value := $values }}
{{- $was := include "rds-csi.flagIn" (list $theirs $flag $unset) -}}
{{- $willBe := include "rds-csi.flagIn" (list $mine $flag $unset) -}}
{{- if ne $was $willBe }}
- {{ $value }} is {{ $was }} and would become {{ $willBe }}, and the volumes that there are would be nobody's: set it as it was. Where there are none, `helm uninstall` first, then install
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* (list FLAGS NAME UNSET): what it says, or what holds where it is not there. */}}
{{- define "rds-csi.flagIn" -}}
{{- $said := get (index . 2) (index . 1) -}}
{{- $start := printf "--%s=" (index . 1) -}}
{{- range index . 0 }}{{ if hasPrefix $start . }}{{ $said = trimPrefix $start . }}{{ end }}{{ end -}}
{{- $said -}}
{{- end }}

{{/* (list . NAME KEYS what-to-do) */}}
{{- define "rds-csi.secretProblem" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $remedy := index . 3 -}}
{{- $secret := lookup "v1" "Secret" $root.Release.Namespace $name -}}
{{- if not $secret }}
- there is no Secret {{ $name }} in the namespace {{ $root.Release.Namespace }}: {{ $remedy }}
{{- else }}
{{- range index . 2 }}
{{- if not (index ($secret.data | default dict) .) }}
- the Secret {{ $name }} has no key {{ . }}: add it, or say which key it is
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A version as the value of a label or a tag: build metadata begins with a +, which neither may have. */}}
{{- define "enxame.version" -}}
{{ . | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end }}

{{/* Labels of every object; the argument is a dict of root and component. */}}
{{- define "enxame.labels" -}}
{{ include "enxame.selector" . }}
app.kubernetes.io/part-of: enxame
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ include "enxame.version" .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ include "enxame.version" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) }}
{{- end }}

{{/*
Labels of the Pods of a component, without versions: a label that changes with the chart would replace all Pods at
every upgrade. Those of the values (podLabels) come on top, but for the ones by which the Pods are found.
*/}}
{{- define "enxame.podLabels" -}}
{{- $values := index .root.Values .component -}}
{{- $selector := include "enxame.selector" . | fromYaml -}}
{{- $given := $values.podLabels | default dict -}}
{{- range $name, $value := $given -}}
{{- if and (hasKey $selector $name) (ne $value (get $selector $name)) -}}
{{- fail (printf "%s.podLabels sets %s to %s; by that label the Pods are found, and it must be left out" $.component $name $value) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "app.kubernetes.io/part-of" "enxame" "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- merge (dict) $selector $given $own | toYaml -}}
{{- end }}

{{/* The nodes of a component; the argument is its nodeSelector. */}}
{{- define "enxame.nodeSelector" -}}
{{- merge (dict) . (dict "kubernetes.io/os" "linux") | toYaml -}}
{{- end }}

{{/* Labels that select the Pods of a component. */}}
{{- define "enxame.selector" -}}
app.kubernetes.io/name: enxame
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "enxame.image" -}}
{{- $repository := .Values.image.repository -}}
{{- if not $repository -}}
{{- fail "image.repository is not set: push the image to a registry of yours (npm run image -- --push REGISTRY/NAME:TAG) and name it by --set image.repository=REGISTRY/NAME" -}}
{{- end -}}
{{- if or (contains "@" $repository) (contains ":" (last (splitList "/" $repository))) -}}
{{- fail (printf "image.repository is %s: it must be without tag and digest, which go to image.tag and image.digest" $repository) -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" $repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" $repository (.Values.image.tag | default (include "enxame.version" .Chart.AppVersion)) }}
{{- end -}}
{{- end }}

{{/* Ends an installation into a namespace in which the agents could never run. */}}
{{- define "enxame.requirePrivilegedNamespace" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace | default dict -}}
{{- $enforced := dig "metadata" "labels" "pod-security.kubernetes.io/enforce" "privileged" $namespace -}}
{{- if ne $enforced "privileged" -}}
{{- fail (printf "namespace %s enforces Pod Security %s, and the agents mount a host path: kubectl label namespace %s pod-security.kubernetes.io/enforce=privileged --overwrite" .Release.Namespace $enforced .Release.Namespace) -}}
{{- end -}}
{{- end }}

{{/* User names of our service accounts, as the API server sees them. */}}
{{- define "enxame.user" -}}
{{ printf "system:serviceaccount:%s:enxame-%s" .root.Release.Namespace .component }}
{{- end }}

{{/* Environment that operator and agent have in common. */}}
{{- define "enxame.podEnvironment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: ENXAME_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: ENXAME_CONTENT_ROOT
  value: {{ .Values.contentRoot | quote }}
{{- end }}

{{/* Names of all trackers that there can be: as many as tracker.replicas allows. */}}
{{- define "enxame.trackerNames" -}}
{{- range $index := until 16 }}
- enxame-tracker-{{ $index }}
{{- end }}
{{- end }}

{{/* Where trackers may run, as JSON for the operator. */}}
{{- define "enxame.trackerScheduling" -}}
{{- $scheduling := dict -}}
{{- with .Values.tracker.nodeSelector }}{{ $_ := set $scheduling "nodeSelector" . }}{{ end -}}
{{- with .Values.tracker.tolerations }}{{ $_ := set $scheduling "tolerations" . }}{{ end -}}
{{- with .Values.tracker.priorityClassName }}{{ $_ := set $scheduling "priorityClassName" . }}{{ end -}}
{{ toJson $scheduling }}
{{- end }}

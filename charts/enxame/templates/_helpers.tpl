{{/* Labels of every object; the argument is a dict of root and component. */}}
{{- define "enxame.labels" -}}
{{ include "enxame.selector" . }}
app.kubernetes.io/part-of: enxame
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Labels that select the Pods of a component. */}}
{{- define "enxame.selector" -}}
app.kubernetes.io/name: enxame
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "enxame.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
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

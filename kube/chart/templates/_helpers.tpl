{{/* The text of a file of kube/, as this release has it. */}}
{{- define "raftzmq.file" -}}
{{- $binding := printf "namespace: %s # of the release" .root.Release.Namespace -}}
{{- .root.Files.Get .name | replace "managed-by: kustomize" "managed-by: Helm" | replace "namespace: default" $binding -}}
{{- end -}}

{{- define "raftzmq.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

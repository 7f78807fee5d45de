{{/* The text of a file of kube/, as this release has it. */}}
{{- define "raftzmq.file" -}}
{{- $binding := printf "namespace: %s # of the release" .root.Release.Namespace -}}
{{- .root.Files.Get .name | replace "managed-by: kustomize" "managed-by: Helm" | replace "namespace: default" $binding -}}
{{- end -}}

{{- define "raftzmq.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* The first containers that give a pod's volumes away, of a file of components/root-owned-volumes.
     `fromYaml` makes objects only, so they are under a name. */}}
{{- define "raftzmq.owners" -}}
{{- $patch := .root.Files.Get (printf "components/root-owned-volumes/%s.yaml" .name) | fromYaml }}
{{- $template := (dig "jobTemplate" "spec" $patch.spec $patch.spec).template }}
{{- $owners := $template.spec.initContainers }}
{{- range $owners }}{{- $_ := set . "image" (include "raftzmq.image" $.root) }}{{- end }}
{{- dict "owners" $owners | toYaml -}}
{{- end -}}

{{- define "kaskad.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kaskad.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kaskad.labels" -}}
{{ include "kaskad.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "kaskad.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{- define "kaskad.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "kaskad.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* The configuration as keys of a ConfigMap; a key cannot have a slash, so folders are joined with two underscores. */}}
{{- define "kaskad.configData" -}}
kaskad.yaml: |
{{ .Values.config.kaskad | trim | indent 2 }}
{{- with .Values.config.governance }}
governance.yaml: |
{{ . | trim | indent 2 }}
{{- end }}
{{- range $file, $text := .Values.config.policies }}
policies__{{ $file }}: {{ $text | toJson }}
{{- end }}
{{- range $template, $files := .Values.config.templates }}
{{- range $file, $text := $files }}
templates__{{ $template }}__{{ $file }}: {{ $text | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The same ConfigMap as the folders that it was made of. */}}
{{- define "kaskad.configItems" -}}
- {key: kaskad.yaml, path: config/kaskad.yaml}
{{- if .Values.config.governance }}
- {key: governance.yaml, path: config/governance.yaml}
{{- end }}
{{- range $file, $text := .Values.config.policies }}
- {key: "policies__{{ $file }}", path: "config/policies/{{ $file }}"}
{{- end }}
{{- range $template, $files := .Values.config.templates }}
{{- range $file, $text := $files }}
- {key: "templates__{{ $template }}__{{ $file }}", path: "templates/{{ $template }}/{{ $file }}"}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the service's pods and the migration's have in common. */}}
{{- define "kaskad.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "kaskad.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "kaskad.env" -}}
env:
  - name: KASKAD_CONFIG
    value: {{ if .Values.config.fromImage }}/opt/kaskad/config/kaskad.yaml{{ else }}/opt/kaskad/etc/config/kaskad.yaml{{ end }}
{{- with .Values.extraEnv }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .Values.secretEnv }}
envFrom:
{{- range . }}
  - secretRef: {name: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "kaskad.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if not .Values.config.fromImage }}
- {name: config, mountPath: /opt/kaskad/etc, readOnly: true}
{{- end }}
{{- range .Values.secretFiles }}
- {name: "secret-{{ .name }}", mountPath: "/run/secrets/{{ .name }}", readOnly: true}
{{- end }}
{{- end -}}

{{/* Called with a dict: top, and the name of the ConfigMap. */}}
{{- define "kaskad.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 64Mi}}
{{- if not .top.Values.config.fromImage }}
- name: config
  configMap:
    name: {{ .configMap }}
    items:
{{ include "kaskad.configItems" .top | indent 6 }}
{{- end }}
{{- range .top.Values.secretFiles }}
- name: "secret-{{ .name }}"
  secret: {secretName: {{ .secretName | quote }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* Mistakes that a schema cannot see. */}}
{{- define "kaskad.checks" -}}
{{- if and .Values.migration.enabled (not .Values.config.fromImage) (not (regexMatch "(?m)^migrate:\\s*manual\\b" .Values.config.kaskad)) -}}
{{- fail "config.kaskad must say `migrate: manual`, because the migration hook is on: else every pod would migrate by itself (or set migration.enabled: false)" -}}
{{- end -}}
{{- if and (not .Values.config.fromImage) (not (regexMatch "(?m)^store:\\s*['\"]?postgres" .Values.config.kaskad)) -}}
{{- fail "config.kaskad must name a PostgreSQL in `store`: pods share it, and have no disk of their own" -}}
{{- end -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add 25 (int .Values.preStopSeconds) | int) -}}
{{- fail "terminationGracePeriodSeconds must be at least 25 + preStopSeconds: that is how long a process may take to finish what it is sending" -}}
{{- end -}}
{{- end -}}

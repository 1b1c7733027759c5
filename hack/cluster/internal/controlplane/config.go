package controlplane

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strconv"
)

// authenticationConfig lets nobody in without a credential but to the health endpoints, as a hardened cluster does.
const authenticationConfig = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
`

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
- RequestReceived
rules:
- level: Metadata
`

// kubeconfig is one that needs no other file, so that it can be copied elsewhere.
func kubeconfig(server string, authority, certificate, key []byte, user string) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: skerry
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: skerry
  context:
    cluster: skerry
    user: %[3]s
current-context: skerry
`, server, encode(authority), user, encode(certificate), encode(key))
}

func serverURL(settings Settings, ports Ports) string {
	return "https://" + net.JoinHostPort(settings.apiHost(), strconv.Itoa(ports.APIServer))
}

// writeConfiguration writes what follows from the settings, the ports and the certificates; it is made anew at every start.
func writeConfiguration(l layout, settings Settings, ports Ports) error {
	authority, err := os.ReadFile(l.pki(clusterCA + ".crt"))
	if err != nil {
		return err
	}
	for name, path := range map[string]string{
		"admin":              l.adminKubeconfig(),
		"controller-manager": l.config("controller-manager.kubeconfig"),
		"scheduler":          l.config("scheduler.kubeconfig"),
	} {
		certificate, err := os.ReadFile(l.pki(name + ".crt"))
		if err != nil {
			return err
		}
		key, err := os.ReadFile(l.pki(name + ".key"))
		if err != nil {
			return err
		}
		if err := writeFile(path, kubeconfig(serverURL(settings, ports), authority, certificate, key, name), 0o600); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{"authentication.yaml": authenticationConfig, "audit-policy.yaml": auditPolicy} {
		if err := writeFile(l.config(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

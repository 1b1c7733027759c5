package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// prober asks the components how they are, each with a certificate it accepts.
type prober struct {
	settings Settings
	ports    Ports
	cluster  *http.Client
	etcd     *http.Client
}

func newProber(l layout, settings Settings, ports Ports) (*prober, error) {
	cluster, err := newClient(l, clusterCA, "admin")
	if err != nil {
		return nil, err
	}
	store, err := newClient(l, etcdCA, "etcd-client")
	if err != nil {
		return nil, err
	}
	return &prober{settings, ports, cluster, store}, nil
}

func newClient(l layout, authority, certificate string) (*http.Client, error) {
	content, err := os.ReadFile(l.pki(authority + ".crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("no certificate in %s", l.pki(authority+".crt"))
	}
	own, err := tls.LoadX509KeyPair(l.pki(certificate+".crt"), l.pki(certificate+".key"))
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}},
	}, nil
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, response.Status, complaint(string(body)))
	}
	return string(body), nil
}

// complaint is what matters of an answer, in one line: of a health endpoint's list only what failed.
func complaint(body string) string {
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if failed := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "[-]") }); len(failed) > 0 {
		lines = failed
	}
	return strings.Join(lines, "; ")
}

// ready asks one component; nil is yes.
func (p *prober) ready(ctx context.Context, component string) error {
	switch component {
	case etcd:
		_, err := get(ctx, p.etcd, loopbackURL(p.ports.EtcdClient)+"/readyz")
		return err
	case apiServer:
		_, err := get(ctx, p.cluster, serverURL(p.settings, p.ports)+"/readyz")
		return err
	case controllerManager:
		// Its health is fine before any controller runs; the controllers' own checks appear when they are about to.
		body, err := get(ctx, p.cluster, loopbackURL(p.ports.ControllerManager)+"/healthz?verbose")
		if err == nil && !strings.Contains(body, "[+]serviceaccount-controller ") {
			err = errors.New("its controllers have not started")
		}
		return err
	case scheduler:
		_, err := get(ctx, p.cluster, loopbackURL(p.ports.Scheduler)+"/readyz")
		return err
	}
	return fmt.Errorf("%s is no component", component)
}

// furnished says whether Pods can be made in the default namespace: admission refuses them without the service account, and
// they do not start without the ConfigMap.
func (p *prober) furnished(ctx context.Context) error {
	for _, object := range []string{"serviceaccounts/default", "configmaps/kube-root-ca.crt"} {
		if _, err := get(ctx, p.cluster, serverURL(p.settings, p.ports)+"/api/v1/namespaces/default/"+object); err != nil {
			return err
		}
	}
	return nil
}

// all asks everything at one moment.
func (p *prober) all(ctx context.Context) error {
	for _, component := range componentNames {
		if err := p.ready(ctx, component); err != nil {
			return fmt.Errorf("%s: %w", component, err)
		}
	}
	return p.furnished(ctx)
}

package controlplane

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// A certificate that ends sooner than this is made anew at the next start.
	renewBefore = 30 * 24 * time.Hour
	// Certificates begin a little in the past, for edges whose clock is behind.
	backdate = time.Hour
)

// The three authorities. etcd and the aggregation layer have their own, because whoever holds any certificate of the
// cluster's CA (every node does) must be neither a client of etcd nor a trusted proxy.
const (
	clusterCA = "ca"
	etcdCA    = "etcd-ca"
	proxyCA   = "front-proxy-ca"
)

// leaf says what a certificate is for; its files are DIR/pki/NAME.crt and NAME.key.
type leaf struct {
	name         string
	authority    string
	commonName   string
	organization string
	dnsNames     []string
	ips          []net.IP
	server       bool
	client       bool
}

// leaves are all certificates of a control plane with these settings.
func leaves(settings Settings) []leaf {
	loopback := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	apiServer := leaf{name: "apiserver", authority: clusterCA, commonName: "kube-apiserver", server: true,
		dnsNames: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + clusterDomain, "localhost"},
		ips:      slices.Concat(loopback, []net.IP{net.ParseIP(serviceIP)})}
	for _, name := range slices.Concat([]string{settings.BindAddress, settings.AdvertiseAddress}, settings.SANs) {
		ip := net.ParseIP(name)
		switch {
		case ip == nil && !slices.Contains(apiServer.dnsNames, name):
			apiServer.dnsNames = append(apiServer.dnsNames, name)
		case ip != nil && !ip.IsUnspecified() && !slices.ContainsFunc(apiServer.ips, ip.Equal):
			apiServer.ips = append(apiServer.ips, ip)
		}
	}
	local := []string{"localhost"}
	return []leaf{
		apiServer,
		{name: "apiserver-kubelet-client", authority: clusterCA, commonName: "kube-apiserver-kubelet-client", organization: "system:masters", client: true},
		{name: "admin", authority: clusterCA, commonName: "kubernetes-admin", organization: "system:masters", client: true},
		{name: "controller-manager", authority: clusterCA, commonName: "system:kube-controller-manager", client: true},
		{name: "controller-manager-server", authority: clusterCA, commonName: "kube-controller-manager", server: true, dnsNames: local, ips: loopback},
		{name: "scheduler", authority: clusterCA, commonName: "system:kube-scheduler", client: true},
		{name: "scheduler-server", authority: clusterCA, commonName: "kube-scheduler", server: true, dnsNames: local, ips: loopback},
		{name: "front-proxy-client", authority: proxyCA, commonName: "front-proxy-client", client: true},
		// etcd dials its own client port with the certificate it serves there, so that one is for both sides.
		{name: "etcd-server", authority: etcdCA, commonName: "etcd-server", server: true, client: true, dnsNames: local, ips: loopback},
		{name: "etcd-peer", authority: etcdCA, commonName: "etcd-peer", server: true, client: true, dnsNames: local, ips: loopback},
		{name: "etcd-client", authority: etcdCA, commonName: "kube-apiserver-etcd-client", client: true},
	}
}

func (l leaf) template(now time.Time) *x509.Certificate {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: l.commonName},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		DNSNames:    l.dnsNames,
		IPAddresses: l.ips,
	}
	if l.organization != "" {
		template.Subject.Organization = []string{l.organization}
	}
	if l.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if l.client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	return template
}

// staleness says why a leaf must be made anew, "" where it still serves.
func (l leaf) staleness(certificate, authority *x509.Certificate, now time.Time) string {
	want := l.template(now)
	switch {
	case now.Before(certificate.NotBefore):
		return "it is not valid yet"
	case now.After(certificate.NotAfter):
		return "it has expired"
	case certificate.NotAfter.Sub(now) < renewBefore:
		return "it expires soon"
	case certificate.CheckSignatureFrom(authority) != nil:
		return "its authority is another one"
	case certificate.Subject.String() != want.Subject.String():
		return "its subject is another one"
	case !sameElements(certificate.DNSNames, want.DNSNames, func(a, b string) bool { return a == b }),
		!sameElements(certificate.IPAddresses, want.IPAddresses, net.IP.Equal):
		return "its names changed"
	case !slices.Equal(certificate.ExtKeyUsage, want.ExtKeyUsage):
		return "its use changed"
	}
	return ""
}

func authorityStaleness(certificate *x509.Certificate, now time.Time) string {
	switch {
	case !certificate.IsCA:
		return "it is no authority"
	case now.Before(certificate.NotBefore):
		return "it is not valid yet"
	case now.After(certificate.NotAfter):
		return "it has expired"
	}
	return ""
}

func sameElements[T any](a, b []T, equal func(a, b T) bool) bool {
	within := func(in []T) func(T) bool {
		return func(element T) bool {
			return !slices.ContainsFunc(in, func(other T) bool { return equal(element, other) })
		}
	}
	return !slices.ContainsFunc(a, within(b)) && !slices.ContainsFunc(b, within(a))
}

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// ensurePKI makes what is missing or stale under DIR/pki, and tells report about each file with the reason.
func ensurePKI(l layout, settings Settings, now time.Time, report func(what string)) error {
	authorities := map[string]pair{}
	for name, commonName := range map[string]string{clusterCA: "kubernetes", etcdCA: "etcd", proxyCA: "front-proxy"} {
		authority, err := ensureAuthority(l, name, commonName, now, report)
		if err != nil {
			return fmt.Errorf("authority %s: %w", name, err)
		}
		authorities[name] = authority
	}
	for _, wanted := range leaves(settings) {
		if err := ensureLeaf(l, wanted, authorities[wanted.authority], now, report); err != nil {
			return fmt.Errorf("certificate %s: %w", wanted.name, err)
		}
	}
	return ensureServiceAccountKey(l, report)
}

func ensureAuthority(l layout, name, commonName string, now time.Time, report func(string)) (pair, error) {
	existing, reason := loadPair(l, name)
	if reason == "" {
		if reason = authorityStaleness(existing.certificate, now); reason == "" {
			return existing, nil
		}
	}
	report(fmt.Sprintf("making authority %s (%s)", name, reason))
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return makePair(l, name, template, nil)
}

func ensureLeaf(l layout, wanted leaf, authority pair, now time.Time, report func(string)) error {
	existing, reason := loadPair(l, wanted.name)
	if reason == "" {
		if reason = wanted.staleness(existing.certificate, authority.certificate, now); reason == "" {
			return nil
		}
	}
	report(fmt.Sprintf("making certificate %s (%s)", wanted.name, reason))
	_, err := makePair(l, wanted.name, wanted.template(now), &authority)
	return err
}

// makePair makes a key and its certificate, signed by the authority or, without one, by itself.
func makePair(l layout, name string, template *x509.Certificate, authority *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if authority == nil {
		authority = &pair{template, key}
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.certificate, key.Public(), authority.key)
	if err != nil {
		return pair{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, err
	}
	// A crash between the two files leaves a pair that does not match, which the next start notices.
	if err := writeKey(l.pki(name+".key"), key); err != nil {
		return pair{}, err
	}
	return pair{certificate, key}, writeFile(l.pki(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// loadPair reads a pair, or says why there is none to use.
func loadPair(l layout, name string) (pair, string) {
	loaded, err := tls.LoadX509KeyPair(l.pki(name+".crt"), l.pki(name+".key"))
	if errors.Is(err, fs.ErrNotExist) {
		return pair{}, "missing"
	} else if err != nil {
		return pair{}, "unusable: " + err.Error()
	}
	key, ok := loaded.PrivateKey.(crypto.Signer)
	if !ok {
		return pair{}, "unusable: its key cannot sign"
	}
	return pair{loaded.Leaf, key}, ""
}

// ensureServiceAccountKey makes the key tokens of service accounts are signed with. It is RSA, as tokens of nearly every
// cluster are, so that whatever verifies them here meets the usual kind.
func ensureServiceAccountKey(l layout, report func(string)) error {
	private, public := l.pki("sa.key"), l.pki("sa.pub")
	key, err := loadServiceAccountKey(private)
	if err != nil {
		report(fmt.Sprintf("making the service account key (%v)", err))
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return err
		}
		if err := writeKey(private, key); err != nil {
			return err
		}
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if existing, err := os.ReadFile(public); err == nil && bytes.Equal(existing, content) {
		return nil
	}
	return writeFile(public, content, 0o644)
}

func loadServiceAccountKey(path string) (*rsa.PrivateKey, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("missing")
	} else if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("unusable: no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("unusable: not RSA")
	}
	return key, nil
}

package controlplane

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testSettings = Settings{BindAddress: "127.0.0.1", AdvertiseAddress: "10.0.0.1", SANs: []string{"cloud.example", "10.0.0.1"}}

// newLayout is a directory with everything in it that a first start makes.
func newLayout(t *testing.T) layout {
	t.Helper()
	l := layout{t.TempDir()}
	if err := l.create(); err != nil {
		t.Fatal(err)
	}
	return l
}

// made runs ensurePKI and returns what it made.
func made(t *testing.T, l layout, settings Settings, now time.Time) []string {
	t.Helper()
	var reports []string
	if err := ensurePKI(l, settings, now, func(what string) { reports = append(reports, what) }); err != nil {
		t.Fatal(err)
	}
	return reports
}

func TestCertificatesAreMadeOnlyWhenNeeded(t *testing.T) {
	now := time.Now()
	all := len(leaves(testSettings))
	ofClusterCA := 0
	for _, l := range leaves(testSettings) {
		if l.authority == clusterCA {
			ofClusterCA++
		}
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, l layout, settings *Settings, now *time.Time)
		count  int
		reason string
	}{
		{"nothing", func(*testing.T, layout, *Settings, *time.Time) {}, 0, ""},
		{"another name", func(_ *testing.T, _ layout, s *Settings, _ *time.Time) { s.SANs = []string{"other.example"} }, 1, "its names changed"},
		{"the same names in another order", func(_ *testing.T, _ layout, s *Settings, _ *time.Time) {
			s.SANs = []string{"10.0.0.1", "cloud.example"}
		}, 0, ""},
		{"eleven months later", func(_ *testing.T, _ layout, _ *Settings, now *time.Time) {
			*now = now.Add(leafLife - renewBefore + time.Hour)
		}, all, "it expires soon"},
		{"two years later", func(_ *testing.T, _ layout, _ *Settings, now *time.Time) { *now = now.Add(2 * leafLife) }, all, "it has expired"},
		{"a clock set back", func(_ *testing.T, _ layout, _ *Settings, now *time.Time) { *now = now.Add(-2 * backdate) }, all + 3, "it is not valid yet"},
		{"a key removed", func(t *testing.T, l layout, _ *Settings, _ *time.Time) { remove(t, l.pki("admin.key")) }, 1, "missing"},
		{"an authority removed", func(t *testing.T, l layout, _ *Settings, _ *time.Time) { remove(t, l.pki("ca.crt")) }, 1 + ofClusterCA, "its authority is another one"},
		{"the key of another certificate", func(t *testing.T, l layout, _ *Settings, _ *time.Time) {
			copyFile(t, l.pki("admin.key"), l.pki("scheduler.key"))
		}, 1, "unusable"},
		{"an empty certificate", func(t *testing.T, l layout, _ *Settings, _ *time.Time) {
			if err := os.Truncate(l.pki("etcd-peer.crt"), 0); err != nil {
				t.Fatal(err)
			}
		}, 1, "unusable"},
		{"the service account key removed", func(t *testing.T, l layout, _ *Settings, _ *time.Time) { remove(t, l.pki("sa.key")) }, 1, "service account key"},
		{"the public half removed", func(t *testing.T, l layout, _ *Settings, _ *time.Time) { remove(t, l.pki("sa.pub")) }, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLayout(t)
			if reports := made(t, l, testSettings, now); len(reports) != all+4 {
				t.Fatalf("at first everything is made, not %q", reports)
			}
			settings, later := testSettings, now
			test.change(t, l, &settings, &later)
			reports := made(t, l, settings, later)
			if len(reports) != test.count || !strings.Contains(strings.Join(reports, "\n"), test.reason) {
				t.Fatalf("want %d made, some because %q, not %q", test.count, test.reason, reports)
			}
			if again := made(t, l, settings, later); len(again) != 0 {
				t.Fatalf("made once more: %q", again)
			}
			if _, err := os.Stat(l.pki("sa.pub")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestKeysAreTheirOwnersAlone(t *testing.T) {
	l := newLayout(t)
	made(t, l, testSettings, time.Now())
	if err := writeConfiguration(l, testSettings, Ports{APIServer: 20001}); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(l.pki("*.key"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("keys: %v, %v", keys, err)
	}
	for _, path := range append(keys, l.adminKubeconfig(), l.config("scheduler.kubeconfig")) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestTheServersNames(t *testing.T) {
	server := leaves(Settings{BindAddress: "0.0.0.0", AdvertiseAddress: "10.0.0.1", SANs: []string{"localhost", "10.0.0.1", "10.0.0.2"}})[0]
	if want := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}; !slices.Equal(server.dnsNames, want) {
		t.Errorf("names %q", server.dnsNames)
	}
	want := []net.IP{net.ParseIP("127.0.0.1"), net.IPv6loopback, net.ParseIP(serviceIP), net.ParseIP("10.0.0.1"), net.ParseIP("10.0.0.2")}
	if !slices.EqualFunc(server.ips, want, net.IP.Equal) {
		t.Errorf("addresses %v", server.ips)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

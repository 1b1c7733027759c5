package controlplane

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParsingUp(t *testing.T) {
	got, err := parseUp(strings.Fields("--dir /d --bind-address=0.0.0.0 --san a --san 10.0.0.1 --audit --detach --ready-timeout 5s --set etcd=--log-level=info --set kube-scheduler=--v=4"))
	if err != nil {
		t.Fatal(err)
	}
	if s := got.settings; got.dir != "/d" || !got.detach || got.readyTimeout.Seconds() != 5 || !s.Audit || !slices.Equal(s.SANs, []string{"a", "10.0.0.1"}) ||
		s.AdvertiseAddress != nowhere || s.apiHost() != "127.0.0.1" || !slices.Equal(s.extraFor(scheduler), []string{"--v=4"}) {
		t.Errorf("got %+v", got)
	}
	if got, err := parseUp([]string{"--dir", "/d", "--bind-address", "10.0.0.1"}); err != nil || got.settings.AdvertiseAddress != "10.0.0.1" || got.settings.apiHost() != "10.0.0.1" {
		t.Errorf("with one machine's address: %+v, %v", got, err)
	}
	for _, wrong := range []string{
		"", "--dir /d rest", "--dir /d --bogus", "--dir /d --bind-address localhost", "--dir /d --advertise-address 127.0.0.1",
		"--dir /d --advertise-address 169.254.1.1", "--dir /d --secure-port 70000", "--dir /d --set kubelet=--x", "--dir /d --set etcd=x",
	} {
		if _, err := parseUp(strings.Fields(wrong)); !errors.As(err, &errUsage{}) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		status    int
		stdout    string
		lastLine  string
	}{
		{nil, 2, "", "error: a verb is missing"},
		{[]string{"frob"}, 2, "", `error: unknown verb "frob"`},
		{[]string{"down"}, 2, "", "error: down: --dir is missing"},
		{[]string{"help"}, 0, "Usage: ", ""},
		{[]string{"up", "--help"}, 0, "Usage: ", ""},
		{[]string{"status", "--dir", "/nonexistent/skerry"}, 0, `{"dir":"/nonexistent/skerry","running":false,`, ""},
		{[]string{"down", "--dir", "/nonexistent/skerry"}, 0, "", ""},
	} {
		var stdout, stderr bytes.Buffer
		status := Main(test.arguments, &stdout, &stderr)
		lines := strings.Split(strings.TrimRight(stderr.String(), "\n"), "\n")
		if status != test.status || !strings.HasPrefix(stdout.String(), test.stdout) || lines[len(lines)-1] != test.lastLine {
			t.Errorf("%q: %d, stdout %q, stderr %q", test.arguments, status, stdout.String(), stderr.String())
		}
	}
}

func TestWhoIsServedByARunningControlPlane(t *testing.T) {
	running := Settings{BindAddress: "127.0.0.1", SecurePort: 20001, AdvertiseAddress: nowhere, SANs: []string{"a"}}
	any, same, other, audited := running, running, running, running
	any.SecurePort, other.SecurePort, audited.Audit = 0, 20002, true
	if !any.servedBy(running) || !same.servedBy(running) || other.servedBy(running) || audited.servedBy(running) {
		t.Error("wrong")
	}
}

func TestComponentFlags(t *testing.T) {
	settings := Settings{BindAddress: "127.0.0.1", AdvertiseAddress: nowhere, FeatureGates: "A=true", Extra: []string{"kube-apiserver=--v=9"}}
	flags := componentFlags(apiServer, layout{"/d"}, settings, Ports{APIServer: 20001})
	if last := flags[len(flags)-1]; last != "--v=9" {
		t.Errorf("the caller's flag is not the last one but %s", last)
	}
	for _, component := range componentNames {
		flags := componentFlags(component, layout{"/d"}, settings, Ports{})
		if gated := slices.Contains(flags, "--feature-gates=A=true"); gated != (component != etcd) {
			t.Errorf("%s: feature gates passed on: %v", component, gated)
		}
	}
	if slices.Contains(componentFlags(etcd, layout{"/d"}, settings, Ports{}), "--unsafe-no-fsync=true") {
		t.Error("etcd is unsafe unasked")
	}
}

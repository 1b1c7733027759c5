package controlplane

import "testing"

func TestComplaint(t *testing.T) {
	for body, want := range map[string]string{
		"[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac failed\nreadyz check failed\n": "[-]etcd failed: reason withheld; [-]poststarthook/rbac failed",
		"not\nfound\n": "not; found",
		"":             "",
	} {
		if got := complaint(body); got != want {
			t.Errorf("%q: %q", body, got)
		}
	}
}

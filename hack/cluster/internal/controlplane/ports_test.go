package controlplane

import (
	"net"
	"path/filepath"
	"testing"
)

// choose is choosePorts on a machine where some ports are taken and candidates come in order.
func choose(remembered Ports, apiServer int, taken ...int) (Ports, error) {
	busy := map[int]bool{}
	for _, port := range taken {
		busy[port] = true
	}
	claim := func(port int) bool {
		free := !busy[port]
		busy[port] = true
		return free
	}
	next := firstPort
	candidate := func() int {
		next++
		return next
	}
	return choosePorts(remembered, apiServer, claim, candidate)
}

func TestChoosingPorts(t *testing.T) {
	first := Ports{APIServer: 20001, EtcdClient: 20002, EtcdPeer: 20003, ControllerManager: 20004, Scheduler: 20005}
	for _, test := range []struct {
		name       string
		remembered Ports
		apiServer  int
		taken      []int
		want       Ports
	}{
		{"at first", Ports{}, 0, nil, first},
		{"again", first, 0, nil, first},
		{"around taken ones", Ports{}, 0, []int{20002, 20004}, Ports{APIServer: 20001, EtcdClient: 20003, EtcdPeer: 20005, ControllerManager: 20006, Scheduler: 20007}},
		{"a remembered one is taken", first, 0, []int{20003}, Ports{APIServer: 20001, EtcdClient: 20002, EtcdPeer: 20006, ControllerManager: 20004, Scheduler: 20005}},
		{"by name", Ports{}, 6443, nil, Ports{APIServer: 6443, EtcdClient: 20001, EtcdPeer: 20002, ControllerManager: 20003, Scheduler: 20004}},
		{"by name, remembered otherwise", first, 6443, nil, Ports{APIServer: 6443, EtcdClient: 20002, EtcdPeer: 20003, ControllerManager: 20004, Scheduler: 20005}},
		{"by name what another component has", first, 20002, nil, Ports{APIServer: 20002, EtcdClient: 20001, EtcdPeer: 20003, ControllerManager: 20004, Scheduler: 20005}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := choose(test.remembered, test.apiServer, test.taken...)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
	if _, err := choose(Ports{}, 6443, 6443); err == nil {
		t.Error("a port asked for by name was replaced")
	}
}

func TestPortsAreRememberedAndClaimed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ports.json")
	settings := Settings{BindAddress: "127.0.0.1"}
	var mine, others portClaims
	chosen, remembered, err := settlePorts(path, settings, &mine)
	if err != nil || remembered != (Ports{}) {
		t.Fatalf("%+v, %v", remembered, err)
	}
	if kept, err := readPorts(path); err != nil || kept != chosen {
		t.Fatalf("remembers %+v, %v; chosen were %+v", kept, err, chosen)
	}
	if others.claim(chosen.Scheduler) {
		t.Error("a claimed port was claimed again")
	}
	for _, socket := range mine.sockets {
		if err := socket.Close(); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if others.claim(listener.Addr().(*net.TCPAddr).Port, "127.0.0.1") {
		t.Error("a port somebody listens at was claimed")
	}
	if again, _, err := settlePorts(path, settings, &others); err != nil || again != chosen {
		t.Errorf("settled %+v, %v; chosen were %+v", again, err, chosen)
	}
}

package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports are chosen below the kernel's usual ephemeral range and below NodePorts, so that neither an outgoing connection nor a
// Service takes one while its component is being restarted.
const (
	firstPort = 20000
	lastPort  = 29999
)

// Ports are the listening ports of one control plane.
type Ports struct {
	EtcdClient        int `json:"etcdClient"`
	EtcdPeer          int `json:"etcdPeer"`
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
}

// choosePorts keeps every remembered port it can claim and finds another where it cannot. A port asked for by name is taken
// or refused, never replaced. claim must answer true at most once for a port; candidate proposes ports.
func choosePorts(remembered Ports, apiServer int, claim func(port int) bool, candidate func() int) (Ports, error) {
	chosen := remembered
	if apiServer != 0 {
		if !claim(apiServer) {
			return chosen, fmt.Errorf("port %d for kube-apiserver is in use", apiServer)
		}
		chosen.APIServer = apiServer
	}
	var missing []*int
	for _, port := range []*int{&chosen.APIServer, &chosen.EtcdClient, &chosen.EtcdPeer, &chosen.ControllerManager, &chosen.Scheduler} {
		asked := port == &chosen.APIServer && apiServer != 0
		if !asked && (*port == 0 || !claim(*port)) {
			missing = append(missing, port)
		}
	}
	// Only now, lest a new port is one that is remembered for another component.
	for _, port := range missing {
		if err := findPort(port, claim, candidate); err != nil {
			return chosen, err
		}
	}
	return chosen, nil
}

func findPort(port *int, claim func(port int) bool, candidate func() int) error {
	for range 1000 {
		if *port = candidate(); claim(*port) {
			return nil
		}
	}
	return fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

func randomPort() int {
	return firstPort + rand.IntN(lastPort-firstPort+1)
}

// portClaims holds ports for a supervisor's life, so that another one on this machine does not choose a port whose component
// is just not running. A claim is an abstract socket: it ends with the process, and belongs to the network namespace as the
// ports do.
type portClaims struct {
	sockets []net.Listener
}

// claim takes a port that nobody listens at on any of the addresses.
func (c *portClaims) claim(port int, addresses ...string) bool {
	socket, err := net.Listen("unix", "@skerry-cluster/port/"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	for _, address := range addresses {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			_ = socket.Close()
			return false
		}
		_ = listener.Close()
	}
	c.sockets = append(c.sockets, socket)
	return true
}

func readPorts(path string) (Ports, error) {
	var ports Ports
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ports, nil
	} else if err != nil {
		return ports, err
	}
	if err := json.Unmarshal(content, &ports); err != nil {
		return ports, fmt.Errorf("%s: %w", path, err)
	}
	return ports, nil
}

// settlePorts is choosePorts with this machine's ports and DIR's memory.
func settlePorts(path string, settings Settings, claims *portClaims) (chosen, remembered Ports, err error) {
	if remembered, err = readPorts(path); err != nil {
		return chosen, remembered, err
	}
	claim := func(port int) bool { return claims.claim(port, "127.0.0.1", settings.BindAddress) }
	if chosen, err = choosePorts(remembered, settings.SecurePort, claim, randomPort); err != nil || chosen == remembered {
		return chosen, remembered, err
	}
	content, err := json.Marshal(chosen)
	if err != nil {
		return chosen, remembered, err
	}
	return chosen, remembered, writeFile(path, append(content, '\n'), 0o644)
}

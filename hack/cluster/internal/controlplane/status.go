package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Status is what `status` prints, as one line of JSON.
type Status struct {
	Dir string `json:"dir"`
	// Running says that a supervisor lives.
	Running bool `json:"running"`
	// Ready says that every component answered just now that it is ready.
	Ready bool `json:"ready"`
	// Phase is down, starting, ready or stopping: how far the supervisor is, whatever its components answer at the moment.
	Phase string `json:"phase"`
	// Reason says why it is not ready.
	Reason string `json:"reason"`
	// Server is the API server's URL, null before the first start.
	Server *string `json:"server"`
	// Kubeconfig is the path of the cluster admin's, null before the first start.
	Kubeconfig *string `json:"kubeconfig"`
	// PIDs has the supervisor and every component; null is not running.
	PIDs map[string]*int `json:"pids"`
	// Restarts counts for every component how often this supervisor started it again.
	Restarts map[string]int `json:"restarts"`
}

func (s Status) print(to io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "%s\n", line)
	return err
}

// describe says what a state means while holder has the lock; it asks nobody.
func (s state) describe(l layout, holder int) Status {
	status := Status{Dir: l.dir, Phase: phaseDown, PIDs: map[string]*int{"supervisor": nil}, Restarts: map[string]int{}}
	for _, name := range componentNames {
		status.PIDs[name], status.Restarts[name] = nil, 0
	}
	if s.Ports.APIServer != 0 {
		url, path := serverURL(s.Settings, s.Ports), l.adminKubeconfig()
		status.Server, status.Kubeconfig = &url, &path
	}
	if holder == 0 {
		status.Reason = "no supervisor runs"
		return status
	}
	status.Running, status.Phase = true, phaseStarting
	status.PIDs["supervisor"] = &holder
	if s.Supervisor != holder {
		// It has the lock and has not written anything down yet.
		return status
	}
	status.Phase = s.Phase
	for name, process := range s.Processes {
		status.Restarts[name] = process.Restarts
	}
	for name, pid := range s.living() {
		status.PIDs[name] = &pid
	}
	return status
}

// ask says what is not ready at this moment.
func (s state) ask(ctx context.Context, l layout) error {
	if s.Phase != phaseReady {
		return fmt.Errorf("the supervisor is %s", s.Phase)
	}
	probe, err := newProber(l, s.Settings, s.Ports)
	if err != nil {
		return err
	}
	return probe.all(ctx)
}

// look is the status of the control plane in a directory.
func look(l layout) (Status, error) {
	holder, err := lockHolder(l.lock())
	if err != nil {
		return Status{}, err
	}
	last, _, err := readState(l.state())
	if err != nil {
		return Status{}, err
	}
	status := last.describe(l, holder)
	if !status.Running {
		return status, nil
	}
	err = errors.New("the supervisor has just begun")
	if last.Supervisor == holder {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = last.ask(ctx, l)
	}
	if status.Ready = err == nil; err != nil {
		status.Reason = err.Error()
	}
	return status, nil
}

func printStatus(l layout, stdout io.Writer) error {
	status, err := look(l)
	if err != nil {
		return err
	}
	return status.print(stdout)
}

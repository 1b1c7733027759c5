package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestTheLockNamesItsHolderAndEndsWithIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if holder, err := lockHolder(path); holder != 0 || err != nil {
		t.Fatalf("at first: %d, %v", holder, err)
	}
	other, _ := startRole(t, "lock", path)
	if holder, err := lockHolder(path); holder != other.Process.Pid || err != nil {
		t.Fatalf("held by %d: %d, %v", other.Process.Pid, holder, err)
	}
	if _, err := takeLock(path); !errors.Is(err, errRunning) {
		t.Fatalf("taken twice: %v", err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		if holder, err := lockHolder(path); holder != 0 || err != nil {
			return fmt.Errorf("after its end: %d, %w", holder, err)
		}
		return nil
	})
}

func TestParsingStartTime(t *testing.T) {
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for stat, want := range map[string]uint64{
		"12 (etcd) S" + rest:      4711,
		"12 (a ) (b) c) R" + rest: 4711,
		"12 (etcd) Z" + rest:      0,
		"12 (etcd) S 1 2":         0,
		"":                        0,
	} {
		if got := parseStartTime(stat); got != want {
			t.Errorf("%q: %d, not %d", stat, got, want)
		}
	}
	if startTime(os.Getpid()) == 0 {
		t.Error("this process has no start time")
	}
}

func TestDescribingAState(t *testing.T) {
	me := processState{PID: os.Getpid(), Started: startTime(os.Getpid()), Restarts: 3}
	// A pid that came back under another process.
	stranger := processState{PID: os.Getpid(), Started: me.Started + 1}
	running := state{
		Supervisor: 42, BootID: bootID(), Phase: phaseReady, Settings: Settings{BindAddress: "0.0.0.0"}, Ports: Ports{APIServer: 20001},
		Processes: map[string]processState{etcd: me, scheduler: stranger},
	}
	l := layout{"/d"}

	up := running.describe(l, 42)
	if !up.Running || up.Phase != phaseReady || *up.Server != "https://127.0.0.1:20001" || *up.Kubeconfig != "/d/admin.kubeconfig" ||
		*up.PIDs["supervisor"] != 42 || *up.PIDs[etcd] != me.PID || up.PIDs[scheduler] != nil || up.PIDs[apiServer] != nil || up.Restarts[etcd] != 3 {
		t.Errorf("up: %+v", up)
	}
	if young := running.describe(l, 43); young.Phase != phaseStarting || young.PIDs[etcd] != nil || *young.PIDs["supervisor"] != 43 {
		t.Errorf("the state of a predecessor: %+v", young)
	}
	if down := running.describe(l, 0); down.Running || down.Phase != phaseDown || down.PIDs["supervisor"] != nil || down.PIDs[etcd] != nil || down.Server == nil {
		t.Errorf("down: %+v", down)
	}
	if never := (state{}).describe(l, 0); never.Server != nil || never.Kubeconfig != nil || len(never.PIDs) != 5 {
		t.Errorf("never started: %+v", never)
	}
	running.BootID = "another"
	if after := running.describe(l, 42); after.PIDs[etcd] != nil {
		t.Errorf("after a reboot: %+v", after)
	}
}

func TestTheStateSurvivesBeingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if _, ok, err := readState(path); ok || err != nil {
		t.Fatalf("at first: %v, %v", ok, err)
	}
	if err := (state{Supervisor: 7, Processes: map[string]processState{etcd: {PID: 8, Started: 9}}}).save(path); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := readState(path); !ok || err != nil || got.Supervisor != 7 || got.Processes[etcd].Started != 9 {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
}

package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The phases of a supervisor's life.
const (
	phaseDown     = "down"
	phaseStarting = "starting"
	phaseReady    = "ready"
	phaseStopping = "stopping"
)

// state is what a supervisor writes down about itself for `status`, `down` and its successor.
type state struct {
	// Supervisor is the pid of the one that wrote; where another one holds the lock, this is not about it.
	Supervisor int                     `json:"supervisor"`
	BootID     string                  `json:"bootID"`
	Phase      string                  `json:"phase"`
	Settings   Settings                `json:"settings"`
	Ports      Ports                   `json:"ports"`
	Processes  map[string]processState `json:"processes"`
}

// processState names one process for good: pids come back, a pid together with its start time does not.
type processState struct {
	PID      int    `json:"pid"`
	Started  uint64 `json:"started"`
	Restarts int    `json:"restarts"`
}

func (s state) save(path string) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(path, append(content, '\n'), 0o644)
}

// readState reads what the last supervisor wrote; ok is false where there was none.
func readState(path string) (s state, ok bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	} else if err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, false, fmt.Errorf("%s: %w", path, err)
	}
	return s, true, nil
}

// living are the recorded components that still run.
func (s state) living() map[string]int {
	living := map[string]int{}
	if s.BootID != bootID() {
		return living
	}
	for name, process := range s.Processes {
		if process.PID != 0 && startTime(process.PID) == process.Started {
			living[name] = process.PID
		}
	}
	return living
}

// clearOut makes sure that nothing of an earlier supervisor's components is left: they die with it, but not in the same
// instant, and while they live they hold its ports and etcd's data.
func (s state) clearOut(ctx context.Context) error {
	kill := func() error {
		living := s.living()
		for _, pid := range living {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("killing a component left over, pid %d: %w", pid, err)
			}
		}
		if len(living) > 0 {
			return fmt.Errorf("still there: %v", living)
		}
		return nil
	}
	return poll(ctx, kill)
}

func bootID() string {
	content, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(content))
}

// startTime is when a process began, in ticks since boot; 0 where no such process runs (a zombie has ended).
func startTime(pid int) uint64 {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	return parseStartTime(string(content))
}

// parseStartTime reads the start time from /proc/PID/stat. The second field is the command's name and may hold blanks and
// brackets, so the count begins after its last bracket: there state is field 3, and the start time field 22.
func parseStartTime(stat string) uint64 {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return ticks
}

const pollInterval = 50 * time.Millisecond

// poll calls check until it has nothing to object, and returns its last objection when ctx ends first.
func poll(ctx context.Context, check func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

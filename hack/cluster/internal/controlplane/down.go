package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// down stops what runs in a directory and returns when it is gone; where nothing runs there is nothing to do.
func down(l layout, stderr io.Writer) error {
	holder, err := lockHolder(l.lock())
	if err != nil {
		return err
	}
	if holder != 0 {
		if err := stopSupervisor(l, holder, stderr); err != nil {
			return err
		}
	}
	last, ok, err := readState(l.state())
	if err != nil || !ok {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return last.clearOut(ctx)
}

func stopSupervisor(l layout, pid int, stderr io.Writer) error {
	// The handle names the process for good, so asking once more who holds the lock makes sure it is the right one.
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer func() { _ = process.Release() }()
	gone := func() error {
		if holder, err := lockHolder(l.lock()); err != nil {
			return err
		} else if holder == pid {
			return fmt.Errorf("supervisor %d does not end", pid)
		}
		return nil
	}
	if gone() == nil {
		return nil
	}
	for _, attempt := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{
		// Three groups of components are stopped one after the other, each with its grace.
		{syscall.SIGTERM, 3*stopGrace + 5*time.Second},
		{syscall.SIGKILL, stopGrace},
	} {
		fmt.Fprintf(stderr, "cluster: stopping supervisor %d (%v)\n", pid, attempt.signal)
		if err := process.Signal(attempt.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), attempt.patience)
		err = poll(ctx, gone)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

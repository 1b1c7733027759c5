package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// What a detached supervisor says last to the one that started it; everything else it says is progress.
const (
	saysReady   = "ready"
	saysRunning = "running"
	saysError   = "error: "
)

func up(options upOptions, arguments []string, stdout, stderr io.Writer) error {
	l := layout{options.dir}
	if options.notifyFD != 0 {
		return upBehind(options)
	}
	if err := l.create(); err != nil {
		return err
	}
	if options.detach {
		if err := upDetached(options, arguments, stderr); err != nil {
			return err
		}
		return printStatus(l, stdout)
	}
	ctx, cancel := untilSignal()
	defer cancel()
	log, err := openSupervisorLog(l)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := closeOnExec(); err != nil {
		return err
	}
	j := &journal{log: log, watching: stderr}
	return supervise(ctx, options, j, func(s Status) {
		if err := s.print(stdout); err != nil {
			j.report("cannot print the status: %v", err)
		}
	})
}

// upBehind is the detached supervisor itself.
func upBehind(options upOptions) error {
	ctx, cancel := untilSignal()
	defer cancel()
	if err := closeOnExec(); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	starter := os.NewFile(uintptr(options.notifyFD), "starter")
	// Standard error is the supervisor's log, for what the runtime may have to say as well.
	j := &journal{log: os.Stderr, watching: starter}
	say := func(word string) {
		j.mutex.Lock()
		defer j.mutex.Unlock()
		if j.watching != nil {
			j.watching = nil
			// The starter may have left; then nobody wants to know.
			_, _ = fmt.Fprintln(starter, word)
			_ = starter.Close()
		}
	}
	err := supervise(ctx, options, j, func(Status) { say(saysReady) })
	switch {
	case errors.Is(err, errRunning):
		say(saysRunning)
	case err != nil:
		say(saysError + oneLine(err))
	}
	return err
}

// upDetached returns when a supervisor in a session of its own has everything ready; one that runs already will do.
func upDetached(options upOptions, arguments []string, stderr io.Writer) error {
	l := layout{options.dir}
	asked, cancel := untilSignal()
	defer cancel()
	ctx, cancel := context.WithTimeout(asked, options.readyTimeout)
	defer cancel()
	for {
		holder, err := lockHolder(l.lock())
		if err != nil {
			return err
		}
		var done bool
		if holder == 0 {
			done, err = startBehind(asked, l, arguments, stderr)
		} else {
			done, err = join(ctx, l, options.settings, holder)
		}
		if err != nil || done {
			return err
		}
	}
}

// startBehind starts a supervisor and passes its story on until it is ready; done is false where another one was quicker.
func startBehind(asked context.Context, l layout, arguments []string, stderr io.Writer) (done bool, err error) {
	log, err := openSupervisorLog(l)
	if err != nil {
		return false, err
	}
	defer log.Close()
	story, teller, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer story.Close()
	executable, err := os.Executable()
	if err != nil {
		return false, err
	}
	command := exec.Command(executable, append([]string{"up", "--notify-fd=3"}, arguments...)...)
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{teller}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = command.Start()
	_ = teller.Close()
	if err != nil {
		return false, err
	}
	// Whoever stops us while we wait means what we wait for.
	stop := context.AfterFunc(asked, func() { _ = command.Process.Signal(syscall.SIGTERM) })
	defer stop()

	var last string
	lines := bufio.NewScanner(story)
	for lines.Scan() {
		last = lines.Text()
		if strings.HasPrefix(last, "cluster: ") {
			fmt.Fprintln(stderr, last)
		}
	}
	if last == saysReady && stop() {
		return true, command.Process.Release()
	}
	_ = command.Wait()
	switch {
	case last == saysRunning:
		return false, nil
	case last == saysReady:
		return false, errors.New("stopped as soon as it was ready")
	case strings.HasPrefix(last, saysError):
		return false, errors.New(strings.TrimPrefix(last, saysError))
	}
	return false, fmt.Errorf("the supervisor ended with %s; see %s", command.ProcessState, l.log("supervisor"))
}

// join waits until the control plane of another supervisor is ready; done is false where that one ended instead.
func join(ctx context.Context, l layout, wanted Settings, holder int) (done bool, err error) {
	var gone, mismatch bool
	err = poll(ctx, func() error {
		now, err := lockHolder(l.lock())
		if err != nil {
			return err
		}
		if gone = now != holder; gone {
			return nil
		}
		running, _, err := readState(l.state())
		if err != nil {
			return err
		}
		if running.Supervisor != holder || running.Phase == phaseStopping {
			return fmt.Errorf("supervisor %d is neither up nor gone", holder)
		}
		if mismatch = !wanted.servedBy(running.Settings); mismatch {
			return nil
		}
		return running.ask(ctx, l)
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("waiting for the control plane of supervisor %d: %w", holder, err)
	case mismatch:
		return false, fmt.Errorf("a control plane with other settings runs here (pid %d); take it down first", holder)
	}
	return !gone, nil
}

func openSupervisorLog(l layout) (*os.File, error) {
	return os.OpenFile(l.log("supervisor"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
}

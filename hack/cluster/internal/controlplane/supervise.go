package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// journal writes what happens to the supervisor's own log and, as long as somebody waits for readiness, to them.
type journal struct {
	mutex    sync.Mutex
	log      io.Writer
	watching io.Writer
}

func (j *journal) report(format string, arguments ...any) {
	line := fmt.Sprintf(format, arguments...)
	j.mutex.Lock()
	defer j.mutex.Unlock()
	// Nothing can be done where the disk is full or the watcher left: the control plane matters more than its story.
	_, _ = fmt.Fprintf(j.log, "%s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), line)
	if j.watching != nil {
		_, _ = fmt.Fprintf(j.watching, "cluster: %s\n", line)
	}
}

// supervisor runs one control plane.
type supervisor struct {
	layout    layout
	settings  Settings
	ports     Ports
	journal   *journal
	processes map[string]*process

	// claims are kept for as long as the supervisor lives.
	claims portClaims

	mutex sync.Mutex
	phase string
}

// supervise runs a control plane until ctx ends or it turns out not to start. ready is called once, when it is.
func supervise(ctx context.Context, options upOptions, j *journal, ready func(Status)) error {
	l := layout{options.dir}
	lock, err := takeLock(l.lock())
	if err != nil {
		return err
	}
	defer lock.Close()

	s := &supervisor{layout: l, settings: options.settings, journal: j, processes: map[string]*process{}}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	j.report("supervisor %d starts %s on %s", os.Getpid(), serverURL(s.settings, s.ports), l.dir)
	s.enter(phaseStarting)
	defer s.halt()
	began := time.Now()
	starting, cancel := context.WithTimeout(ctx, options.readyTimeout)
	defer cancel()
	if err := s.start(starting); err != nil {
		if ctx.Err() != nil {
			return errors.New("stopped before it was ready")
		}
		return err
	}
	j.report("ready after %.1f s", time.Since(began).Seconds())
	ready(s.enter(phaseReady))
	<-ctx.Done()
	return nil
}

// prepare brings everything on the disk into order before the first component starts.
func (s *supervisor) prepare(ctx context.Context) error {
	if last, ok, err := readState(s.layout.state()); err != nil {
		// It is only a note of the past; what it may have named dies with its supervisor anyway.
		s.journal.report("ignoring %v", err)
	} else if ok {
		clearing, cancel := context.WithTimeout(ctx, stopGrace)
		defer cancel()
		if err := last.clearOut(clearing); err != nil {
			return err
		}
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	if err := s.layout.link(executable); err != nil {
		return err
	}
	ports, remembered, err := settlePorts(s.layout.ports(), s.settings, &s.claims)
	if err != nil {
		return err
	}
	if ports != remembered && remembered != (Ports{}) {
		s.journal.report("ports changed from %+v to %+v", remembered, ports)
	}
	s.ports, s.settings.SecurePort = ports, ports.APIServer
	if err := ensurePKI(s.layout, s.settings, time.Now(), func(what string) { s.journal.report("%s", what) }); err != nil {
		return err
	}
	return writeConfiguration(s.layout, s.settings, s.ports)
}

// start starts the components in order, each when the one before is ready, and returns when everything is. The controller
// manager and the scheduler end when they cannot ask the API server for its trusted headers, so they wait for it.
func (s *supervisor) start(ctx context.Context) error {
	probe, err := newProber(s.layout, s.settings, s.ports)
	if err != nil {
		return err
	}
	forker := newForker()
	launch := func(name string) {
		p := &process{
			name: name, forker: forker, program: s.layout.program(name), flags: componentFlags(name, s.layout, s.settings, s.ports),
			logPath: s.layout.log(name), report: s.journal.report, changed: func() { s.save() },
		}
		s.mutex.Lock()
		s.processes[name] = p
		s.mutex.Unlock()
		p.keep()
	}
	await := func(name, what string, check func(context.Context) error) error {
		return s.await(ctx, name, what, check)
	}
	healthy := func(name string) error {
		return await(name, "to be ready", func(ctx context.Context) error { return probe.ready(ctx, name) })
	}
	for _, name := range []string{etcd, apiServer} {
		launch(name)
		if err := healthy(name); err != nil {
			return err
		}
	}
	launch(controllerManager)
	launch(scheduler)
	for _, name := range []string{controllerManager, scheduler} {
		if err := healthy(name); err != nil {
			return err
		}
	}
	return await(controllerManager, "to furnish the default namespace", probe.furnished)
}

// await waits until check is content, or fails with what the component said last.
func (s *supervisor) await(ctx context.Context, name, what string, check func(context.Context) error) error {
	began := time.Now()
	blamed := s.processes[name]
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	objection := errors.New("not asked yet")
	err := poll(waiting, func() error {
		for _, process := range s.processes {
			if err := process.hopeless(); err != nil {
				blamed, what, objection = process, "to stay alive", err
				cancel()
				return objection
			}
		}
		err := check(waiting)
		// An answer that did not come because time was up says less than the one before it.
		if err != nil && waiting.Err() == nil {
			objection = err
		}
		return err
	})
	waited := time.Since(began).Seconds()
	if err == nil {
		s.journal.report("%s: waited %.1f s for it %s", name, waited, what)
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		objection = fmt.Errorf("time is up: %w", objection)
	}
	s.journal.report("waited %.1f s for %s %s in vain; the last lines of %s:", waited, blamed.name, what, blamed.logPath)
	for _, line := range blamed.tail(15) {
		s.journal.report("    %s", line)
	}
	return fmt.Errorf("waiting for %s %s: %w", blamed.name, what, objection)
}

// halt stops everything in the order that lets each component say its last words to the one it needs.
func (s *supervisor) halt() {
	began := time.Now()
	s.enter(phaseStopping)
	for _, group := range [][]string{{scheduler, controllerManager}, {apiServer}, {etcd}} {
		var wait sync.WaitGroup
		for _, name := range group {
			if p, ok := s.processes[name]; ok {
				wait.Go(p.halt)
			}
		}
		wait.Wait()
	}
	s.enter(phaseDown)
	s.journal.report("stopped after %.1f s", time.Since(began).Seconds())
}

// enter begins another phase of the supervisor's life and says what everything looks like then.
func (s *supervisor) enter(phase string) Status {
	s.mutex.Lock()
	s.phase = phase
	s.mutex.Unlock()
	status := s.save().describe(s.layout, os.Getpid())
	status.Ready = phase == phaseReady
	return status
}

// save writes the state down; it is called at every change.
func (s *supervisor) save() state {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := state{Supervisor: os.Getpid(), BootID: bootID(), Phase: s.phase, Settings: s.settings, Ports: s.ports, Processes: map[string]processState{}}
	for name, process := range s.processes {
		now.Processes[name] = process.state()
	}
	if err := now.save(s.layout.state()); err != nil {
		s.journal.report("cannot write the state down: %v", err)
	}
	return now
}

// untilSignal is a context that ends when this process is asked to stop.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
}

// closeOnExec keeps files that this process inherited from reaching the components, which would hold a caller's pipe or lock
// for as long as the control plane runs.
func closeOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		var descriptor int
		if _, err := fmt.Sscan(entry.Name(), &descriptor); err == nil && descriptor > 2 {
			syscall.CloseOnExec(descriptor)
		}
	}
	return nil
}

package controlplane

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	firstBackoff = 200 * time.Millisecond
	longBackoff  = 5 * time.Second
	// A component that ran this long was well, and is started again as quickly as the first time.
	wellAfter = 10 * time.Second
	// stopGrace is how long a component has between SIGTERM and SIGKILL.
	stopGrace = 10 * time.Second
	// A component that dies this often before everything is ready will not get well.
	maxEarlyDeaths = 3
)

// nextBackoff is how long to wait before a component that lived for a while is started again.
func nextBackoff(last, lived time.Duration) time.Duration {
	if last == 0 || lived >= wellAfter {
		return firstBackoff
	}
	return min(2*last, longBackoff)
}

// forker starts processes that die with this one. The kernel ties that wish to the thread that forked, not to the process:
// were it any thread of the runtime's pool, its end would kill the child at some odd moment. So one goroutine that never
// ends owns a thread and forks on it.
type forker chan forkRequest

type forkRequest struct {
	command *exec.Cmd
	done    chan<- error
}

func newForker() forker {
	requests := make(forker)
	go func() {
		runtime.LockOSThread()
		for request := range requests {
			request.done <- request.command.Start()
		}
	}()
	return requests
}

func (f forker) start(command *exec.Cmd) error {
	// A group of its own, so that what a terminal sends to the supervisor's group does not stop everything at once.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	done := make(chan error)
	f <- forkRequest{command, done}
	return <-done
}

// process keeps one component running.
type process struct {
	name    string
	forker  forker
	program string
	flags   []string
	logPath string
	report  func(format string, arguments ...any)
	changed func()

	stop    context.CancelFunc
	stopped chan struct{}

	mutex     sync.Mutex
	current   processState
	deaths    int
	lastDeath string
	// logStart is where in its log the present, or last, run begins.
	logStart int64
}

// keep starts the component and starts it again whenever it ends, until halt.
func (p *process) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.stopped = cancel, make(chan struct{})
	go func() {
		defer close(p.stopped)
		var backoff time.Duration
		for {
			began := time.Now()
			how := p.run(ctx)
			lived := time.Since(began)
			if ctx.Err() != nil {
				return
			}
			backoff = nextBackoff(backoff, lived)
			p.report("%s ended after %.1f s: %s; starting it again in %v", p.name, lived.Seconds(), how, backoff)
			p.mutex.Lock()
			p.deaths++
			p.lastDeath = how
			p.mutex.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-time.After(backoff):
			}
			p.mutex.Lock()
			p.current.Restarts++
			p.mutex.Unlock()
		}
	}()
}

// run runs the component once and says how it ended.
func (p *process) run(ctx context.Context) string {
	log, err := os.OpenFile(p.logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err.Error()
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	path := p.program
	if _, err := os.Stat(path); err != nil {
		// The program was removed while it runs; the kernel still has it.
		path = "/proc/self/exe"
	}
	command := exec.Command(path, p.flags...)
	command.Args[0] = p.name
	command.Dir = "/"
	command.Env = componentEnvironment(os.Environ())
	command.Stdout, command.Stderr = log, log
	if err := p.forker.start(command); err != nil {
		return err.Error()
	}
	p.running(command.Process.Pid, logStart)
	defer p.running(0, logStart)

	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case <-ended:
		return command.ProcessState.String()
	case <-ctx.Done():
	}
	// Errors of Signal and Kill only say that it has ended meanwhile.
	_ = command.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopGrace):
		p.report("%s does not stop within %v: killing it", p.name, stopGrace)
		_ = command.Process.Kill()
		<-ended
	}
	return command.ProcessState.String()
}

func (p *process) running(pid int, logStart int64) {
	p.mutex.Lock()
	p.current.PID, p.current.Started, p.logStart = pid, 0, logStart
	if pid != 0 {
		p.current.Started = startTime(pid)
	}
	p.mutex.Unlock()
	p.changed()
}

// halt stops the component for good and returns when it is gone.
func (p *process) halt() {
	p.stop()
	<-p.stopped
}

func (p *process) state() processState {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.current
}

// hopeless says why waiting for the component is in vain, nil while it is not.
func (p *process) hopeless() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.deaths < maxEarlyDeaths {
		return nil
	}
	return fmt.Errorf("it ended %d times, the last time with: %s", p.deaths, p.lastDeath)
}

// tail is the end of what the present, or last, run wrote to its log.
func (p *process) tail(lines int) []string {
	p.mutex.Lock()
	start := p.logStart
	p.mutex.Unlock()
	return tailOf(p.logPath, start, lines)
}

// tailOf reads the last lines of a file that lie behind an offset.
func tailOf(path string, offset int64, lines int) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	const enough = 64 << 10
	if end, err := file.Seek(0, io.SeekEnd); err != nil {
		return nil
	} else if end-offset > enough {
		offset = end - enough
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(file, enough))
	if err != nil {
		return nil
	}
	text := strings.TrimRight(string(content), "\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-lines):]
}

// componentEnvironment leaves a component what the Go runtime may be tuned with and little else: proxies, ETCD_* and the
// like in the caller's environment would change what it does.
func componentEnvironment(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "PATH", "HOME", "TZ", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK":
			kept = append(kept, variable)
		}
	}
	return kept
}

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes this binary two programs more, for what can only be seen from another process.
func TestMain(m *testing.M) {
	switch os.Getenv("SKERRY_TEST_ROLE") {
	case "lock": // holds the lock until killed
		lock, err := takeLock(os.Args[1])
		if err != nil {
			panic(err)
		}
		fmt.Println("locked")
		<-make(chan int)
		_ = lock.Close()
	case "parent": // starts a sleeper as a component is started, names it, and waits to be killed
		command := exec.Command("sleep", "1000")
		if err := newForker().start(command); err != nil {
			panic(err)
		}
		fmt.Println(command.Process.Pid)
		<-make(chan int)
	}
	os.Exit(m.Run())
}

// startRole starts this binary in a role and returns the first word it says.
func startRole(t *testing.T, role string, arguments ...string) (*exec.Cmd, string) {
	t.Helper()
	command := exec.Command(os.Args[0], arguments...)
	command.Env = append(os.Environ(), "SKERRY_TEST_ROLE="+role)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var word string
	if _, err := fmt.Fscan(output, &word); err != nil {
		t.Fatal(err)
	}
	return command, word
}

func within(t *testing.T, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := poll(ctx, check); err != nil {
		t.Fatal(err)
	}
}

func TestBackoff(t *testing.T) {
	var last time.Duration
	var got []time.Duration
	for range 7 {
		last = nextBackoff(last, time.Second)
		got = append(got, last/time.Millisecond)
	}
	if want := []time.Duration{200, 400, 800, 1600, 3200, 5000, 5000}; !slices.Equal(got, want) {
		t.Errorf("got %d ms", got)
	}
	if again := nextBackoff(last, wellAfter); again != firstBackoff {
		t.Errorf("after a long life: %v", again)
	}
}

func TestAComponentIsKeptRunning(t *testing.T) {
	logPath := filepath.Join(t.TempDir(), "log")
	p := &process{
		name: "component", forker: newForker(), program: "/bin/sh", logPath: logPath,
		flags:  []string{"-c", "echo running; exec sleep 1000"},
		report: t.Logf, changed: func() {},
	}
	p.keep()
	defer p.halt()
	other := func(than int) func() error {
		return func() error {
			if pid := p.state().PID; pid == 0 || pid == than {
				return errors.New("not running")
			}
			return nil
		}
	}
	within(t, other(0))
	first := p.state()
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, other(first.PID))
	second := p.state()
	if second.Restarts != 1 || first.Restarts != 0 || second.Started == 0 {
		t.Errorf("first %+v, then %+v", first, second)
	}
	within(t, func() error {
		if tail := p.tail(10); !slices.Equal(tail, []string{"running"}) {
			return fmt.Errorf("the last run's log is %q", tail)
		}
		return nil
	})
	p.halt()
	if startTime(second.PID) != 0 || p.state().PID != 0 {
		t.Error("it runs after halt")
	}
}

func TestAComponentThatKeepsDyingIsHopeless(t *testing.T) {
	p := &process{
		name: "component", forker: newForker(), program: "/bin/sh", logPath: filepath.Join(t.TempDir(), "log"),
		flags: []string{"-c", "exit 7"}, report: t.Logf, changed: func() {},
	}
	p.keep()
	defer p.halt()
	within(t, func() error {
		if p.hopeless() == nil {
			return errors.New("there is hope")
		}
		return nil
	})
	if err := p.hopeless(); !strings.Contains(err.Error(), "exit status 7") {
		t.Error(err)
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	parent, word := startRole(t, "parent")
	var child int
	if _, err := fmt.Sscan(word, &child); err != nil {
		t.Fatal(err)
	}
	if startTime(child) == 0 {
		t.Fatal("the child does not run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		if startTime(child) != 0 {
			return errors.New("the child lives")
		}
		return nil
	})
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("old\nnew 1\nnew 2\nnew 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		offset int64
		lines  int
		want   []string
	}{
		{4, 2, []string{"new 2", "new 3"}},
		{4, 9, []string{"new 1", "new 2", "new 3"}},
		{22, 9, nil},
	} {
		if got := tailOf(path, test.offset, test.lines); !slices.Equal(got, test.want) {
			t.Errorf("from %d, %d lines: %q", test.offset, test.lines, got)
		}
	}
	if got := tailOf(path+".missing", 0, 5); got != nil {
		t.Errorf("of a missing file: %q", got)
	}
}

func TestTheEnvironmentOfAComponent(t *testing.T) {
	got := componentEnvironment([]string{"PATH=/bin", "KUBECONFIG=/x", "ETCD_NAME=y", "HTTPS_PROXY=z", "GOMAXPROCS=1", "HOME=/root"})
	if want := []string{"PATH=/bin", "GOMAXPROCS=1", "HOME=/root"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

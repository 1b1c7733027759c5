package controlplane

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// errRunning says that another supervisor has the directory.
var errRunning = errors.New("a supervisor already runs here")

// takeLock makes this process the directory's only supervisor until it ends. It is a POSIX record lock: the kernel lets go
// of it whatever way the process ends, children do not inherit it, and the kernel tells who holds it, so that no file with a
// pid can go stale. The file must not be opened a second time in this process, for closing that would drop the lock.
func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, errRunning
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// lockHolder is the pid of the directory's supervisor, 0 where there is none. It must not be called by the holder.
func lockHolder(path string) (int, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer file.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("asking for the lock on %s: %w", path, err)
	}
	if lock.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

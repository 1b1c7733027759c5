package controlplane

import (
	"os"
	"path/filepath"
)

// layout knows where everything of one control plane lies under its directory.
type layout struct {
	dir string
}

func (l layout) at(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

func (l layout) pki(name string) string        { return l.at("pki", name) }
func (l layout) config(name string) string     { return l.at("config", name) }
func (l layout) log(component string) string   { return l.at("logs", component+".log") }
func (l layout) program(command string) string { return l.at("bin", command) }
func (l layout) adminKubeconfig() string       { return l.at("admin.kubeconfig") }
func (l layout) etcdData() string              { return l.at("etcd") }
func (l layout) ports() string                 { return l.at("ports.json") }
func (l layout) state() string                 { return l.at("run", "state.json") }
func (l layout) lock() string                  { return l.at("run", "lock") }

// create makes the directories. Those that hold keys or data are closed to others; etcd insists on it for its own.
func (l layout) create() error {
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{
		{l.dir, 0o755},
		{l.at("logs"), 0o755},
		{l.at("bin"), 0o755},
		{l.at("run"), 0o755},
		{l.at("config"), 0o700},
		{l.at("pki"), 0o700},
		{l.etcdData(), 0o700},
	} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return err
		}
	}
	return nil
}

// link puts the running program into DIR/bin under the name of every command it can be, so that ps and pgrep show a
// component by its own name, and DIR/bin/kubectl is there for people.
func (l layout) link(executable string) error {
	for _, command := range append([]string{"kubectl"}, componentNames...) {
		if target, err := os.Readlink(l.program(command)); err == nil && target == executable {
			continue
		}
		temporary := l.program("." + command)
		if err := os.Remove(temporary); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.Symlink(executable, temporary); err != nil {
			return err
		}
		if err := os.Rename(temporary, l.program(command)); err != nil {
			return err
		}
	}
	return nil
}

// writeFile replaces a file in one step: a reader sees the old content or the new, and a crash leaves one of them.
func writeFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

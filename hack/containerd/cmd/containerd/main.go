// Command containerd is containerd 2.2 as its own module builds it, so that the
// testbed can run a current containerd beside the distribution's older one.
package main

import (
	"fmt"
	"os"

	// The plugins register themselves on import.
	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	"github.com/containerd/containerd/v2/cmd/containerd/command"
)

func main() {
	if err := command.App().Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "containerd:", err)
		os.Exit(1)
	}
}

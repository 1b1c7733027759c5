package controlplane

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

const usage = `Usage: skerry-cluster VERB --dir DIR [FLAGS]
       skerry-cluster etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl [ARGUMENTS]

up      runs a control plane in the foreground, until SIGTERM; prints its status when it is ready
  --detach                  in the background instead; returns when it is ready, also when it was already
  --ready-timeout DURATION  how long that may take (3m)
  --bind-address IP         where kube-apiserver listens (127.0.0.1)
  --secure-port PORT        its port (the remembered one, at first a free one)
  --advertise-address IP    endpoint of the Service kubernetes, not loopback
                            (the bind address where that is one machine's, else 192.0.0.8, which is nobody)
  --san NAME|IP             kube-apiserver's certificate is valid for it too; may be repeated
  --audit                   writes DIR/logs/audit.log: metadata of every request, JSON
  --feature-gates LIST      for kube-apiserver, kube-controller-manager and kube-scheduler
  --etcd-unsafe-no-fsync    etcd does not wait for the disk: quicker, and data may be lost
  --verbosity N             -v of the three Kubernetes components (0)
  --set COMPONENT=FLAG      one more flag for a component; may be repeated
down    stops it and returns when it is gone
status  prints one line of JSON
`

// Main runs a verb of the control plane and returns the exit status: 0 done, 1 failed, 2 usage.
func Main(arguments []string, stdout, stderr io.Writer) int {
	err := run(arguments, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	}
	status := 1
	if wrong := (errUsage{}); errors.As(err, &wrong) {
		fmt.Fprint(stderr, usage)
		status = 2
	}
	fmt.Fprintf(stderr, "error: %s\n", oneLine(err))
	return status
}

// oneLine is an error fit for the last line somebody reads.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

func run(arguments []string, stdout, stderr io.Writer) error {
	if len(arguments) == 0 {
		return errUsage{errors.New("a verb is missing")}
	}
	verb, rest := arguments[0], arguments[1:]
	switch verb {
	case "up":
		options, err := parseUp(rest)
		if err != nil {
			return err
		}
		return up(options, rest, stdout, stderr)
	case "down":
		l, err := parseDir(verb, rest)
		if err != nil {
			return err
		}
		return down(l, stderr)
	case "status":
		l, err := parseDir(verb, rest)
		if err != nil {
			return err
		}
		return printStatus(l, stdout)
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	}
	return errUsage{fmt.Errorf("unknown verb %q", verb)}
}

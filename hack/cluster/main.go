// Command skerry-cluster is a Kubernetes control plane in one program: run under a component's name, or with it as the first
// argument, it is that component; its own verbs start and stop all of them together.
package main

import (
	"os"
	"path/filepath"
	_ "time/tzdata" // time zones of CronJobs, on machines without a database of them

	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what a kubeconfig may name
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics of the components
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version metric
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"skerry/hack/cluster/internal/controlplane"
)

// programs are what this one can be. Each takes its arguments from os.Args.
var programs = map[string]func() int{
	"etcd": func() int {
		etcdmain.Main(os.Args)
		return 0
	},
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kubectl":                 kubectl,
}

// kubectl wants its verbosity before its command is built, because that already logs and may run a plugin.
func kubectl() int {
	if _, err := logs.GlogSetter(cmd.GetLogVerbosity(os.Args)); err != nil {
		util.CheckErr(err)
	}
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		// It prints the error as users know it and exits.
		util.CheckErr(err)
	}
	return 0
}

func main() {
	if program, ok := programs[filepath.Base(os.Args[0])]; ok {
		os.Exit(program())
	}
	arguments := os.Args[1:]
	if len(arguments) > 0 {
		if program, ok := programs[arguments[0]]; ok {
			os.Args = arguments
			os.Exit(program())
		}
	}
	os.Exit(controlplane.Main(arguments, os.Stdout, os.Stderr))
}

package controlplane

import (
	"fmt"
	"strconv"
)

// The components, named as their programs are.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
)

// componentNames are the components in the order they start; they stop in the reverse order.
var componentNames = []string{etcd, apiServer, controllerManager, scheduler}

// componentFlags is a component's command line. What is not named here is upstream's default on purpose: above all the
// node monitoring periods, which measurements rest on.
func componentFlags(component string, l layout, settings Settings, ports Ports) []string {
	var flags []string
	switch component {
	case etcd:
		flags = etcdFlags(l, settings, ports)
	case apiServer:
		flags = apiServerFlags(l, settings, ports)
	case controllerManager:
		flags = controllerManagerFlags(l, settings, ports)
	case scheduler:
		flags = schedulerFlags(l, settings, ports)
	}
	if component != etcd {
		flags = append(flags, "--v="+strconv.Itoa(settings.Verbosity))
		if settings.FeatureGates != "" {
			flags = append(flags, "--feature-gates="+settings.FeatureGates)
		}
	}
	return append(flags, settings.extraFor(component)...)
}

func loopbackURL(port int) string {
	return "https://127.0.0.1:" + strconv.Itoa(port)
}

func etcdFlags(l layout, settings Settings, ports Ports) []string {
	client, peer := loopbackURL(ports.EtcdClient), loopbackURL(ports.EtcdPeer)
	flags := []string{
		"--name=skerry",
		"--data-dir=" + l.etcdData(),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=skerry=" + peer,
		"--cert-file=" + l.pki("etcd-server.crt"),
		"--key-file=" + l.pki("etcd-server.key"),
		"--trusted-ca-file=" + l.pki(etcdCA+".crt"),
		"--client-cert-auth=true",
		"--peer-cert-file=" + l.pki("etcd-peer.crt"),
		"--peer-key-file=" + l.pki("etcd-peer.key"),
		"--peer-trusted-ca-file=" + l.pki(etcdCA+".crt"),
		"--peer-client-cert-auth=true",
		"--log-outputs=stderr",
		"--log-level=warn",
		// With one member nobody can call an election in vain because the disk was slow; what the timeout decides is how long
		// a restarted etcd waits before it elects itself.
		"--heartbeat-interval=50",
		"--election-timeout=250",
		// On a disk others use as well, slow requests are no news.
		"--warning-apply-duration=1s",
		"--warning-unary-request-duration=2s",
		// The API server answers consistent reads from its cache only when etcd tells it often how far it is.
		"--watch-progress-notify-interval=5s",
		"--quota-backend-bytes=" + strconv.Itoa(4<<30),
	}
	if settings.EtcdUnsafeNoFsync {
		flags = append(flags, "--unsafe-no-fsync=true")
	}
	return flags
}

func apiServerFlags(l layout, settings Settings, ports Ports) []string {
	flags := []string{
		"--etcd-servers=" + loopbackURL(ports.EtcdClient),
		"--etcd-cafile=" + l.pki(etcdCA+".crt"),
		"--etcd-certfile=" + l.pki("etcd-client.crt"),
		"--etcd-keyfile=" + l.pki("etcd-client.key"),
		// A disk that stalls for a few seconds must not make the server unready or be restarted for it.
		"--etcd-healthcheck-timeout=10s",
		"--etcd-readycheck-timeout=10s",
		"--bind-address=" + settings.BindAddress,
		"--secure-port=" + strconv.Itoa(ports.APIServer),
		"--advertise-address=" + settings.AdvertiseAddress,
		"--tls-cert-file=" + l.pki("apiserver.crt"),
		"--tls-private-key-file=" + l.pki("apiserver.key"),
		"--client-ca-file=" + l.pki(clusterCA+".crt"),
		"--authentication-config=" + l.config("authentication.yaml"),
		"--enable-bootstrap-token-auth=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceCIDR,
		"--service-account-issuer=" + serviceIssuer,
		"--service-account-key-file=" + l.pki("sa.pub"),
		"--service-account-signing-key-file=" + l.pki("sa.key"),
		"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
		"--requestheader-client-ca-file=" + l.pki(proxyCA+".crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + l.pki("front-proxy-client.key"),
		// No kube-proxy runs beside the server: webhooks and aggregated APIs are reached at their endpoints.
		"--enable-aggregator-routing=true",
	}
	if settings.Audit {
		flags = append(flags,
			"--audit-policy-file="+l.config("audit-policy.yaml"),
			"--audit-log-path="+l.at("logs", "audit.log"),
			"--audit-log-format=json")
	}
	return flags
}

func controllerManagerFlags(l layout, _ Settings, ports Ports) []string {
	return append(delegated(l, "controller-manager", ports.ControllerManager),
		"--controllers=*,bootstrap-signer-controller,token-cleaner-controller",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+l.pki("sa.key"),
		"--root-ca-file="+l.pki(clusterCA+".crt"),
		"--cluster-signing-cert-file="+l.pki(clusterCA+".crt"),
		"--cluster-signing-key-file="+l.pki(clusterCA+".key"),
		"--allocate-node-cidrs=true",
		"--cluster-cidr="+clusterCIDR,
		"--node-cidr-mask-size=24",
		"--service-cluster-ip-range="+serviceCIDR,
		// The default lies in the host's /usr.
		"--flex-volume-plugin-dir="+l.at("run", "flexvolume"),
	)
}

func schedulerFlags(l layout, _ Settings, ports Ports) []string {
	return delegated(l, "scheduler", ports.Scheduler)
}

// delegated are the flags the controller manager and the scheduler share: how they reach the API server, how they serve,
// and that they ask the API server who may look at them. There is one of each, so a lease would only be waited for after a
// crash.
func delegated(l layout, name string, port int) []string {
	kubeconfig := l.config(name + ".kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--client-ca-file=" + l.pki(clusterCA+".crt"),
		"--requestheader-client-ca-file=" + l.pki(proxyCA+".crt"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + l.pki(name+"-server.crt"),
		"--tls-private-key-file=" + l.pki(name+"-server.key"),
		"--leader-elect=false",
	}
}

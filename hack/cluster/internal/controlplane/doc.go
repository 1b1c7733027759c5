// Package controlplane runs a one-node Kubernetes control plane on a plain machine: it makes the certificates, chooses the
// ports, writes the configuration, and supervises etcd, kube-apiserver, kube-controller-manager and kube-scheduler as
// processes of their own.
//
// It imports nothing of Kubernetes, so that its tests build in seconds: the components are whatever the running program
// becomes when its first argument is their name.
package controlplane

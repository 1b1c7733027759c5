# What programs of Kubernetes are linked with. Sourced, never run.

# Prints the linker's flags that tell a program its release, which is that of k8s.io/kubernetes in the module of this folder.
# Without them a server reports no version that kubectl can read. The module does not say which commit it was made from.
kubernetes_flags() {
	local release version date minor package flags="-s -w"
	release=$(go list -m -f '{{.Version}} {{.Time.Format "2006-01-02T15:04:05Z"}}' k8s.io/kubernetes) || return 1
	read -r version date <<<"$release"
	minor=${version#v*.}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
		flags+=" -X $package.gitCommit= -X $package.gitTreeState=clean -X $package.buildDate=$date"
	done
	printf '%s\n' "$flags"
}

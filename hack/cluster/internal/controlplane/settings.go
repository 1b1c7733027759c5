package controlplane

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	clusterCIDR   = "10.244.0.0/16"
	serviceCIDR   = "10.96.0.0/16"
	serviceIP     = "10.96.0.1"
	serviceIssuer = "https://kubernetes.default.svc"
	clusterDomain = "cluster.local"

	// The endpoints of the Service `kubernetes` must not be loopback, and the API server refuses to start with such an
	// address. This is the IPv4 dummy address (RFC 7600): nobody has it, which is right where no Pod needs that Service. Addresses
	// reserved for documentation are not as safe, for sandboxes like to number their networks from those.
	nowhere = "192.0.0.8"
)

// Settings are what the flags of `up` say about a control plane. They hold for one run; only ports are remembered.
type Settings struct {
	// BindAddress is where kube-apiserver listens; everything else listens on 127.0.0.1.
	BindAddress string `json:"bindAddress"`
	// SecurePort is kube-apiserver's port; 0 is the remembered one, or a free one.
	SecurePort int `json:"securePort"`
	// AdvertiseAddress becomes the endpoint of the Service `kubernetes`.
	AdvertiseAddress string `json:"advertiseAddress"`
	// SANs are further names and addresses kube-apiserver's certificate is valid for.
	SANs []string `json:"sans"`
	// Audit switches the audit log on.
	Audit bool `json:"audit"`
	// FeatureGates is passed on to the three Kubernetes components as it is.
	FeatureGates string `json:"featureGates"`
	// EtcdUnsafeNoFsync lets etcd acknowledge what is not on the disk.
	EtcdUnsafeNoFsync bool `json:"etcdUnsafeNoFsync"`
	// Verbosity is klog's -v of the three Kubernetes components.
	Verbosity int `json:"verbosity"`
	// Extra are further flags, each COMPONENT=FLAG.
	Extra []string `json:"extra"`
}

// errUsage marks an error of the caller's command line, which ends the program with 2.
type errUsage struct{ error }

// upOptions are the flags of `up`: the settings, and how to go about it.
type upOptions struct {
	dir          string
	settings     Settings
	detach       bool
	readyTimeout time.Duration
	notifyFD     int
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func parseUp(arguments []string) (upOptions, error) {
	var o upOptions
	flags := newFlags("up", &o.dir)
	s := &o.settings
	flags.StringVar(&s.BindAddress, "bind-address", "127.0.0.1", "")
	flags.IntVar(&s.SecurePort, "secure-port", 0, "")
	flags.StringVar(&s.AdvertiseAddress, "advertise-address", "", "")
	flags.Var((*list)(&s.SANs), "san", "")
	flags.BoolVar(&s.Audit, "audit", false, "")
	flags.StringVar(&s.FeatureGates, "feature-gates", "", "")
	flags.BoolVar(&s.EtcdUnsafeNoFsync, "etcd-unsafe-no-fsync", false, "")
	flags.IntVar(&s.Verbosity, "verbosity", 0, "")
	flags.Var((*list)(&s.Extra), "set", "")
	flags.BoolVar(&o.detach, "detach", false, "")
	flags.DurationVar(&o.readyTimeout, "ready-timeout", 3*time.Minute, "")
	flags.IntVar(&o.notifyFD, "notify-fd", 0, "")
	if err := parse(flags, arguments, &o.dir); err != nil {
		return o, err
	}
	return o, s.complete()
}

// parseDir reads the flags of a verb that wants nothing but the directory.
func parseDir(verb string, arguments []string) (layout, error) {
	var dir string
	err := parse(newFlags(verb, &dir), arguments, &dir)
	return layout{dir}, err
}

func newFlags(verb string, dir *string) *flag.FlagSet {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	// The package would print its own kind of help; ours is in usage.
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(dir, "dir", "", "")
	return flags
}

func parse(flags *flag.FlagSet, arguments []string, dir *string) error {
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage{fmt.Errorf("%s: %w", flags.Name(), err)}
	}
	if flags.NArg() > 0 {
		return errUsage{fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))}
	}
	if *dir == "" {
		return errUsage{fmt.Errorf("%s: --dir is missing", flags.Name())}
	}
	absolute, err := filepath.Abs(*dir)
	*dir = absolute
	return err
}

// complete checks the settings and fills in what follows from them.
func (s *Settings) complete() error {
	bind := net.ParseIP(s.BindAddress)
	if bind == nil {
		return errUsage{fmt.Errorf("up: --bind-address %q is no IP address", s.BindAddress)}
	}
	if s.SecurePort < 0 || s.SecurePort > 65535 {
		return errUsage{fmt.Errorf("up: --secure-port %d is no port", s.SecurePort)}
	}
	if s.AdvertiseAddress == "" {
		s.AdvertiseAddress = nowhere
		if !bind.IsLoopback() && !bind.IsUnspecified() {
			s.AdvertiseAddress = s.BindAddress
		}
	}
	advertise := net.ParseIP(s.AdvertiseAddress)
	if advertise == nil || advertise.IsLoopback() || advertise.IsUnspecified() || advertise.IsLinkLocalUnicast() || advertise.IsMulticast() {
		return errUsage{fmt.Errorf("up: --advertise-address %q must be an ordinary IP address, not loopback or link-local", s.AdvertiseAddress)}
	}
	for _, extra := range s.Extra {
		component, value, _ := strings.Cut(extra, "=")
		if !slices.Contains(componentNames, component) || !strings.HasPrefix(value, "--") {
			return errUsage{fmt.Errorf("up: --set %q is not COMPONENT=--FLAG[=VALUE]", extra)}
		}
	}
	return nil
}

// extraFor are the flags the caller adds to one component.
func (s Settings) extraFor(component string) []string {
	var flags []string
	for _, extra := range s.Extra {
		if name, value, _ := strings.Cut(extra, "="); name == component {
			flags = append(flags, value)
		}
	}
	return flags
}

// apiHost is the address this machine reaches kube-apiserver at.
func (s Settings) apiHost() string {
	if ip := net.ParseIP(s.BindAddress); ip.IsUnspecified() {
		if ip.To4() == nil {
			return "::1"
		}
		return "127.0.0.1"
	}
	return s.BindAddress
}

// servedBy says whether a control plane that runs with other serves who asks for s.
func (s Settings) servedBy(other Settings) bool {
	if s.SecurePort == 0 {
		other.SecurePort = 0
	}
	return s.BindAddress == other.BindAddress && s.SecurePort == other.SecurePort && s.AdvertiseAddress == other.AdvertiseAddress &&
		slices.Equal(s.SANs, other.SANs) && s.Audit == other.Audit && s.FeatureGates == other.FeatureGates &&
		s.EtcdUnsafeNoFsync == other.EtcdUnsafeNoFsync && s.Verbosity == other.Verbosity && slices.Equal(s.Extra, other.Extra)
}

//! Host paths in containers as CRI wants them.

use edgecore_pods::runtime::{Mount, Propagation};

use crate::generated::cri;

/// One mount.
pub(crate) fn mount(mount: &Mount) -> cri::Mount {
    use cri::MountPropagation;
    let propagation = match mount.propagation {
        Propagation::Private => MountPropagation::PropagationPrivate,
        Propagation::HostToContainer => MountPropagation::PropagationHostToContainer,
        Propagation::Bidirectional => MountPropagation::PropagationBidirectional,
    };
    cri::Mount {
        container_path: mount.container_path.clone(),
        host_path: mount.host_path.clone(),
        readonly: mount.readonly,
        propagation: propagation.into(),
        selinux_relabel: mount.relabel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_keeps_its_direction() {
        let made = mount(&Mount {
            host_path: "/on/host".to_owned(),
            container_path: "/in/container".to_owned(),
            readonly: true,
            propagation: Propagation::HostToContainer,
            relabel: true,
        });
        assert_eq!((made.host_path.as_str(), made.container_path.as_str()), ("/on/host", "/in/container"));
        assert!(made.readonly && made.selinux_relabel);
        assert_eq!(made.propagation(), cri::MountPropagation::PropagationHostToContainer);
    }
}

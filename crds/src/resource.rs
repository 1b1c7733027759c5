//! What makes a struct of ours an object of Kubernetes, for whoever watches or patches it.

/// Implements the traits by which clients find a namespaced kind of `devices.kubeedge.io/v1beta1`.
macro_rules! namespaced {
    ($kind:ident, $plural:literal) => {
        impl k8s_openapi::Resource for $kind {
            const API_VERSION: &'static str = "devices.kubeedge.io/v1beta1";
            const GROUP: &'static str = "devices.kubeedge.io";
            const KIND: &'static str = stringify!($kind);
            const VERSION: &'static str = "v1beta1";
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = k8s_openapi::NamespaceResourceScope;
        }

        impl k8s_openapi::Metadata for $kind {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }
    };
}

pub(crate) use namespaced;

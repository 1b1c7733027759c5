//! Where objects live: paths of the API server.

use std::fmt::Write as _;

/// A collection of objects, such as all pods, or the leases of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version in it.
    pub version: &'static str,
    /// Plural name.
    pub plural: &'static str,
}

/// Pods.
pub const PODS: Collection = core("pods");
/// Nodes.
pub const NODES: Collection = core("nodes");
/// Namespaces.
pub const NAMESPACES: Collection = core("namespaces");
/// ConfigMaps.
pub const CONFIG_MAPS: Collection = core("configmaps");
/// Secrets.
pub const SECRETS: Collection = core("secrets");
/// ServiceAccounts.
pub const SERVICE_ACCOUNTS: Collection = core("serviceaccounts");
/// Services.
pub const SERVICES: Collection = core("services");
/// Leases.
pub const LEASES: Collection = Collection { group: "coordination.k8s.io", version: "v1", plural: "leases" };
/// Events.
pub const EVENTS: Collection = Collection { group: "events.k8s.io", version: "v1", plural: "events" };
/// SelfSubjectReviews.
pub const SELF_SUBJECT_REVIEWS: Collection =
    Collection { group: "authentication.k8s.io", version: "v1", plural: "selfsubjectreviews" };
/// TokenReviews.
pub const TOKEN_REVIEWS: Collection =
    Collection { group: "authentication.k8s.io", version: "v1", plural: "tokenreviews" };
/// SubjectAccessReviews.
pub const SUBJECT_ACCESS_REVIEWS: Collection =
    Collection { group: "authorization.k8s.io", version: "v1", plural: "subjectaccessreviews" };

const fn core(plural: &'static str) -> Collection {
    Collection { group: "", version: "v1", plural }
}

impl Collection {
    /// The collection over all namespaces, or of a cluster-wide kind.
    pub fn all(self) -> String {
        let mut path = self.root();
        path.push_str(self.plural);
        path
    }

    /// The collection in one namespace; an empty namespace means all.
    pub fn of(self, namespace: &str) -> String {
        if namespace.is_empty() {
            return self.all();
        }
        let mut path = self.root();
        path.push_str("namespaces/");
        push_segment(&mut path, namespace);
        path.push('/');
        path.push_str(self.plural);
        path
    }

    /// One object; an empty namespace for cluster-wide kinds.
    pub fn object(self, namespace: &str, name: &str) -> String {
        let mut path = self.of(namespace);
        path.push('/');
        push_segment(&mut path, name);
        path
    }

    /// A subresource of one object, such as `status`.
    pub fn sub(self, namespace: &str, name: &str, subresource: &str) -> String {
        let mut path = self.object(namespace, name);
        path.push('/');
        path.push_str(subresource);
        path
    }

    fn root(self) -> String {
        if self.group.is_empty() {
            format!("/api/{}/", self.version)
        } else {
            format!("/apis/{}/{}/", self.group, self.version)
        }
    }
}

/// Adds a name that may come from outside: everything that is not plainly part of a name is escaped, so that a name
/// can never become two segments or a query.
fn push_segment(path: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && name.len() > 2)
        {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// Escapes a value for a query.
pub fn query_value(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(PODS.all(), "/api/v1/pods");
        assert_eq!(PODS.sub("a", "b", "status"), "/api/v1/namespaces/a/pods/b/status");
        assert_eq!(NODES.object("", "edge-1"), "/api/v1/nodes/edge-1");
        assert_eq!(
            LEASES.object("kube-node-lease", "n.x"),
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n.x"
        );
    }

    #[test]
    fn a_name_never_leaves_its_segment() {
        assert_eq!(NODES.object("", "../pods?x=1"), "/api/v1/nodes/..%2Fpods%3Fx%3D1");
        assert_eq!(NODES.object("", ".."), "/api/v1/nodes/%2E%2E");
        assert_eq!(query_value("a b&c"), "a%20b%26c");
    }
}

//! Who a caller is, and whether it may: the cluster is asked, and what it said counts for a moment.

use std::time::Duration;

use cloudcore_kube::reviews::{self, Memory, User};
use cloudcore_kube::{Client, KubeError};
use http::{HeaderMap, StatusCode, header};
use kit::Clock;
use kit::errors::chain;
use pki::Subject;
use wire::Version;

/// How long a yes is remembered, and a no.
const REMEMBERED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));
/// Answers remembered at once, of each kind.
const MAX_REMEMBERED: usize = 1024;
/// Longest token looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Why a call is not answered: the status and words.
pub(super) type Refusal = (StatusCode, String);

/// Asks the cluster.
#[derive(Debug)]
pub(super) struct Judge {
    client: Client,
    clock: Clock,
    users: Memory<Option<User>>,
    allowed: Memory<bool>,
}

impl Judge {
    pub(super) const fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, users: Memory::new(MAX_REMEMBERED), allowed: Memory::new(MAX_REMEMBERED) }
    }

    /// Who calls: by the client certificate (DER) that TLS has verified, else by the bearer token.
    pub(super) async fn caller(
        &self,
        certificate: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> Result<User, Refusal> {
        let nobody = || (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
        if let Some(der) = certificate {
            let Subject { name, groups } = Subject::of_certificate(der).map_err(|_| nobody())?;
            let groups = groups.into_iter().chain(["system:authenticated".to_owned()]).collect();
            return Ok(User { username: name, groups, ..User::default() });
        }
        let token = bearer(headers).ok_or_else(nobody)?;
        let hash = Version::of(token.as_bytes());
        if let Some(known) = self.users.recall(hash, self.clock.elapsed()) {
            return known.ok_or_else(nobody);
        }
        let user = reviews::token(&self.client, token).await.map_err(|error| unknown(&error))?;
        self.users.keep(hash, user.clone(), self.until(user.is_some()));
        user.ok_or_else(nobody)
    }

    /// Whether the caller may use the verb on any of the subresources of the node.
    pub(super) async fn allow(
        &self,
        user: &User,
        verb: &'static str,
        node: &str,
        subresources: &'static [&'static str],
    ) -> Result<(), Refusal> {
        for subresource in subresources {
            if self.may(user, verb, node, subresource).await.map_err(|error| unknown(&error))? {
                return Ok(());
            }
        }
        let name = &user.username;
        let subresources = subresources.join(" ");
        let words =
            format!("Forbidden (user={name}, verb={verb}, resource=nodes, subresource(s)=[{subresources}])");
        Err((StatusCode::FORBIDDEN, words))
    }

    async fn may(&self, user: &User, verb: &str, node: &str, subresource: &str) -> Result<bool, KubeError> {
        // Everything an authorizer may look at; no part can be mistaken for another, as none has a line break unescaped.
        let asked = format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{verb}\n{node:?}\n{subresource}",
            user.username, user.uid, user.groups, user.extra
        );
        let hash = Version::of(asked.as_bytes());
        if let Some(known) = self.allowed.recall(hash, self.clock.elapsed()) {
            return Ok(known);
        }
        let allowed = reviews::node(&self.client, user, verb, node, subresource).await?;
        self.allowed.keep(hash, allowed, self.until(allowed));
        Ok(allowed)
    }

    fn until(&self, yes: bool) -> kit::Elapsed {
        self.clock.elapsed().plus(if yes { REMEMBERED.0 } else { REMEMBERED.1 })
    }
}

fn unknown(error: &KubeError) -> Refusal {
    tracing::warn!(error = chain(error), "cannot tell who may call a kubelet");
    (StatusCode::INTERNAL_SERVER_ERROR, "the cluster does not say who you are or what you may do".to_owned())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN).then_some(token)
}

//! Asking the join endpoints in turn.

use anyhow::bail;
use kit::Clock;
use link::Proxies;
use pki::{JoinAnswer, JoinRequest, JoinToken};

use super::io::post;
use super::retry::{Next, Outcome, Retry};

/// Asks until somebody answers, somebody refuses, or it takes too long.
pub(super) async fn ask(
    token: &JoinToken,
    request: &JoinRequest,
    clock: &Clock,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<JoinAnswer> {
    let tls = pki::join_client(token.pin, clock)?;
    let body = serde_json::to_vec(request)?;
    let proxies = Proxies::from_variables(kit::config::env)?;
    let mut retry = Retry::new(token.join_endpoints.len(), clock.elapsed());
    for endpoint in token.join_endpoints.iter().cycle() {
        say(&format!("asking {endpoint}"));
        let outcome = match post(endpoint, &proxies, std::sync::Arc::clone(&tls), body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(outcome) => outcome,
        };
        if let Outcome::Later(why, _) | Outcome::Unreachable(why) | Outcome::Stranger(why) = &outcome {
            say(&format!("no certificate from {endpoint} yet: {why}"));
        }
        match retry.next(outcome, clock.elapsed(), kit::random::unit()) {
            Next::Wait(wait) => clock.sleep(wait).await,
            Next::GiveUp(why) => bail!(why),
        }
    }
    bail!("the join token names no endpoint")
}

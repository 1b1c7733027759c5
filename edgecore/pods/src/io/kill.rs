//! The end of containers: the hook before it, the signal, the grace.

use std::sync::Arc;
use std::time::Duration;

use crate::action::Kill;
use crate::desired::Desired;
use crate::event::Event;
use crate::handler::of_hook;
use crate::io::handler::Answer;
use crate::io::shared::Shared;
use crate::io::worker::Home;
use crate::runtime::Runtime;

/// What a container is left after a hook that used up all of its grace, as upstream's.
const AFTER_HOOK: Duration = Duration::from_secs(2);

/// Ends containers side by side. All are tried; the first problem is the answer.
pub(super) async fn kill<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    home: Option<&Home>,
    kills: Vec<Kill>,
) -> Result<(), String> {
    let ends = kills.into_iter().map(|kill| end(shared, desired, home, kill));
    futures::future::join_all(ends).await.into_iter().collect()
}

async fn end<R: Runtime>(
    shared: &Arc<Shared<R>>,
    desired: &Desired,
    home: Option<&Home>,
    kill: Kill,
) -> Result<(), String> {
    shared.events.tell(Event::container(desired, &kill.name, false, "Killing", kill.message.clone()));
    let began = shared.clock.elapsed();
    let hook = desired.container(&kill.name).and_then(|(_, container)| {
        let hook = container.lifecycle.as_ref()?.pre_stop.as_ref()?;
        Some(of_hook(hook, container))
    });
    let mut grace = kill.grace;
    if let Some(handler) = hook {
        let ip = home.and_then(|home| home.ips.first()).cloned();
        let ip = ip.or_else(|| shared.facts().host_ips.first().cloned()).unwrap_or_default();
        let answer = match handler {
            Ok(handler) => shared.hands.carry_out(&handler, &kill.id, &ip, grace).await,
            Err(message) => Answer::No(message),
        };
        if let Answer::No(message) | Answer::Unknown(message) = answer {
            let note = format!("PreStopHook failed: {message}");
            shared.events.tell(Event::container(desired, &kill.name, true, "FailedPreStopHook", note));
        }
        grace = grace.saturating_sub(shared.clock.elapsed().since(began)).max(AFTER_HOOK.min(kill.grace));
    }
    shared.runtime.stop_container(&kill.id, grace).await.map_err(|error| error.to_string())
}

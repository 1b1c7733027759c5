//! `edgecore logs`: as `kubectl logs` of a pod.

use std::io::{ErrorKind, Write};

use anyhow::{Context, bail, ensure};
use clap::Args;
use http_body_util::BodyExt;
use serde_json::Value;

use super::resolve::{self, For};
use super::{client, lengths, pods};
use crate::cli::{ConfigArgs, complain};
use crate::config::EdgeConfig;

/// Logs that are followed at once, as many as kubectl does.
const MOST_FOLLOWED: usize = 5;
/// A longer line, in bytes, may be torn apart by lines of other containers.
const LONGEST_LINE: usize = 256 << 10;

/// Arguments of `edgecore logs`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub(crate) struct LogsArgs {
    /// The pod.
    pod: String,
    /// Its namespace; without it the only one that has such a pod here, or of several `default`.
    #[arg(short, long)]
    namespace: Option<String>,
    /// The container; without it the one that the annotation kubectl.kubernetes.io/default-container names, or the first.
    #[arg(short, long)]
    container: Option<String>,
    /// Go on until the container ends.
    #[arg(short, long)]
    follow: bool,
    /// Of the container before the one that runs.
    #[arg(short, long)]
    previous: bool,
    /// Nothing older than this, such as 5s, 2m or 3h.
    #[arg(long, conflicts_with = "since_time")]
    since: Option<String>,
    /// Nothing older than this time (RFC 3339).
    #[arg(long)]
    since_time: Option<String>,
    /// So many lines from the end; -1 is all.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,
    /// Each line begins with its time.
    #[arg(long)]
    timestamps: bool,
    /// At most so many bytes.
    #[arg(long, allow_negative_numbers = true)]
    limit_bytes: Option<i64>,
    /// Of every container.
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Shows them.
pub(crate) async fn run(args: &LogsArgs, config: &EdgeConfig) -> anyhow::Result<u8> {
    let query = query(args)?;
    let pods = pods::list(config).await?;
    let pod = resolve::pod(&pods, args.namespace.as_deref(), &args.pod).map_err(anyhow::Error::msg)?;
    let of = |container: &str| path(pod, container, &query);
    if !args.all_containers {
        let chosen = resolve::container(pod, args.container.as_deref(), For::Logs);
        let chosen = chosen.map_err(anyhow::Error::msg)?;
        chosen.notes.iter().for_each(|note| complain(note));
        copy(config, &of(chosen.name), false).await?;
        return Ok(0);
    }
    let containers = resolve::containers(pod);
    if args.follow {
        let all = containers.len();
        ensure!(
            all <= MOST_FOLLOWED,
            "you are attempting to follow {all} log streams, but maximum allowed concurrency is {MOST_FOLLOWED}"
        );
        let logs = containers.iter().map(|container| {
            let path = of(container);
            async move { copy(config, &path, true).await }
        });
        futures::future::try_join_all(logs).await?;
        return Ok(0);
    }
    for container in containers {
        if !copy(config, &of(container), false).await? {
            break;
        }
    }
    Ok(0)
}

fn path(pod: &Value, container: &str, query: &str) -> String {
    format!("/containerLogs/{}/{}/{container}?{query}", resolve::namespace(pod), resolve::name(pod))
}

/// What is asked for, as `PodLogOptions`.
fn query(args: &LogsArgs) -> anyhow::Result<String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, asked) in
        [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)]
    {
        if asked {
            query.append_pair(name, "true");
        }
    }
    if let Some(since) = &args.since {
        let millis = lengths::parse(since);
        let millis = millis
            .with_context(|| format!("--since: {since:?} is no length of time such as 5s, 2m or 3h"))?;
        // To the nearest second, as kubectl does, which takes 0 for nothing asked.
        if millis > 0 {
            query.append_pair("sinceSeconds", &(millis.saturating_add(500) / 1000).to_string());
        }
    }
    if let Some(time) = &args.since_time {
        query.append_pair("sinceTime", time);
    }
    match args.tail {
        -1 => {}
        tail if tail < -1 => bail!("--tail must be greater than or equal to -1"),
        tail => drop(query.append_pair("tailLines", &tail.to_string())),
    }
    match args.limit_bytes {
        // kubectl's default.
        None | Some(0) => {}
        Some(limit) if limit < 0 => bail!("--limit-bytes must be greater than 0"),
        Some(limit) => drop(query.append_pair("limitBytes", &limit.to_string())),
    }
    Ok(query.finish())
}

/// Copies a log to standard output, in whole lines where others are written beside it; `false` where nobody reads any more.
async fn copy(config: &EdgeConfig, path: &str, lines: bool) -> anyhow::Result<bool> {
    let mut answer = client::send(client::agent(config).await?, client::request(path)).await?;
    let mut held = Vec::new();
    while let Some(frame) = answer.response.frame().await {
        let frame = frame.context("the log broke off")?;
        let Some(piece) = frame.data_ref() else { continue };
        held.extend_from_slice(piece);
        let end = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let end = if lines && held.len() < LONGEST_LINE { end } else { held.len() };
        if !put(held.get(..end).unwrap_or_default())? {
            return Ok(false);
        }
        held.drain(..end);
    }
    put(&held)
}

/// Writes to standard output; `false` where nobody reads any more.
fn put(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        logs: LogsArgs,
    }

    fn asked(words: &str) -> Result<String, String> {
        let line =
            Line::try_parse_from(format!("logs {words}").split(' ')).map_err(|error| error.to_string())?;
        query(&line.logs).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_typed_is_asked_for() {
        for (words, expected) in [
            ("p", ""),
            ("p -c c -n n", ""),
            ("p -f -p --timestamps", "follow=true&previous=true&timestamps=true"),
            ("p -fp", "follow=true&previous=true"),
            ("p --since 5m --tail 7", "sinceSeconds=300&tailLines=7"),
            ("p --since=1500ms", "sinceSeconds=2"),
            ("p --since=0s", ""),
            ("p --since-time 2026-11-29T00:00:00+02:00", "sinceTime=2026-11-29T00%3A00%3A00%2B02%3A00"),
            ("p --tail=-1 --limit-bytes 9", "limitBytes=9"),
            ("p --tail 0", "tailLines=0"),
        ] {
            assert_eq!(asked(words).as_deref(), Ok(expected), "{words}");
        }
        for (words, why) in [
            ("p --tail -2", "--tail must be"),
            ("p --limit-bytes -1", "--limit-bytes must be"),
            ("p --since tomorrow", "--since: \"tomorrow\""),
            ("p --since 5m --since-time x", "cannot be used with"),
            ("p --all-containers -c c", "cannot be used with"),
        ] {
            let refused = asked(words).unwrap_err();
            assert!(refused.contains(why), "{words}: {refused}");
        }
    }
}

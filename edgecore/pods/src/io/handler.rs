//! Probes and hooks, carried out.

mod grpc;
mod http;

use std::time::Duration;

use kit::Clock;
use tokio::net::TcpStream;

use crate::handler::Handler;
use crate::runtime::{ContainerId, Runtime, RuntimeError};

/// Carries out handlers.
#[derive(Debug, Clone)]
pub(super) struct Hands<R> {
    runtime: R,
    clock: Clock,
    web: http::Web,
}

/// What came of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Success.
    Yes,
    /// Success, with something that people should know.
    Warning(String),
    /// Failure, in upstream's words.
    No(String),
    /// Nobody knows: the runtime did not answer.
    Unknown(String),
}

impl<R: Runtime> Hands<R> {
    /// Needs no state but a TLS configuration.
    pub(super) fn new(runtime: R, clock: Clock) -> Result<Self, rustls::Error> {
        Ok(Self { runtime, clock, web: http::Web::new()? })
    }

    /// Carries out one handler on a container whose pod has the address `ip`.
    pub(super) async fn carry_out(
        &self,
        handler: &Handler,
        id: &ContainerId,
        ip: &str,
        timeout: Duration,
    ) -> Answer {
        match handler {
            Handler::Exec(command) => self.exec(id, command, timeout).await,
            Handler::Http(request) => {
                let host = if request.host.is_empty() { ip } else { &request.host };
                match tokio::time::timeout(timeout, self.web.get(request, host)).await {
                    Ok(Ok(None)) => Answer::Yes,
                    Ok(Ok(Some(warning))) => Answer::Warning(warning),
                    Ok(Err(message)) => Answer::No(message),
                    Err(_) => Answer::No(format!(
                        "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                        http::url(request, host)
                    )),
                }
            }
            Handler::Tcp { host, port } => {
                let host = if host.is_empty() { ip } else { host };
                match tokio::time::timeout(timeout, TcpStream::connect((host, *port))).await {
                    Ok(Ok(_)) => Answer::Yes,
                    Ok(Err(error)) => {
                        Answer::No(format!("dial tcp {}: {error}", http::authority(host, *port)))
                    }
                    Err(_) => Answer::No(format!("dial tcp {}: i/o timeout", http::authority(host, *port))),
                }
            }
            Handler::Grpc { port, service } => {
                match grpc::check(&self.clock, (ip, *port), service, timeout).await {
                    Ok(()) => Answer::Yes,
                    Err(message) => Answer::No(message),
                }
            }
            Handler::Sleep(time) => {
                self.clock.sleep((*time).min(timeout)).await;
                Answer::Yes
            }
        }
    }

    async fn exec(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Answer {
        let began = self.clock.elapsed();
        match self.runtime.exec(id, command, timeout).await {
            Ok(result) if result.exit_code == 0 => Answer::Yes,
            Ok(result) => {
                let mut output = String::from_utf8_lossy(&result.stdout).into_owned();
                output.push_str(&String::from_utf8_lossy(&result.stderr));
                Answer::No(output)
            }
            Err(RuntimeError::NotFound(what)) => Answer::Unknown(format!("{what} not found")),
            // A runtime that hangs says nothing of the command, however long it took.
            Err(error @ RuntimeError::Unavailable(_)) => Answer::Unknown(error.to_string()),
            // The runtime reports a command that ran out of time as an error like any other.
            Err(_) if self.clock.elapsed().since(began) >= timeout => {
                Answer::No(format!("command timed out: {command:?} timed out after {}s", timeout.as_secs()))
            }
            Err(RuntimeError::Failed(message)) => Answer::No(message),
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[tokio::test]
    async fn a_runtime_that_does_not_answer_fails_no_probe_however_long_it_takes() {
        let fake = Fake::default();
        let hands = Hands::new(fake.clone(), Clock::system()).unwrap();
        let handler = Handler::Exec(vec!["live".to_owned()]);
        let id = ContainerId("c".to_owned());
        // No time at all is over as soon as it began.
        let answer = hands.carry_out(&handler, &id, "", Duration::ZERO).await;
        assert_eq!(answer, Answer::Yes);
        fake.world(|world| world.down = true);
        let answer = hands.carry_out(&handler, &id, "", Duration::ZERO).await;
        assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
    }
}

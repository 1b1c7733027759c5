//! What the runtime answered when it did not do as asked, in upstream's words.

use std::error::Error;

use edgecore_pods::runtime::RuntimeError;
use thiserror::Error;
use tonic::{Code, Status};

/// Why no client could be made. Whether the runtime is there is no matter of this.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The endpoint is neither a `unix://` URI nor an absolute path.
    #[error("container runtime endpoint {0:?} is no unix socket: give unix:///PATH")]
    Endpoint(String),
    /// The endpoint makes no URI.
    #[error("container runtime endpoint {endpoint:?} cannot be used")]
    Uri {
        /// The endpoint.
        endpoint: String,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Why a call brought no answer, or a bad one.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No answer came.
    Silent(String),
    /// The runtime answered with an error.
    Said(Status),
}

impl Failure {
    /// Whether the runtime answered, or only our own end of the connection did.
    pub(crate) fn new(status: Status) -> Self {
        // Statuses made on this side carry the error they were made from; those of the runtime cannot.
        if let Some(source) = status.source() {
            return Self::Silent(kit::errors::chain(source));
        }
        // containerd's socket accepts before its CRI plugin has read what it holds.
        let starting = status.message().contains("server is not initialized yet");
        if status.code() == Code::Unavailable || starting {
            return Self::Silent(status.message().to_owned());
        }
        Self::Said(status)
    }

    /// For calls about one object.
    pub(crate) fn about(self, object: &str) -> RuntimeError {
        match self {
            Self::Silent(why) => RuntimeError::Unavailable(why),
            Self::Said(status) if status.code() == Code::NotFound => {
                RuntimeError::NotFound(object.to_owned())
            }
            // Upstream shows a status's message without its code wherever a container could not be made or started.
            Self::Said(status) => RuntimeError::Failed(status.message().to_owned()),
        }
    }

    /// For calls that need several objects: what is not found is one of them, and the runtime's words say which.
    pub(crate) fn about_parts(self) -> RuntimeError {
        match self {
            Self::Silent(why) => RuntimeError::Unavailable(why),
            Self::Said(status) => RuntimeError::Failed(status.message().to_owned()),
        }
    }

    /// For what upstream shows with the code of its status.
    pub(crate) fn in_upstreams_words(self, object: &str) -> RuntimeError {
        match self {
            Self::Said(status) if status.code() != Code::NotFound => {
                RuntimeError::Failed(in_go_words(&status))
            }
            failure @ (Self::Said(_) | Self::Silent(_)) => failure.about(object),
        }
    }

    /// As a status again.
    pub(crate) fn into_status(self) -> Status {
        match self {
            Self::Silent(why) => Status::unavailable(why),
            Self::Said(status) => status,
        }
    }

    /// For a pull, as upstream's image manager sorts errors.
    pub(crate) fn of_pull(self, image: &str) -> RuntimeError {
        let status = match self {
            Self::Silent(why) => return RuntimeError::Unavailable(why),
            Self::Said(status) => status,
        };
        let said = status.message();
        for (mark, reason, why) in [
            ("RegistryUnavailable", "RegistryUnavailable", "the registry is unavailable"),
            ("SignatureValidationFailed", "SignatureValidationFailed", "the signature validation failed"),
        ] {
            if said.contains(mark) {
                let rest = said.replacen(mark, "", 1);
                let message = format!("image pull failed for {image} because {why}{rest}");
                return RuntimeError::Image { reason, message };
            }
        }
        RuntimeError::Image { reason: "ErrImagePull", message: in_go_words(&status) }
    }

    /// For a command in a container that may take only so long.
    pub(crate) fn of_exec(self, container: &str, command: &[String]) -> RuntimeError {
        match self {
            Self::Said(status) if status.code() == Code::DeadlineExceeded => {
                RuntimeError::Failed(format!("command {:?} timed out", command.join(" ")))
            }
            failure @ (Self::Said(_) | Self::Silent(_)) => failure.about(container),
        }
    }
}

/// A status as upstream's kubelet prints it: with its code, unless the code says nothing.
fn in_go_words(status: &Status) -> String {
    if status.code() == Code::Unknown {
        return status.message().to_owned();
    }
    format!("rpc error: code = {} desc = {}", go_name(status.code()), status.message())
}

const fn go_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// Several failed tries as one: the last reason, all messages.
pub(crate) fn together(mut errors: Vec<RuntimeError>) -> Option<RuntimeError> {
    if errors.len() < 2 {
        return errors.pop();
    }
    let mut reason = "ErrImagePull";
    let mut messages: Vec<String> = Vec::new();
    for error in errors {
        match error {
            RuntimeError::Image { reason: said, message } => {
                reason = said;
                if !messages.contains(&message) {
                    messages.push(message);
                }
            }
            other @ (RuntimeError::Unavailable(_) | RuntimeError::NotFound(_) | RuntimeError::Failed(_)) => {
                return Some(other);
            }
        }
    }
    let message =
        if messages.len() == 1 { messages.swap_remove(0) } else { format!("[{}]", messages.join(", ")) };
    Some(RuntimeError::Image { reason, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: Code, message: &str) -> Failure {
        Failure::new(Status::new(code, message))
    }

    #[test]
    fn what_is_our_end_of_the_connection_is_no_answer() {
        let broken = Status::from_error(Box::new(std::io::Error::other("broken pipe")));
        assert!(
            matches!(Failure::new(broken).about("c"), RuntimeError::Unavailable(why) if why == "broken pipe")
        );
        let starting = said(Code::Unknown, "server is not initialized yet");
        assert!(matches!(starting.about("c"), RuntimeError::Unavailable(_)));
    }

    #[test]
    fn not_found_names_the_object() {
        let error =
            said(Code::NotFound, "an error occurred when try to find container").about("container c1");
        assert_eq!(error.to_string(), "container c1 not found");
    }

    #[test]
    fn pulls_fail_with_upstreams_reasons() {
        let cases = [
            (Code::Unknown, "no such host", "ErrImagePull", "no such host"),
            (
                Code::NotFound,
                "x: not found",
                "ErrImagePull",
                "rpc error: code = NotFound desc = x: not found",
            ),
            (
                Code::Unknown,
                "RegistryUnavailable: 503",
                "RegistryUnavailable",
                "image pull failed for i because the registry is unavailable: 503",
            ),
            (
                Code::Unknown,
                "SignatureValidationFailed: no key",
                "SignatureValidationFailed",
                "image pull failed for i because the signature validation failed: no key",
            ),
        ];
        for (code, text, reason, message) in cases {
            let error = said(code, text).of_pull("i");
            let RuntimeError::Image { reason: r, message: m } = error else { panic!("{error:?}") };
            assert_eq!((r, m.as_str()), (reason, message));
        }
    }

    #[test]
    fn a_command_past_its_time_says_so_as_upstream_does() {
        let error =
            said(Code::DeadlineExceeded, "timeout 1s exceeded").of_exec("c", &["sleep".into(), "9".into()]);
        assert_eq!(error.to_string(), r#"command "sleep 9" timed out"#);
    }

    #[test]
    fn tries_with_several_credentials_fail_as_one() {
        let image = |text: &str| RuntimeError::Image { reason: "ErrImagePull", message: text.to_owned() };
        assert!(together(Vec::new()).is_none());
        assert_eq!(together(vec![image("a"), image("b")]).unwrap().to_string(), "[a, b]");
        assert_eq!(together(vec![image("a"), image("a")]).unwrap().to_string(), "a");
        let mixed = together(vec![image("a"), RuntimeError::Unavailable("gone".to_owned())]);
        assert!(matches!(mixed, Some(RuntimeError::Unavailable(_))));
    }
}

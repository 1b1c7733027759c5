//! What a probe or a hook does, made out from the pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Something to do to a container, or to ask of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handler {
    /// A command in the container; 0 is success.
    Exec(Vec<String>),
    /// A request; a status from 200 to 399 is success.
    Http(Http),
    /// A connection that is taken is success.
    Tcp {
        /// Host; empty means the pod.
        host: String,
        /// Port.
        port: u16,
    },
    /// A question to the pod, which answers by `grpc.health.v1.Health`; `SERVING` is success.
    Grpc {
        /// Port.
        port: u16,
        /// Service asked for; empty means all of the server.
        service: String,
    },
    /// Time that passes.
    Sleep(Duration),
}

/// A request to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// By TLS; the certificate is not verified, as upstream does not.
    pub tls: bool,
    /// Host; empty means the pod.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with query, from `/` on.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// An answer whose body breaks off is a failure: of a probe, not of a hook.
    pub whole: bool,
}

/// What a probe does. `Err` names what is wrong with it.
pub fn of_probe(probe: &Probe, container: &Container) -> Result<Handler, String> {
    made_out(probe.exec.as_ref(), probe.http_get.as_ref(), probe.tcp_socket.as_ref(), container)
        .or_else(|| probe.grpc.as_ref().map(|grpc| health(grpc, container)))
        .unwrap_or_else(|| Err("the probe has no handler that is known".to_owned()))
}

/// What a hook does. `Err` names what is wrong with it.
pub fn of_hook(hook: &LifecycleHandler, container: &Container) -> Result<Handler, String> {
    if let Some(sleep) = &hook.sleep {
        return Ok(Handler::Sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))));
    }
    let mut handler =
        made_out(hook.exec.as_ref(), hook.http_get.as_ref(), hook.tcp_socket.as_ref(), container)
            .unwrap_or_else(|| Err("the hook has no handler that is known".to_owned()))?;
    if let Handler::Http(request) = &mut handler {
        request.whole = false;
    }
    Ok(handler)
}

fn made_out(
    exec: Option<&ExecAction>,
    http: Option<&HTTPGetAction>,
    tcp: Option<&TCPSocketAction>,
    container: &Container,
) -> Option<Result<Handler, String>> {
    if let Some(exec) = exec {
        return Some(Ok(Handler::Exec(exec.command.clone().unwrap_or_default())));
    }
    if let Some(get) = http {
        return Some(port(&get.port, container).map(|port| Handler::Http(request(get, port))));
    }
    let socket = tcp?;
    let host = socket.host.clone().unwrap_or_default();
    Some(port(&socket.port, container).map(|port| Handler::Tcp { host, port }))
}

fn health(grpc: &GRPCAction, container: &Container) -> Result<Handler, String> {
    let port = port(&IntOrString::Int(grpc.port), container)?;
    Ok(Handler::Grpc { port, service: grpc.service.clone().unwrap_or_default() })
}

fn request(get: &HTTPGetAction, port: u16) -> Http {
    let path = get.path.clone().unwrap_or_default();
    let headers = get.http_headers.iter().flatten();
    Http {
        tls: get.scheme.as_deref() == Some("HTTPS"),
        host: get.host.clone().unwrap_or_default(),
        port,
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
        whole: true,
    }
}

/// A port by number, or by its name in the container.
fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => text.parse().ok().or_else(|| {
            let named = |p: &&k8s_openapi::api::core::v1::ContainerPort| p.name.as_deref() == Some(text);
            container.ports.iter().flatten().find(named).map(|p| p.container_port)
        }),
    };
    let known = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    known.ok_or_else(|| match port {
        IntOrString::Int(number) => format!("invalid port number: {number}"),
        IntOrString::String(name) => format!("couldn't find port: {name} in container {}", container.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(probe: &serde_json::Value) -> Container {
        serde_json::from_value(json!({
            "name": "c", "ports": [{"name": "web", "containerPort": 8080}], "readinessProbe": probe
        }))
        .unwrap()
    }

    #[test]
    fn ports_go_by_number_and_by_name() {
        let check = |port: serde_json::Value, want: Result<u16, &str>| {
            let c = container(&json!({"tcpSocket": {"port": port}}));
            let got = of_probe(c.readiness_probe.as_ref().unwrap(), &c);
            let want = want.map(|port| Handler::Tcp { host: String::new(), port }).map_err(str::to_owned);
            assert_eq!(got, want);
        };
        check(json!(80), Ok(80));
        check(json!("web"), Ok(8080));
        check(json!("81"), Ok(81));
        check(json!("nix"), Err("couldn't find port: nix in container c"));
        check(json!(70000), Err("invalid port number: 70000"));
    }

    #[test]
    fn grpc_goes_by_number_only_and_asks_for_all_where_no_service_is_named() {
        let check = |grpc: serde_json::Value, want: Result<(u16, &str), &str>| {
            let c = container(&json!({"grpc": grpc}));
            let got = of_probe(c.readiness_probe.as_ref().unwrap(), &c);
            let grpc = |(port, service): (u16, &str)| Handler::Grpc { port, service: service.to_owned() };
            assert_eq!(got, want.map(grpc).map_err(str::to_owned));
        };
        check(json!({"port": 5000}), Ok((5000, "")));
        check(json!({"port": 5000, "service": "liveness"}), Ok((5000, "liveness")));
        check(json!({"port": 0}), Err("invalid port number: 0"));
        check(json!({"port": 70000}), Err("invalid port number: 70000"));
        let named = json!({"name": "c", "readinessProbe": {"grpc": {"port": "web"}}});
        assert!(serde_json::from_value::<Container>(named).is_err());
    }

    #[test]
    fn a_path_starts_at_the_root() {
        let c = container(&json!({"httpGet": {"port": 1, "path": "healthz", "scheme": "HTTPS"}}));
        let Ok(Handler::Http(http)) = of_probe(c.readiness_probe.as_ref().unwrap(), &c) else { panic!() };
        assert!(http.tls);
        assert_eq!(http.path, "/healthz");
    }
}

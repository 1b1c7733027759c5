//! Variables that tell containers where services are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

/// Variables for a pod of a namespace: those of the API server's service always, those of the namespace's services
/// where the pod has `links`. Services without an address of their own have none.
pub(crate) fn variables(services: &[Service], namespace: &str, links: bool) -> BTreeMap<String, String> {
    let is = |service: &Service, namespace: &str| service.metadata.namespace.as_deref() == Some(namespace);
    let mut by_name: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services.iter().filter(|service| has_address(service)) {
        let Some(name) = service.metadata.name.as_deref() else { continue };
        if is(service, "default") && name == "kubernetes" {
            // As upstream: a service of the same name in the pod's own namespace stands in front of it.
            by_name.entry(name).or_insert(service);
        } else if links && is(service, namespace) {
            by_name.insert(name, service);
        }
    }
    let mut found = BTreeMap::new();
    for (name, service) in by_name {
        of_service(name, service, &mut found);
    }
    found
}

fn has_address(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default();
    !address.is_empty() && address != "None"
}

fn of_service(name: &str, service: &Service, found: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    let prefix = variable(name);
    let mut set = |suffix: String, value: String| found.insert(format!("{prefix}_{suffix}"), value);
    set("SERVICE_HOST".to_owned(), address.to_owned());
    set("SERVICE_PORT".to_owned(), first.port.to_string());
    for (index, port) in ports.iter().enumerate() {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            set(format!("SERVICE_PORT_{}", variable(name)), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().filter(|name| !name.is_empty()).unwrap_or("TCP");
        let lower = protocol.to_lowercase();
        let url = format!("{lower}://{}", with_port(address, port.port));
        if index == 0 {
            set("PORT".to_owned(), url.clone());
        }
        let port_prefix = format!("PORT_{}_{}", port.port, protocol.to_uppercase());
        set(format!("{port_prefix}_PROTO"), lower);
        set(format!("{port_prefix}_PORT"), port.port.to_string());
        set(format!("{port_prefix}_ADDR"), address.to_owned());
        set(port_prefix, url);
    }
}

fn variable(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

fn with_port(address: &str, port: i32) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(namespace: &str, name: &str, address: &str, ports: &str) -> Service {
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"}},"spec":{{"clusterIP":"{address}","ports":{ports}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn lines(services: &[Service], links: bool) -> Vec<String> {
        variables(services, "shop", links)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    #[test]
    fn a_service_has_upstreams_variables() {
        let service = service(
            "shop",
            "data-base",
            "10.0.0.9",
            r#"[{"name":"sql-main","port":5432},{"name":"dns","port":53,"protocol":"UDP"}]"#,
        );
        assert_eq!(
            lines(&[service], true),
            [
                "DATA_BASE_PORT=tcp://10.0.0.9:5432",
                "DATA_BASE_PORT_53_UDP=udp://10.0.0.9:53",
                "DATA_BASE_PORT_53_UDP_ADDR=10.0.0.9",
                "DATA_BASE_PORT_53_UDP_PORT=53",
                "DATA_BASE_PORT_53_UDP_PROTO=udp",
                "DATA_BASE_PORT_5432_TCP=tcp://10.0.0.9:5432",
                "DATA_BASE_PORT_5432_TCP_ADDR=10.0.0.9",
                "DATA_BASE_PORT_5432_TCP_PORT=5432",
                "DATA_BASE_PORT_5432_TCP_PROTO=tcp",
                "DATA_BASE_SERVICE_HOST=10.0.0.9",
                "DATA_BASE_SERVICE_PORT=5432",
                "DATA_BASE_SERVICE_PORT_DNS=53",
                "DATA_BASE_SERVICE_PORT_SQL_MAIN=5432",
            ]
        );
    }

    #[test]
    fn only_the_api_server_is_there_without_links() {
        let services = [
            service("default", "kubernetes", "fd00::1", r#"[{"name":"https","port":443}]"#),
            service("default", "other", "10.0.0.8", r#"[{"port":80}]"#),
            service("shop", "kubernetes", "10.0.0.9", r#"[{"port":80}]"#),
            service("elsewhere", "web", "10.0.0.7", r#"[{"port":80}]"#),
        ];
        let found = variables(&services, "shop", false);
        assert_eq!(found["KUBERNETES_SERVICE_HOST"], "fd00::1");
        assert_eq!(found["KUBERNETES_PORT"], "tcp://[fd00::1]:443");
        assert_eq!(found["KUBERNETES_SERVICE_PORT_HTTPS"], "443");
        assert!(found.keys().all(|name| name.starts_with("KUBERNETES_")), "{found:?}");

        let found = variables(&services, "shop", true);
        assert_eq!(found["KUBERNETES_SERVICE_HOST"], "10.0.0.9");
        assert!(!found.contains_key("KUBERNETES_SERVICE_PORT_HTTPS"));
        assert!(found.keys().all(|name| name.starts_with("KUBERNETES_")), "{found:?}");
    }

    #[test]
    fn services_without_address_or_ports_say_nothing() {
        let services = [
            service("shop", "headless", "None", r#"[{"port":80}]"#),
            service("shop", "outside", "", r#"[{"port":80}]"#),
            service("shop", "empty", "10.0.0.9", "[]"),
        ];
        assert_eq!(lines(&services, true), Vec::<String>::new());
    }
}

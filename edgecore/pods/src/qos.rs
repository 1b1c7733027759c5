//! Quality-of-service class of a pod, as upstream computes it.

use std::collections::BTreeMap;

use edgecore_volumes::Quantity;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

type List<'a> = Option<&'a BTreeMap<String, ApiQuantity>>;

/// `Guaranteed` where every container has limits for CPU and memory and its requests equal them, `BestEffort` where
/// nothing is asked for at all, else `Burstable`.
pub fn class(pod: &Pod) -> &'static str {
    let Some(spec) = &pod.spec else { return "BestEffort" };
    let (mut any, mut guaranteed) = (false, true);
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        let resources = container.resources.as_ref();
        let requests: List<'_> = resources.and_then(|r| r.requests.as_ref());
        let limits: List<'_> = resources.and_then(|r| r.limits.as_ref());
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount(requests, name), amount(limits, name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The amount asked for; nothing and zero are the same. By amount and not by text: `1Gi` is `1073741824`.
fn amount(list: List<'_>, name: &str) -> Option<Quantity> {
    Quantity::parse(&list?.get(name)?.0).ok().filter(|amount| !amount.is_zero())
}

#[cfg(test)]
mod tests {
    use super::class;
    use serde_json::json;

    #[test]
    fn classes_are_upstreams() {
        let check = |resources: serde_json::Value, want: &str| {
            let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
            assert_eq!(class(&serde_json::from_value(pod).unwrap()), want, "{resources}");
        };
        check(json!({}), "BestEffort");
        check(json!({"requests": {"cpu": "0"}}), "BestEffort");
        check(json!({"requests": {"cpu": "1"}}), "Burstable");
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed");
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}),
            "Guaranteed",
        );
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1073741824"}}),
            "Guaranteed",
        );
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable");
    }
}

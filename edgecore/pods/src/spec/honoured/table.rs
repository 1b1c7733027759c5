//! The table: every field of a pod that this node honours, or that is none of a node's business.
//!
//! Fields that are left out on purpose, since they ask for something this node does not do: `runtimeClassName` and with
//! it `overhead`, `resourceClaims`, `resources` of the pod, `hostUsers: false`; of containers `volumeDevices`, rules that
//! restart all containers, gRPC probes over TLS, `stopSignal`, `tcpSocket` hooks (which upstream does not carry
//! out either), `fileKeyRef`, resources other than CPU, memory and ephemeral storage; of ephemeral containers also what
//! the API server takes of none (ports, probes, hooks, resources, a restart policy, parts of volumes); of security
//! contexts Windows, `procMount: Unmasked`, `Localhost` profiles; and all volumes but the ones below.

use super::Rule::{self, Any, Keys, List, Object, OneOf, Only};

/// Fields of an object.
type Fields = &'static [(&'static str, Rule)];

/// A pod as the API server serves it.
pub(super) const POD: Rule =
    Object(&[&[("apiVersion", Any), ("kind", Any), ("metadata", Any), ("spec", SPEC), ("status", Any)]]);

const SPEC: Rule = Object(&[SCHEDULING, RUNNING, NETWORK]);

/// What the scheduler and controllers act on.
const SCHEDULING: Fields = &[
    ("affinity", Any),
    ("automountServiceAccountToken", Any),
    // Whom to ask before an eviction: asked by who evicts.
    ("evictionResponders", Any),
    ("nodeName", Any),
    ("nodeSelector", Any),
    ("preemptionPolicy", Any),
    ("priority", Any),
    ("priorityClassName", Any),
    ("schedulerName", Any),
    ("schedulingGates", Any),
    ("schedulingGroup", Any),
    ("tolerations", Any),
    ("topologySpreadConstraints", Any),
];

const RUNNING: Fields = &[
    ("activeDeadlineSeconds", Any),
    ("containers", List(&Object(&[PROCESS, CONTAINER]))),
    ("enableServiceLinks", Any),
    ("ephemeralContainers", List(&Object(&[PROCESS, EPHEMERAL]))),
    ("hostIPC", Any),
    ("hostPID", Any),
    ("hostUsers", Only(true)),
    ("imagePullSecrets", Any),
    ("initContainers", List(&Object(&[PROCESS, CONTAINER]))),
    // A pod for another system is not taken on: see `admit`.
    ("os", Object(&[&[("name", Any)]])),
    ("restartPolicy", RESTART_POLICY),
    ("securityContext", POD_SECURITY),
    ("serviceAccount", Any),
    ("serviceAccountName", Any),
    ("shareProcessNamespace", Any),
    ("terminationGracePeriodSeconds", Any),
    ("volumes", List(&VOLUME)),
];

const NETWORK: Fields = &[
    ("dnsConfig", Object(&[&[("nameservers", Any), ("options", List(&DNS_OPTION)), ("searches", Any)]])),
    ("dnsPolicy", OneOf(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"])),
    ("hostAliases", List(&Object(&[&[("hostnames", Any), ("ip", Any)]]))),
    ("hostNetwork", Any),
    ("hostname", Any),
    ("hostnameOverride", Any),
    ("readinessGates", List(&Object(&[&[("conditionType", Any)]]))),
    ("setHostnameAsFQDN", Any),
    ("subdomain", Any),
];

const DNS_OPTION: Rule = Object(&[&[("name", Any), ("value", Any)]]);

/// What any container may say about its process.
const PROCESS: Fields = &[
    ("args", Any),
    ("command", Any),
    ("env", List(&Object(&[&[("name", Any), ("value", Any), ("valueFrom", ENV_SOURCE)]]))),
    ("envFrom", List(&ENV_FROM)),
    ("image", Any),
    ("imagePullPolicy", OneOf(&["Always", "IfNotPresent", "Never"])),
    ("name", Any),
    ("securityContext", CONTAINER_SECURITY),
    ("stdin", Any),
    ("stdinOnce", Any),
    ("terminationMessagePath", Any),
    ("terminationMessagePolicy", OneOf(&["File", "FallbackToLogsOnError"])),
    ("tty", Any),
    ("workingDir", Any),
];

/// What only those may say that the pod was made with.
const CONTAINER: Fields = &[
    ("lifecycle", Object(&[&[("postStart", HOOK), ("preStop", HOOK)]])),
    ("livenessProbe", PROBE),
    ("ports", List(&PORT)),
    ("readinessProbe", PROBE),
    // The API server's default; a resize that wants a restart would not get one.
    ("resizePolicy", List(&Object(&[&[("resourceName", Any), ("restartPolicy", OneOf(&["NotRequired"]))]]))),
    ("resources", Object(&[&[("limits", LIMITS), ("requests", REQUESTS)]])),
    ("restartPolicy", RESTART_POLICY),
    ("restartPolicyRules", List(&RESTART_RULE)),
    ("startupProbe", PROBE),
    ("volumeMounts", List(&Object(&[MOUNT, PART]))),
];

/// What only those may say that were put beside them.
const EPHEMERAL: Fields = &[
    // The API server writes it even where nothing is in it.
    ("resources", Object(&[])),
    ("targetContainerName", Any),
    ("volumeMounts", List(&Object(&[MOUNT]))),
];

const RESTART_POLICY: Rule = OneOf(&["Always", "OnFailure", "Never"]);
const RESTART_RULE: Rule = Object(&[&[
    ("action", OneOf(&["Restart"])),
    ("exitCodes", Object(&[&[("operator", OneOf(&["In", "NotIn"])), ("values", Any)]])),
]]);

const ENV_SOURCE: Rule = Object(&[&[
    ("configMapKeyRef", KEY),
    ("fieldRef", FIELD),
    ("resourceFieldRef", RESOURCE_FIELD),
    ("secretKeyRef", KEY),
]]);
const KEY: Rule = Object(&[&[("key", Any), ("name", Any), ("optional", Any)]]);
const FIELD: Rule = Object(&[&[("apiVersion", OneOf(&["v1"])), ("fieldPath", Any)]]);
const RESOURCE_FIELD: Rule = Object(&[&[
    ("containerName", Any),
    ("divisor", Any),
    (
        "resource",
        OneOf(&[
            "limits.cpu",
            "limits.memory",
            "limits.ephemeral-storage",
            "requests.cpu",
            "requests.memory",
            "requests.ephemeral-storage",
        ]),
    ),
]]);
const ENV_FROM: Rule =
    Object(&[&[("configMapRef", OBJECT_NAME), ("prefix", Any), ("secretRef", OBJECT_NAME)]]);
const OBJECT_NAME: Rule = Object(&[&[("name", Any), ("optional", Any)]]);

const EXEC: Rule = Object(&[&[("command", Any)]]);
const HTTP: Rule = Object(&[&[
    ("host", Any),
    ("httpHeaders", List(&HEADER)),
    ("path", Any),
    ("port", Any),
    ("protocol", OneOf(&["HTTP1"])),
    ("scheme", OneOf(&["HTTP", "HTTPS"])),
]]);
const HEADER: Rule = Object(&[&[("name", Any), ("value", Any)]]);
const TCP: Rule = Object(&[&[("host", Any), ("port", Any)]]);
const GRPC: Rule = Object(&[&[("mode", OneOf(&["Plaintext"])), ("port", Any), ("service", Any)]]);
const HOOK: Rule = Object(&[&[("exec", EXEC), ("httpGet", HTTP), ("sleep", Object(&[&[("seconds", Any)]]))]]);
const PROBE: Rule = Object(&[&[
    ("exec", EXEC),
    ("failureThreshold", Any),
    ("grpc", GRPC),
    ("httpGet", HTTP),
    ("initialDelaySeconds", Any),
    ("periodSeconds", Any),
    ("successThreshold", Any),
    ("tcpSocket", TCP),
    ("terminationGracePeriodSeconds", Any),
    ("timeoutSeconds", Any),
]]);

const PORT: Rule = Object(&[&[
    ("containerPort", Any),
    ("hostIP", Any),
    ("hostPort", Any),
    ("name", Any),
    ("protocol", OneOf(&["TCP", "UDP", "SCTP"])),
]]);
// What a container writes is not measured, so a limit on it would be ignored; what it asks for is the scheduler's business.
const LIMITS: Rule = Keys(&["cpu", "memory"]);
const REQUESTS: Rule = Keys(&["cpu", "memory", "ephemeral-storage"]);
const MOUNT: Fields = &[
    ("mountPath", Any),
    ("mountPropagation", OneOf(&["None", "HostToContainer", "Bidirectional"])),
    ("name", Any),
    ("readOnly", Any),
    // "If possible" is fine: it is not.
    ("recursiveReadOnly", OneOf(&["Disabled", "IfPossible"])),
];
/// A part of a volume.
const PART: Fields = &[("subPath", Any), ("subPathExpr", Any)];

const POD_SECURITY: Rule = Object(&[
    SECURITY,
    &[
        ("fsGroup", Any),
        // Both come out the same: volumes with a group are made with it, never changed afterwards.
        ("fsGroupChangePolicy", OneOf(&["Always", "OnRootMismatch"])),
        ("supplementalGroups", Any),
        ("supplementalGroupsPolicy", OneOf(&["Merge"])),
        // Which of them are safe is asked when the pod is admitted, as upstream does.
        ("sysctls", List(&Object(&[&[("name", Any), ("value", Any)]]))),
    ],
]);
const CONTAINER_SECURITY: Rule = Object(&[
    SECURITY,
    &[
        ("allowPrivilegeEscalation", Any),
        ("capabilities", Object(&[&[("add", Any), ("drop", Any)]])),
        ("privileged", Any),
        ("procMount", OneOf(&["Default"])),
        ("readOnlyRootFilesystem", Any),
    ],
]);
/// What pods and containers have in common.
const SECURITY: Fields = &[
    // What runtimes do where nothing is said.
    ("appArmorProfile", Object(&[&[("type", OneOf(&["RuntimeDefault"]))]])),
    ("runAsGroup", Any),
    ("runAsNonRoot", Any),
    ("runAsUser", Any),
    ("seLinuxOptions", Object(&[&[("level", Any), ("role", Any), ("type", Any), ("user", Any)]])),
    ("seccompProfile", Object(&[&[("type", OneOf(&["RuntimeDefault", "Unconfined"]))]])),
];

const VOLUME: Rule = Object(&[&[
    ("configMap", Object(&[OBJECT, &[("defaultMode", Any)]])),
    ("downwardAPI", Object(&[&[("defaultMode", Any), ("items", List(&DOWNWARD_FILE))]])),
    ("emptyDir", Object(&[&[("medium", OneOf(&["", "Memory"])), ("sizeLimit", Any)]])),
    ("hostPath", Object(&[&[("path", Any), ("type", HOST_PATH_TYPE)]])),
    ("name", Any),
    ("projected", Object(&[&[("defaultMode", Any), ("sources", List(&PROJECTION))]])),
    (
        "secret",
        Object(&[&[("defaultMode", Any), ("items", List(&ITEM)), ("optional", Any), ("secretName", Any)]]),
    ),
]]);
/// A ConfigMap or Secret as files.
const OBJECT: Fields = &[("items", List(&ITEM)), ("name", Any), ("optional", Any)];
const ITEM: Rule = Object(&[&[("key", Any), ("mode", Any), ("path", Any)]]);
const DOWNWARD_FILE: Rule =
    Object(&[&[("fieldRef", FIELD), ("mode", Any), ("path", Any), ("resourceFieldRef", RESOURCE_FIELD)]]);
const HOST_PATH_TYPE: Rule = OneOf(&[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
]);
const PROJECTION: Rule = Object(&[&[
    ("configMap", Object(&[OBJECT])),
    ("downwardAPI", Object(&[&[("items", List(&DOWNWARD_FILE))]])),
    ("secret", Object(&[OBJECT])),
    ("serviceAccountToken", Object(&[&[("audience", Any), ("expirationSeconds", Any), ("path", Any)]])),
]]);

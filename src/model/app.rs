//! The app of a log event: the name of the application that wrote it, by the naming conventions of
//! AWS and of the log routers for containers.
//!
//! Left to others: the names that the configuration gives (`config`), and which of all these names
//! an alert gets (`ingest::origin`).

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use strum::{IntoStaticStr, VariantNames};

/// The longest name that a configuration or a message can give, in bytes. Names of log groups and
/// streams can be longer.
pub const APP_NAME_BYTES_MAX: usize = 128;

/// The source of the name of an app. The codes are stable.
#[derive(Copy, Clone, Debug, Default, IntoStaticStr, PartialEq, Eq, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum AppSource {
    Configuration,
    LogStream,
    /// The metadata of a container in a JSON message.
    Message,
    #[default]
    LogGroup,
}

impl AppSource {
    /// A stable kebab-case word.
    pub fn code(self) -> &'static str {
        self.into()
    }
}

/// Prefixes of log groups that belong to one app each.
const APP_PREFIXES: &[&str] = &[
    "/aws/lambda/",
    "/aws/rds/instance/",
    "/aws/rds/cluster/",
    "/aws/codebuild/",
    "/aws/apigateway/",
    "/aws/batch/",
    "/aws/vendedlogs/states/",
    "API-Gateway-Execution-Logs_",
];

/// Prefixes of log groups that the apps of a cluster share.
const CLUSTER_PREFIXES: &[&str] = &["/aws/ecs/containerinsights/", "/aws/containerinsights/"];

/// Keys of the metadata of a container.
static KUBERNETES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"kubernetes\""));
static ECS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"ecs_"));

/// The app that writes a log stream: what the name of the stream says, else the part of the log
/// group after a well-known prefix, else its last part.
pub fn of_place<'a>(log_group: &'a str, log_stream: &'a str) -> (&'a str, AppSource) {
    match of_stream(log_group, log_stream) {
        Some(app) => (app, AppSource::LogStream),
        None => (of_group(log_group), AppSource::LogGroup),
    }
}

fn of_group(log_group: &str) -> &str {
    let after_prefix =
        || APP_PREFIXES.iter().chain(CLUSTER_PREFIXES).find_map(|p| log_group.strip_prefix(p));
    let cluster =
        || log_group.strip_prefix("/aws/eks/").and_then(|rest| rest.strip_suffix("/cluster"));
    let part = match after_prefix().or_else(cluster) {
        Some(rest) => rest.split('/').find(|part| !part.is_empty()),
        None => log_group.rsplit('/').find(|part| !part.is_empty()),
    };
    part.unwrap_or(log_group)
}

/// The app that the name of a stream contains: the function of a custom log group, the
/// container of an ECS task or of a Kubernetes pod.
fn of_stream<'a>(log_group: &str, log_stream: &'a str) -> Option<&'a str> {
    // Kubernetes: `…var.log.containers.POD_NAMESPACE_CONTAINER-ID.log`.
    if let Some((_, file)) = log_stream.split_once("containers.") {
        let (_pod, rest) = file.split_once('_')?;
        let (_namespace, rest) = rest.split_once('_')?;
        let container = rest.strip_suffix(".log").unwrap_or(rest);
        let container = container
            .rsplit_once('-')
            .filter(|(_, id)| is_hex(id, 8))
            .map_or(container, |(name, _)| name);
        return Some(container).filter(|name| !name.is_empty());
    }
    let parts: Vec<&str> = log_stream.split('/').collect();
    match parts[..] {
        // Lambda: `YYYY/MM/DD/FUNCTION[VERSION]ID`; in the function's own group without the name.
        [year, month, day, name] if is_date([year, month, day]) => name
            .split_once('[')
            .map(|(function, _)| function)
            .filter(|function| !function.is_empty()),
        // ECS: `PREFIX/CONTAINER/TASK`.
        [prefix, container, task] => {
            let is_ecs = log_group.starts_with("/ecs/") || is_hex(task, 20) && !prefix.is_empty();
            (is_ecs && !container.is_empty()).then_some(container)
        }
        // FireLens: `PREFIX/CONTAINER-firelens-TASK`.
        [.., last] => {
            let (container, task) = last.rsplit_once("-firelens-")?;
            (is_hex(task, 20) && !container.is_empty()).then_some(container)
        }
        [] => None,
    }
}

/// The container that a JSON message of a log router names, for a log group that several apps may
/// share: `kubernetes.container_name` or the workload of `kubernetes.pod_name` from Fluent Bit and
/// Fluentd, and `container_name` next to `ecs_…` from FireLens. Other messages are not parsed.
pub fn of_message(message: &str, log_group: &str) -> Option<String> {
    const MESSAGE_BYTES_MAX: usize = 1 << 20;
    let has = |key: &Finder<'_>| key.find(message.as_bytes()).is_some();
    let may_name_container = message.starts_with('{')
        && message.len() <= MESSAGE_BYTES_MAX
        && (has(&KUBERNETES) || has(&ECS))
        && !APP_PREFIXES.iter().any(|prefix| log_group.starts_with(prefix));
    if !may_name_container {
        return None;
    }
    let metadata: Metadata = serde_json::from_str(message).ok()?;
    let of_kubernetes = metadata.kubernetes.and_then(|kubernetes| {
        kubernetes.container_name.or_else(|| Some(workload(&kubernetes.pod_name?).to_owned()))
    });
    let app = of_kubernetes.or_else(|| {
        let family = metadata.ecs_task_definition.as_deref().unwrap_or_default();
        let is_ecs = metadata.ecs_task_arn.is_some() || metadata.ecs_cluster.is_some();
        let container = metadata.container_name.filter(|_| is_ecs)?;
        Some(ecs_container(&container, family).to_owned())
    });
    app.filter(|name| is_container_name(name))
}

/// The members of a message that identify its container. An unexpected type means that it is not
/// the message of a log router.
#[derive(Deserialize)]
struct Metadata {
    kubernetes: Option<Kubernetes>,
    container_name: Option<String>,
    ecs_cluster: Option<String>,
    ecs_task_arn: Option<String>,
    ecs_task_definition: Option<String>,
}

#[derive(Deserialize)]
struct Kubernetes {
    container_name: Option<String>,
    pod_name: Option<String>,
}

/// The workload of a pod: `checkout` for `checkout-59f6b76787-f86mt` of a Deployment,
/// `checkout-f86mt` of a DaemonSet or Job, and `checkout-0` of a StatefulSet.
fn workload(pod: &str) -> &str {
    // The alphabet of generated suffixes (`SafeEncodeString` in k8s.io/apimachinery).
    let is_generated = |suffix: &str, bytes: std::ops::RangeInclusive<usize>| {
        bytes.contains(&suffix.len())
            && suffix.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
    };
    let is_hash = |suffix: &str| {
        (6..=10).contains(&suffix.len())
            && suffix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && suffix.bytes().any(|byte| byte.is_ascii_digit())
    };
    match pod.rsplit_once('-') {
        Some((owner, suffix)) if is_generated(suffix, 5..=5) => match owner.rsplit_once('-') {
            Some((deployment, hash)) if is_hash(hash) => deployment,
            _ => owner,
        },
        Some((set, ordinal)) if ordinal.bytes().all(|byte| byte.is_ascii_digit()) => set,
        _ => pod,
    }
}

/// The container of a name that the ECS agent gave: `/ecs-FAMILY-REVISION-CONTAINER-HEX` for the
/// task definition `FAMILY:REVISION`. Any other name is that of the container.
fn ecs_container<'n>(name: &'n str, task_definition: &str) -> &'n str {
    let name = name.trim_start_matches('/');
    let prefix = format!("ecs-{}-", task_definition.replace(':', "-"));
    name.strip_prefix(&prefix)
        .and_then(|rest| rest.rsplit_once('-'))
        .map_or(name, |(container, _)| container)
}

/// Whether Docker and Kubernetes accept a name. The text of a message can be anything.
fn is_container_name(name: &str) -> bool {
    (1..=APP_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_date(parts: [&str; 3]) -> bool {
    parts.map(str::len) == [4, 2, 2]
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_hex(text: &str, bytes_min: usize) -> bool {
    text.len() >= bytes_min && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_name_comes_from_the_log_group_or_its_stream() {
        let kubernetes = "ip-10-0-1-7.ec2.internal-application.var.log.containers.auth-59f6b76787-f86mt_prod_auth-19f6380c442838be.log";
        let cases = [
            (
                "/aws/lambda/checkout",
                "2026/11/23/[$LATEST]0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                "checkout",
            ),
            (
                "platform",
                "2026/11/23/checkout[$LATEST]0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                "checkout",
            ),
            ("/aws/rds/instance/orders-db/postgresql", "orders-db.0", "orders-db"),
            ("/ecs/payments-api", "x", "payments-api"),
            ("/ecs/prod", "web/shop/abc", "shop"),
            ("prod", "web/shop/0f3c9a7e5d1b4c2f8a6e0f3c9a7e5d1b", "shop"),
            ("prod", "web/shop/abc", "prod"),
            ("prod", "logs/web-firelens-0f3c9a7e5d1b4c2f8a6e0f3c9a7e5d1b", "web"),
            ("prod", "web-firelens-x", "prod"),
            ("/aws/containerinsights/prod/application", kubernetes, "auth"),
            ("/aws/containerinsights/prod/host", "ip-10-0-1-7.ec2.internal", "prod"),
            ("/aws/eks/prod/ingress/", "x", "ingress"),
            ("/aws/eks/prod/cluster", "kube-apiserver-audit-0a1b", "prod"),
            ("billing", "", "billing"),
            ("/aws/lambda/", "", "/aws/lambda/"),
            ("/", "//", "/"),
            ("", "containers._", ""),
        ];
        for (log_group, log_stream, app) in cases {
            assert_eq!(of_place(log_group, log_stream).0, app, "{log_group} {log_stream}");
        }
    }

    #[test]
    fn a_message_of_a_log_router_names_its_container() {
        let kubernetes = |members: &str| format!(r#"{{"log":"x","kubernetes":{{{members}}}}}"#);
        let ecs = |name: &str| {
            format!(
                r#"{{"container_name":"{name}","ecs_task_definition":"shop:12","ecs_task_arn":"arn","log":"x"}}"#
            )
        };
        let cases = [
            (
                kubernetes(r#""pod_name":"auth-59f6b76787-f86mt","container_name":"auth""#),
                Some("auth"),
            ),
            (kubernetes(r#""pod_name":"token-store-59f6b76787-f86mt""#), Some("token-store")),
            (kubernetes(r#""pod_name":"log-agent-f86mt""#), Some("log-agent")),
            (kubernetes(r#""pod_name":"orders-db-0""#), Some("orders-db")),
            (kubernetes(r#""pod_name":"plain""#), Some("plain")),
            (kubernetes(r#""labels":{"app":"x"}"#), None),
            (kubernetes(r#""container_name":7"#), None),
            (kubernetes(r#""container_name":"a b""#), None),
            (kubernetes(r#""container_name":"""#), None),
            (kubernetes(&format!(r#""container_name":"{}""#, "a".repeat(129))), None),
            (ecs("/ecs-shop-12-web-a0b1"), Some("web")),
            (ecs("/ecs-shop-12-web-2-8cd0a1e4b2f3a5d4ff01"), Some("web-2")),
            (ecs("web"), Some("web")),
            (ecs("ecs-cart-3-web-a0b1"), Some("ecs-cart-3-web-a0b1")),
            (r#"{"container_name":"uploads","ecs_x":1}"#.to_owned(), None),
            (r#"{"container_name":"uploads"}"#.to_owned(), None),
            (r#"{"kubernetes":{"container_name":"cut"#.to_owned(), None),
            (r#"x {"kubernetes":{"container_name":"a"}}"#.to_owned(), None),
        ];
        for (message, app) in cases {
            assert_eq!(of_message(&message, "/ecs/prod").as_deref(), app, "{message}");
            assert_eq!(
                of_message(&message, "/aws/lambda/operator"),
                None,
                "a function has one app"
            );
        }
    }
}

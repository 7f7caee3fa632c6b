//! An Indexed Job for Kubernetes (1.33 and later), as JSON, which kubectl reads as it reads YAML.

use crate::Exit;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the manifest says.
#[derive(Clone, Debug)]
pub struct KubernetesJob {
    pub name: String,
    pub image: String,
    /// A claim of a volume, which is mounted at `/runs`.
    pub claim: String,
    /// The folder of the runs in the volume.
    pub runs: String,
    pub tasks: usize,
    pub items_per_task: usize,
    pub parallel: usize,
    pub gpus: usize,
    pub cpus: usize,
    pub memory: String,
    /// A queue of Kueue.
    pub queue: Option<String>,
}

/// Where the volume of the runs is in a pod.
const MOUNT: &str = "/runs";

/// Failures of one index that are tried again.
const RETRIES: u32 = 3;

/// Seconds that a pod has to end. A run saves its state within one.
const GRACE: u32 = 30;

impl KubernetesJob {
    /// The manifest.
    pub fn manifest(&self) -> String {
        let text = serde_json::to_string_pretty(&self.job()).expect("a manifest is plain data");
        text + "\n"
    }

    fn job(&self) -> Job {
        let queue = self
            .queue
            .clone()
            .map(|queue| ("kueue.x-k8s.io/queue-name", queue));
        Job {
            api_version: "batch/v1",
            kind: "Job",
            metadata: Metadata {
                name: self.name.clone(),
                labels: queue.into_iter().collect(),
            },
            spec: JobSpec {
                completion_mode: "Indexed",
                completions: self.tasks,
                parallelism: self.parallel.min(self.tasks),
                backoff_limit_per_index: RETRIES,
                max_failed_indexes: self.tasks,
                pod_replacement_policy: "Failed",
                pod_failure_policy: FailurePolicy { rules: rules() },
                template: Template { spec: self.pod() },
            },
        }
    }

    fn pod(&self) -> Pod {
        let mut limits = BTreeMap::from([
            ("cpu", self.cpus.to_string()),
            ("memory", self.memory.clone()),
        ]);
        if self.gpus > 0 {
            limits.insert("nvidia.com/gpu", self.gpus.to_string());
        }
        let runs = format!("{MOUNT}/{}", self.runs);
        let items = self.items_per_task.to_string();
        let arguments = ["batch", "run", &runs, "--items-per-task", &items];
        Pod {
            restart_policy: "Never",
            termination_grace_period_seconds: GRACE,
            containers: vec![Container {
                name: CONTAINER,
                image: self.image.clone(),
                args: arguments.map(String::from).into(),
                resources: Resources { limits },
                volume_mounts: vec![Mount {
                    name: VOLUME,
                    mount_path: MOUNT,
                }],
            }],
            volumes: vec![Volume {
                name: VOLUME,
                persistent_volume_claim: Claim {
                    claim_name: self.claim.clone(),
                },
            }],
        }
    }
}

const CONTAINER: &str = "dreamfuse";
const VOLUME: &str = "runs";

/// What our exit codes ask for: what cannot succeed fails its index, what was saved is started again without being
/// counted, and the rest counts towards the limit of its index.
fn rules() -> Vec<Rule> {
    let on_codes = |action, exits: &[Exit]| Rule {
        action,
        on_exit_codes: Some(OnExitCodes {
            container_name: CONTAINER,
            operator: "In",
            values: exits.iter().map(|exit| exit.code()).collect(),
        }),
        on_pod_conditions: None,
    };
    vec![
        on_codes("FailIndex", &[Exit::Usage, Exit::BadInput, Exit::Failed]),
        on_codes("Ignore", &[Exit::Saved]),
        Rule {
            action: "Ignore",
            on_exit_codes: None,
            on_pod_conditions: Some(vec![Condition {
                kind: "DisruptionTarget",
                status: "True",
            }]),
        },
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: JobSpec,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobSpec {
    completion_mode: &'static str,
    completions: usize,
    parallelism: usize,
    backoff_limit_per_index: u32,
    max_failed_indexes: usize,
    pod_replacement_policy: &'static str,
    pod_failure_policy: FailurePolicy,
    template: Template,
}

#[derive(Serialize)]
struct FailurePolicy {
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_exit_codes: Option<OnExitCodes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_pod_conditions: Option<Vec<Condition>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnExitCodes {
    container_name: &'static str,
    operator: &'static str,
    values: Vec<u8>,
}

#[derive(Serialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
}

#[derive(Serialize)]
struct Template {
    spec: Pod,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    restart_policy: &'static str,
    termination_grace_period_seconds: u32,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: &'static str,
    image: String,
    args: Vec<String>,
    resources: Resources,
    volume_mounts: Vec<Mount>,
}

#[derive(Serialize)]
struct Resources {
    limits: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mount {
    name: &'static str,
    mount_path: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: &'static str,
    persistent_volume_claim: Claim,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    claim_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn manifest(queue: Option<&str>) -> Value {
        let job = KubernetesJob {
            name: "squirrels".into(),
            image: "registry/dreamfuse:0.1.0".into(),
            claim: "shared".into(),
            runs: "squirrels".into(),
            tasks: 40,
            items_per_task: 10,
            parallel: 64,
            gpus: 1,
            cpus: 4,
            memory: "16Gi".into(),
            queue: queue.map(String::from),
        };
        serde_json::from_str(&job.manifest()).unwrap()
    }

    /// The schema takes any text as an action or an operator; these are all that Kubernetes knows.
    #[test]
    fn actions_and_codes_are_those_of_kubernetes_and_of_the_program() {
        let job = manifest(None);
        let rules = job["spec"]["podFailurePolicy"]["rules"].as_array().unwrap();
        for rule in rules {
            let action = rule["action"].as_str().unwrap();
            assert!(
                ["FailJob", "FailIndex", "Ignore", "Count"].contains(&action),
                "{action}"
            );
            let Some(codes) = rule.get("onExitCodes") else {
                continue;
            };
            assert!(["In", "NotIn"].contains(&codes["operator"].as_str().unwrap()));
            let values: Vec<i64> = codes["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_i64().unwrap())
                .collect();
            assert!(values.is_sorted() && !values.contains(&0), "{values:?}");
            assert!(
                values
                    .iter()
                    .all(|code| Exit::of_code(*code as i32).is_some())
            );
            assert_eq!(
                codes["containerName"],
                job["spec"]["template"]["spec"]["containers"][0]["name"]
            );
        }
        let saved = rules
            .iter()
            .find(|rule| rule["onExitCodes"]["values"] == json!([75]));
        assert_eq!(saved.unwrap()["action"], "Ignore");
    }

    #[test]
    fn an_index_is_a_task() {
        let job = manifest(Some("team"));
        let spec = &job["spec"];
        assert_eq!(
            (&spec["completions"], &spec["parallelism"]),
            (&json!(40), &json!(40))
        );
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
        let container = &spec["template"]["spec"]["containers"][0];
        let arguments = json!(["batch", "run", "/runs/squirrels", "--items-per-task", "10"]);
        assert_eq!(container["args"], arguments);
        assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], "1");
        assert_eq!(
            job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
            "team"
        );
        assert!(manifest(None)["metadata"].get("labels").is_none());
    }
}

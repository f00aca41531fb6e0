//! The manifest that `igsite init --kubernetes` writes: by the schema of Kubernetes, and run here as a cluster would run
//! it, container by container.
mod support;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use support::project::Project;
use support::shared_out::{differing, frozen_site, project};

fn documents(project: &Project) -> Vec<Value> {
    let text = project.read("kubernetes.yaml");
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents.map(|one| Value::deserialize(one).unwrap()).collect()
}

/// Reads a document as a kind of Kubernetes. What the schema does not know would be dropped, and what it needs would be
/// filled in: neither may be.
fn by_schema<T: DeserializeOwned + Serialize>(document: &Value) -> T {
    let read: T = serde_json::from_value(document.clone()).unwrap_or_else(|e| panic!("{e}: {document:#}"));
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written, *document, "what the schema makes of it, and what is written");
    read
}

#[test]
fn the_manifest_is_what_kubernetes_knows() {
    let project = project(2, 4);
    project.run(&["init", "--kubernetes"]).ended(0);
    let documents = documents(&project);
    let kinds: Vec<&str> = documents.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["PersistentVolumeClaim", "Job", "Job", "Job"]);
    let _: PersistentVolumeClaim = by_schema(&documents[0]);
    let jobs: Vec<Job> = documents[1..].iter().map(by_schema).collect();
    for job in &jobs {
        assert!(job.metadata.name.is_some());
        let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        // A Job takes no other.
        assert!(["Never", "OnFailure"].contains(&pod.restart_policy.as_deref().unwrap()));
        let volumes: Vec<&str> = pod
            .volumes
            .iter()
            .flatten()
            .map(|volume| volume.name.as_str())
            .collect();
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            for mount in container.volume_mounts.iter().flatten() {
                assert!(volumes.contains(&mount.name.as_str()), "{}", mount.name);
            }
            if let [sh, dash, script] = &container.command.clone().unwrap_or_default()[..] {
                assert_eq!((sh.as_str(), dash.as_str()), ("sh", "-c"));
                let checked = std::process::Command::new("sh")
                    .args(["-n", "-c", script])
                    .output()
                    .unwrap();
                assert!(checked.status.success(), "{script}");
            }
        }
    }
    // The check can fail: a field that is misspelt, of another type, or lacking.
    for (path, value) in [
        ("/spec/completion", serde_json::json!(8)),
        ("/spec/completions", serde_json::json!("8")),
        ("/spec/template", Value::Null),
    ] {
        let mut wrong = documents[2].clone();
        let spec = wrong["spec"].as_object_mut().unwrap();
        let key = path.rsplit('/').next().unwrap();
        match value {
            Value::Null => _ = spec.remove(key),
            value => _ = spec.insert(key.to_owned(), value),
        }
        assert!(std::panic::catch_unwind(|| by_schema::<Job>(&wrong)).is_err(), "{path}");
    }
    // What the API server checks beyond the schema.
    let spec = jobs[1].spec.as_ref().unwrap();
    assert_eq!(spec.completion_mode.as_deref(), Some("Indexed"));
    assert!(spec.backoff_limit_per_index.is_some() && spec.backoff_limit.is_none());
    assert!(spec.max_failed_indexes.unwrap() <= spec.completions.unwrap());
    let pod = spec.template.spec.as_ref().unwrap();
    assert_eq!(
        pod.restart_policy.as_deref(),
        Some("Never"),
        "a policy on failures needs it"
    );
    let rules = &spec.pod_failure_policy.as_ref().unwrap().rules;
    let names: Vec<&str> = pod.containers.iter().map(|container| container.name.as_str()).collect();
    let mut by_code = BTreeMap::new();
    for rule in rules {
        assert!(
            rule.on_exit_codes.is_some() != rule.on_pod_conditions.is_some(),
            "one of them"
        );
        if let Some(codes) = &rule.on_exit_codes {
            assert!(names.contains(&codes.container_name.as_deref().unwrap()) && codes.operator == "In");
            by_code.extend(codes.values.iter().map(|code| (*code, rule.action.as_str())));
        }
    }
    assert_eq!(by_code, BTreeMap::from([(2, "FailIndex"), (75, "Ignore")]));
    // The number of tasks, wherever it stands.
    let count = spec.completions.unwrap().to_string();
    for container in pod.containers.iter().chain(
        jobs[2]
            .spec
            .as_ref()
            .unwrap()
            .template
            .spec
            .as_ref()
            .unwrap()
            .init_containers
            .iter()
            .flatten(),
    ) {
        assert_eq!(variable(container, "IGSITE_SHARDS"), Some(count.clone()));
    }
    // The time that pods get to end is more than igsite takes.
    let grace: i64 = argument(&pod.containers[0], "--grace").parse().unwrap();
    assert!(grace < pod.termination_grace_period_seconds.unwrap());
}

fn variable(container: &Container, name: &str) -> Option<String> {
    let found = container.env.iter().flatten().find(|one| one.name == name)?;
    found.value.clone()
}

fn argument(container: &Container, name: &str) -> String {
    let arguments = container.args.as_ref().unwrap();
    let place = arguments.iter().position(|one| one == name).unwrap();
    arguments[place + 1].clone()
}

#[test]
fn run_as_a_cluster_runs_it_the_manifest_makes_the_site_of_one_process() {
    let whole = project(10, 8);
    whole.run(&["build", "--device", "cpu"]).ended(0);
    let expected = frozen_site(&whole);

    let project = project(10, 8);
    project.run(&["init", "--kubernetes"]).ended(0);
    let jobs: Vec<Job> = documents(&project)[1..].iter().map(by_schema).collect();
    // A container's arguments, in the folder of this project.
    let run = |container: &Container, more: &[(&str, &str)]| {
        let here = project.path(".").display().to_string();
        let arguments = container
            .args
            .iter()
            .flatten()
            .map(|one| if one == "/project" { here.clone() } else { one.clone() });
        let arguments: Vec<String> = arguments.collect();
        let of_manifest: Vec<(String, String)> = container
            .env
            .iter()
            .flatten()
            .filter(|one| one.name != "HF_HOME")
            .filter_map(|one| Some((one.name.clone(), one.value.clone()?)))
            .collect();
        let mut environment: Vec<(&str, &str)> = of_manifest
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        environment.extend(more);
        project.run_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &environment)
    };
    let spec = jobs[1].spec.as_ref().unwrap();
    let compute = &spec.template.spec.as_ref().unwrap().containers[0];
    for index in (0..spec.completions.unwrap()).rev() {
        let index = index.to_string();
        let ran = run(compute, &[("JOB_COMPLETION_INDEX", &index)]);
        assert!(
            ran.ended(0).contains(&format!("shard {index}/8 (Kubernetes")),
            "{}",
            ran.stderr
        );
    }
    let build = &jobs[2]
        .spec
        .as_ref()
        .unwrap()
        .template
        .spec
        .as_ref()
        .unwrap()
        .containers[0];
    run(build, &[]).ended(0);
    assert!(project.path("site/index.html").exists());
    assert_eq!(differing(&frozen_site(&project), &expected), [""; 0]);
}

//! The stack of the template as the documents use it: SAM's transform makes its resources on moto,
//! the commands of `docs/deploy.md` and `docs/operations.md` run as they are, and a log event goes
//! from `put-log-events` to a message. The functions and the commands have the access keys of their
//! roles and policies, and every call is judged: nothing is denied, and nothing is granted that no
//! call needs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::emulator::Surroundings;
use crate::mapping::{DueMapping, Shard, data};
use crate::python::python;
use crate::recorder::Recorder;
use crate::runtime::{Function, Outcome};
use crate::support::parked::{STREAM, failed_invocation, given_up};
use crate::webhooks::{HookAnswer, Webhooks};

const CONFIG: &str = r#"
    window = "1s"
    [[route]]
    name = "drill"
    markers = ["[DRILL]"]
    notify = ["slack:drills"]
    [[route]]
    name = "oncall"
    markers = ["[PAGE]"]
    notify = ["sns:oncall"]
    [[route]]
    name = "alerts"
    markers = ["[ALERT]"]
    notify = ["slack:default"]
    speak_on = ["new"]
"#;

/// What the documents say to run, as far as moto knows the service: document, section, block.
const FIRST_MESSAGE: (&str, &str, usize) = ("docs/deploy.md", "The first message", 0);
const BLOCKS: [(&str, &str, usize); 3] = [
    ("docs/deploy.md", "People", 0),
    ("docs/deploy.md", "Subscribe log groups", 0),
    ("docs/deploy.md", "Configure", 1),
];

const OPERATIONS: &str = "docs/operations.md";

/// Commands of the operations manual that need more than moto and the engine, or that the test runs in another way.
const ELSEWHERE: [&str; 6] = [
    "sam deploy",
    "aws dynamodb restore-table-to-point-in-time",
    "stentor drill",
    "--store \"$URL\"",
    "aws lambda get-account-settings",
    "aws logs describe-account-policies",
];

/// Names in commands, and those of this stack.
const NAMES: [(&str, &str); 5] = [
    ("billing", "alerts"),
    ("role-name ROLE", "role-name ops"),
    ("-name NAME", "-name hello"),
    ("--end-time TIME", "--end-time 2026-11-27T10:00:00Z"),
    (" TIME", " 2026-11-27T09:00:00Z"),
];

struct Stack {
    surroundings: Surroundings,
    recorder: Recorder,
    config: PathBuf,
    /// Outputs, environments and policies.
    json: Value,
    file: PathBuf,
    due: DueMapping,
    kinesis: aws_sdk_kinesis::Client,
    consumer: Function,
    notifier: Function,
    drill: Function,
}

impl Stack {
    async fn deploy() -> Self {
        let surroundings = Surroundings::start("").await;
        let moto = surroundings.aws().endpoint_url().unwrap().to_owned();
        let recorder = Recorder::start(&surroundings.engine_endpoint(), &moto).await;
        let file = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let config = file("stack.toml");
        std::fs::write(&config, CONFIG).unwrap();
        // The engine has these tables: moto is no DynamoDB.
        let parameters = json!({
            "ExistingAlertsTable": "AppLogs", "ExistingOutboxTable": "Outbox", "DrillTarget": "slack:drills",
        });
        std::fs::write(file("stack-parameters.json"), parameters.to_string()).unwrap();
        let parameters = file("stack-parameters.json");
        let created = script(&["create", &moto, parameters.to_str().unwrap()]).await;
        let created_file = file("stack.json");
        std::fs::write(&created_file, created.to_string()).unwrap();
        let function = |name: &'static str, principal: &str, timeout| {
            let endpoint = recorder.endpoint();
            let own = [
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", principal),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_ENDPOINT_URL", &endpoint),
                ("STENTOR_CONFIG", config.to_str().unwrap()),
                ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{name}")),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let variables = created["environments"][principal].as_object().unwrap().iter();
            let variables =
                variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
            Function::new(name, timeout, variables.chain(own).collect())
        };
        let minute = Duration::from_secs(60);
        let [consumer, notifier] =
            [("stentor-consumer", "consumer"), ("stentor-notifier", "notifier")]
                .map(|(name, principal)| function(name, principal, minute));
        let drill = function("stentor-drill", "drill", minute);
        let due = DueMapping {
            client: aws_sdk_sqs::Client::new(surroundings.aws()),
            queue_url: created["outputs"]["DueMessagesUrl"].as_str().unwrap().to_owned(),
        };
        let kinesis = aws_sdk_kinesis::Client::new(surroundings.aws());
        let json = created;
        Self {
            surroundings,
            recorder,
            config,
            json,
            file: created_file,
            due,
            kinesis,
            consumer,
            notifier,
            drill,
        }
    }

    fn output(&self, name: &str) -> &str {
        self.json["outputs"][name].as_str().unwrap_or_else(|| panic!("no output {name}"))
    }

    /// Both mappings, until the work is done.
    async fn while_mapped<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            () = self.map() => unreachable!("the mappings run on"),
        }
    }

    async fn map(&self) {
        let (_, stream) = self.output("StreamArn").rsplit_once('/').unwrap();
        let shards = self.kinesis.list_shards().stream_name(stream).send().await.unwrap();
        let mut iterators = Vec::new();
        for shard in shards.shards() {
            let iterator = self.kinesis.get_shard_iterator().stream_name(stream);
            let iterator = iterator.shard_id(shard.shard_id());
            let iterator =
                iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
            iterators.push((shard.shard_id().to_owned(), iterator.unwrap().shard_iterator));
        }
        loop {
            for (name, iterator) in &mut iterators {
                let page = self.kinesis.get_records().set_shard_iterator(iterator.take());
                let page = page.send().await.unwrap();
                let mut shard = Shard::new(name.clone());
                for record in &page.records {
                    shard.put(STANDARD.encode(record.data.as_ref()));
                }
                if !page.records.is_empty() {
                    let outcome = self.consumer.invoke(&shard.rest(), None).await;
                    assert!(
                        matches!(outcome, Outcome::Answered(_)),
                        "{outcome:?} {}",
                        self.consumer.log()
                    );
                }
                *iterator = page.next_shard_iterator;
            }
            self.due.poll(&self.notifier, None).await;
            // The schedule. A test that ends this loop in the middle leaves a due message unseen for minutes.
            self.notifier.invoke(&json!({"stentor": "sweep"}), None).await;
        }
    }

    async fn put(&self, group: &str, line: &str) {
        let logs = aws_sdk_cloudwatchlogs::Client::new(self.surroundings.aws());
        // It exists after the first line.
        let _ = logs.create_log_stream().log_group_name(group).log_stream_name("a").send().await;
        let now = stentor::adapters::clock::SystemClock;
        let at = stentor::protocol::clock::Clock::now(&now).as_millis();
        let event =
            aws_sdk_cloudwatchlogs::types::InputLogEvent::builder().timestamp(at).message(line);
        let put = logs.put_log_events().log_group_name(group).log_stream_name("a");
        put.log_events(event.build().unwrap()).send().await.unwrap();
    }

    /// A dead letter that has only a position in the stream.
    async fn give_up(&self) {
        let stream = self.output("StreamArn");
        let (_, name) = stream.rsplit_once('/').unwrap();
        let data =
            STANDARD.decode(data("given-up", [("given-up", "[ALERT] late".to_owned())])).unwrap();
        let put = self.kinesis.put_record().stream_name(name).partition_key("p").data(data.into());
        let put = put.send().await.unwrap();
        let letter = given_up(&put.shard_id, &put.sequence_number, &put.sequence_number, 1);
        let send = self.due.client.send_message().queue_url(self.output("DeadLettersUrl"));
        send.message_body(letter.replace(STREAM, stream)).send().await.unwrap();
    }

    /// Commands of a document, in bash, with these outputs and with the webhook as input.
    async fn run(&self, commands: &str, input: &str) -> Output {
        let programs = [invoker(), python(), PathBuf::from(env!("CARGO_BIN_EXE_stentor"))];
        let folders = programs.iter().map(|program| program.parent().unwrap().to_str().unwrap());
        let path = folders.chain(["/usr/bin", "/bin"]).collect::<Vec<_>>().join(":");
        let endpoint = self.recorder.endpoint();
        let outputs = self.json["outputs"].as_object().unwrap();
        let mut bash = tokio::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .env_clear()
            .envs(outputs.iter().map(|(name, value)| (name, value.as_str().unwrap())))
            .envs([("PATH", &*path), ("AWS_ENDPOINT_URL", &endpoint), ("AWS_REGION", "us-east-1")])
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("PYTHON", python())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = bash.stdin.take().unwrap();
        stdin.write_all(format!("{input}\n").as_bytes()).await.unwrap();
        drop(stdin);
        bash.wait_with_output().await.unwrap()
    }

    /// Runs the blocks of commands in the operations manual, and those that say how to look into an alarm.
    async fn operate(&self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stack-operations");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("config")).unwrap();
        std::fs::write(folder.join("config/stentor.toml"), CONFIG).unwrap();
        std::fs::write(folder.join("batch"), failed_invocation("given-up-invocation")).unwrap();
        let manual = document(OPERATIONS);
        for elsewhere in ELSEWHERE {
            assert!(manual.contains(elsewhere), "{elsewhere} is no longer in {OPERATIONS}");
        }
        let is_here =
            |commands: &str| !ELSEWHERE.iter().any(|elsewhere| commands.contains(elsewhere));
        let mut blocks =
            manual.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let setup = blocks.next().expect("the first block sets the outputs");
        let looks = looks(&manual);
        assert!(looks.len() > 20, "{looks:?}");
        let looks = looks.into_iter().filter(|look| is_here(look)).collect::<Vec<_>>().join("\n");
        // The lines of a block are commands of their own, unless they are those of a loop or go on.
        let runnable = |block: &str| {
            let is_one_command = block.contains(" do\n") || block.contains("\\\n");
            if is_one_command && !is_here(block) {
                return String::new();
            }
            block.lines().filter(|line| is_here(line)).map(|line| format!("{line}\n")).collect()
        };
        let blocks = blocks.map(runnable).chain([looks]);
        let start = format!(
            "cd {}; export STENTOR_CONFIG=config/stentor.toml; {setup}\n\
             aws s3 mb s3://my-bucket; aws s3 cp batch \"s3://$FailedBatchesBucket/aws/lambda/async/a\"\nset -x\n",
            folder.display()
        );
        for block in blocks.filter(|block| !block.trim().is_empty()) {
            let commands = NAMES.iter().fold(block, |block, (name, own)| block.replace(name, own));
            let output = self.run(&(start.clone() + &commands), "").await;
            let [out, error] =
                [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
            assert!(output.status.success(), "{commands}\n{out}\n{error}");
        }
    }

    /// `stentor` with the policies of a person.
    async fn stentor(&self, principal: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.surroundings.stentor(arguments);
        command
            .env("AWS_ACCESS_KEY_ID", principal)
            .env("AWS_ENDPOINT_URL", self.recorder.endpoint());
        command.env("AWS_ENDPOINT_URL_DYNAMODB", self.recorder.endpoint());
        command.env("STENTOR_CONFIG", &self.config);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }
}

/// The AWS CLI, except that it does not invoke functions, for which moto needs containers, and fails if it is
/// told to.
fn invoker() -> PathBuf {
    const SCRIPT: &str = r#"#!/bin/bash
if [ "$1 $2" = "${FAIL_ON:-}" ]; then
    echo "Rate exceeded" >&2
    exit 254
elif [ "$1 $2" = "logs tail" ]; then
    # Version 2 has it.
    exec "$(dirname "$PYTHON")/aws" logs filter-log-events --log-group-name "$3"
elif [ "$1" = sqs ]; then
    # Version 1 takes the host of the queue.
    exec "$(dirname "$PYTHON")/aws" --endpoint-url "$AWS_ENDPOINT_URL" "$@"
elif [ "$1 $2" = "lambda invoke" ]; then
    echo null > "${@: -1}"
    echo "${FUNCTION_ERROR:-None}"
else
    exec "$(dirname "$PYTHON")/aws" "$@"
fi
"#;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stack-programs");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("aws");
    std::fs::write(&file, SCRIPT).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    file
}

/// Runs `stack.py`.
async fn script(arguments: &[&str]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/stack.py");
    let mut command = tokio::process::Command::new(python());
    let output = command.arg(script).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The nth block of commands in a section of a document.
fn block((document, section, nth): (&str, &str, usize)) -> String {
    let text = self::document(document);
    let lines = text.lines().skip_while(|line| line.trim_start_matches('#').trim() != section);
    let rest: String = lines.map(|line| format!("{line}\n")).collect();
    let block = rest.split("```sh\n").nth(nth + 1);
    let block = block.unwrap_or_else(|| panic!("{document} has no such block in {section}"));
    block.split("```").next().unwrap().to_owned()
}

fn document(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The commands after "Look" in the sections of the alarms.
fn looks(manual: &str) -> Vec<String> {
    let sections = manual.split("\n- **Look**").skip(1);
    let parts = sections.flat_map(|rest| {
        let item = rest.split("\n- **").next().unwrap().split("\n\n").next().unwrap();
        item.split('`').skip(1).step_by(2)
    });
    let commands = parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let is_command = |part: &String| {
        ["aws ", "stentor ", "warnings "].iter().any(|program| part.starts_with(program))
    };
    commands.filter(is_command).collect()
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..1_200 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} does not happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_of_the_template_works_as_documented_and_with_its_permissions_alone() {
    let answers = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let next = std::sync::Arc::clone(&answers);
    let slack =
        Webhooks::start(move || next.lock().unwrap().pop().unwrap_or(HookAnswer::Accepted)).await;
    let stack = Stack::deploy().await;
    let credentials = slack.credentials("stentor-notifier", &["default", "drills"]);
    let url = credentials["slack:default"].as_str().unwrap();

    // From the sixth command of the tour on, there is a stack.
    let first = block(FIRST_MESSAGE);
    let first = &first[first.find("eval ").expect("the outputs are set")..];
    let output = stack.run(first, url).await;
    assert!(output.status.success(), "{first}\n{}", String::from_utf8_lossy(&output.stderr));
    stack.while_mapped(until("the first message", || slack.posts().len() == 1)).await;
    assert_eq!((&*slack.posts()[0].route, slack.posts()[0].alerts), ("alerts", 1));

    let setup = "aws iam create-role --role-name ops --assume-role-policy-document '{}'
        aws iam create-role --role-name privacy --assume-role-policy-document '{}'
        aws logs create-log-group --log-group-name /aws/app/billing";
    let commands = BLOCKS.iter().map(|name| block(*name));
    for commands in std::iter::once(setup.to_owned()).chain(commands) {
        let output = stack.run(&commands, "").await;
        let [out, error] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{commands}\n{out}\n{error}");
    }

    // A configuration with which the notifier cannot start: the layer of the first run comes back.
    let failing = format!(
        r#"layer() {{ aws cloudformation describe-stacks --stack-name stentor --output text --query \
            "Stacks[0].Parameters[?ParameterKey=='ConfigurationLayerArn'].ParameterValue | [0]"; }}
        before=$(layer)
        drill() {{ aws cloudformation describe-stacks --stack-name stentor --output text --query \
            "Stacks[0].Parameters[?ParameterKey=='DrillTarget'].ParameterValue | [0]"; }}
        deploy() {{ {}; }}
        unchanged() {{ [[ "$before" = arn:*:layer:stentor-configuration:* && "$(layer)" = "$before" && "$(drill)" = slack:drills ]]; }}
        if FUNCTION_ERROR=Unhandled deploy; then exit 3; fi
        unchanged
        for call in "cloudformation describe-stacks" "lambda publish-layer-version" "cloudformation update-stack" \
            "lambda invoke"; do
            if FAIL_ON=$call deploy; then exit 4; fi
            unchanged
        done"#,
        block(BLOCKS[2]).trim()
    );
    let output = stack.run(&failing, "").await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.contains("The old configuration is back."), "{error}");

    // Everything else that the functions do: a drill, a topic, a failure, a refusal, a record that
    // cannot be read, records that come again.
    let secret = stack.output("CredentialsArn");
    let mut credentials = credentials.clone();
    credentials["sns:oncall"] = "arn:aws:sns:us-east-1:123456789012:oncall".into();
    let secrets = aws_sdk_secretsmanager::Client::new(stack.surroundings.aws());
    let put = secrets.put_secret_value().secret_id(secret).secret_string(credentials.to_string());
    put.send().await.unwrap();
    // A new process reads the secret again.
    stack.notifier.invoke(&json!({"stentor": "sweep"}), Some(Duration::ZERO)).await;
    let drilled = stack.while_mapped(drill(&stack)).await;
    assert!(drilled["drill_ms"].is_u64(), "{}", stack.drill.log());
    answers.lock().unwrap().extend([HookAnswer::Refused, HookAnswer::Refused, HookAnswer::Failed]);
    stack.put("hello", "[ALERT] a failure, and then a refusal").await;
    stack.put("/aws/app/billing", "[PAGE] a topic").await;
    let parked = || stack.notifier.log().contains(r#""messages_parked":1"#);
    stack.while_mapped(until("the refusal", parked)).await;
    answers.lock().unwrap().clear();
    let mut shard = Shard::new("shardId-000000000000".to_owned());
    shard.put("bm8gZ3ppcA==".to_owned());
    stack.consumer.invoke(&shard.rest(), None).await;
    stack.notifier.invoke(&json!({"stentor": "sweep"}), None).await;

    stack.give_up().await;

    // The commands of people.
    let config = stack.config.to_str().unwrap().to_owned();
    let (code, text) = stack.stentor("reader", &["alerts", "--stack", "stentor", "--json"]).await;
    assert_eq!((code, text.lines().count()), (Some(0), 4), "{text}");
    let alert: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let log_id = alert["log_id"].as_str().unwrap();
    let export = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stack-export.jsonl");
    // A former run may have left it.
    let _ = std::fs::remove_file(&export);
    let (export, group) = (export.to_str().unwrap(), stack.output("DrillLogGroup"));
    let commands = [
        format!("reader trace {log_id}"),
        "reader patterns".to_owned(),
        format!("operator check --config {config}"),
        format!("operator drill --target slack:drills --config {config} --log-group {group}"),
        "operator replay --dry-run".to_owned(),
        "operator replay --kind message".to_owned(),
        "operator replay --kind batch".to_owned(),
        format!("operator replay --discard --reason not-gzip --export {export}"),
        "operator mute alerts --for 1h".to_owned(),
        "operator send-test slack:default".to_owned(),
        "operator send-test sns:oncall".to_owned(),
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').chain(["--stack", "stentor"]).collect();
        let (code, text) = stack.while_mapped(stack.stentor(words[0], &words[1..])).await;
        assert_eq!(code, Some(0), "{command}: {text}");
    }

    stack.while_mapped(stack.operate()).await;

    // Two thousand alerts that come again: the consumer reads rows before it writes the later ones.
    let ids: Vec<String> = (0..2_000).map(|n| format!("many-{n}")).collect();
    let mut many = Shard::new("shardId-000000000001".to_owned());
    many.put(data("many", ids.iter().map(|id| (&**id, format!("[ALERT] {id}")))));
    for _ in 0..2 {
        stack.consumer.invoke(&many.rest(), None).await;
    }

    // Rows, epochs and, because no notifier runs now, tallies.
    for more in ["--json", "--yes"] {
        let erase = ["erase", "--stack", "stentor", "--subject", "[ALERT]", more];
        let (code, text) = stack.stentor("erasure", &erase).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(!text.contains("\"tallies\": 0") && !text.contains("0 tallies"), "{text}");
    }

    let calls = stack.recorder.write("stack-calls.jsonl");
    let judged = script(&["judge", stack.file.to_str().unwrap(), calls.to_str().unwrap()]).await;
    assert_eq!(judged["denied"], json!([]), "{judged:#}");
    // A consumer reads what is news to a route from its second day on.
    let later =
        "consumer: dynamodb:BatchGetItem on arn:aws:dynamodb:us-east-1:123456789012:table/Outbox";
    assert_eq!(judged["unused"], json!([later]), "{judged:#}");
}

/// A drill by the function, whose log Lambda puts into its log group. The metrics of its result.
async fn drill(stack: &Stack) -> Value {
    let event = json!({});
    let invocation = stack.drill.invoke(&event, None);
    let ship = async {
        let is_drill = |line: &&str| line.contains("[DRILL]");
        until("the line of the drill", || stack.drill.log().lines().any(|line| is_drill(&line)))
            .await;
        let log = stack.drill.log();
        stack.put("/aws/lambda/stentor-drill", log.lines().find(is_drill).unwrap()).await;
    };
    let (outcome, ()) = futures::future::join(invocation, ship).await;
    assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
    stack.drill.summaries().into_values().next().expect("a summary of the drill")
}

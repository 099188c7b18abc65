//! Operations: statuses, the event stream, resuming it, stopping the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::io::BufRead;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use harness::{Answer, Request, Server, read_chunk};
use nacre::jobs::{Failure, JobError, NewJob, Outcome, Progress};
use serde_json::{Value, json};
use uuid::Uuid;

fn submit<F>(server: &Server, token: &str, work: F) -> Uuid
where
    F: FnOnce(&Progress) -> Result<Outcome, JobError> + Send + 'static,
{
    let job = NewJob { user: server.user_id(token), kind: "test", workspace: None, profile: None };
    let state = server.running.as_ref().unwrap().state();
    server.runtime.block_on(state.jobs().submit(job, work)).unwrap()
}

fn open(server: &Server, token: &str, id: Uuid, last: Option<u64>) -> impl BufRead + use<> {
    let path = format!("/v1/notifications/stream?operation_id={id}");
    let mut request = Request::new("GET", &path).token(token);
    if let Some(last) = last {
        request = request.header("last-event-id", &last.to_string());
    }
    let mut stream = request.open(server.addr);
    let head = Answer::read_head(&mut stream);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    stream
}

/// The events until the stream ends, as `(id, data)`.
fn events(stream: &mut impl BufRead) -> Vec<(u64, Value)> {
    let mut text = String::new();
    while let Some(chunk) = read_chunk(stream) {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        (field("id: ").parse().unwrap(), serde_json::from_str(&field("data: ")).unwrap())
    };
    text.split("\n\n").filter(|block| block.contains("data: ")).map(event).collect()
}

#[test]
fn a_stream_tells_everything_and_resumes_where_it_broke_off() {
    let server = Server::start();
    let token = server.user("ada");
    let (go, wait) = mpsc::channel::<()>();
    let id = submit(&server, &token, move |progress| {
        wait.recv().unwrap();
        progress.step("Fetching transactions", 12, 50);
        Ok(Outcome { failures: Vec::new(), summary_json: Some(r#"{"records":3}"#.to_owned()) })
    });
    let mut live = open(&server, &token, id, None);
    go.send(()).unwrap();
    let all = events(&mut live);
    let phases: Vec<_> = all.iter().map(|(_, data)| data["phase"].clone()).collect();
    assert_eq!(phases, ["Queued", "Running", "Progress", "Succeeded"]);
    let expected = json!({
        "operation_id": id, "phase": "Progress", "level": "Info", "message": "Fetching transactions",
        "progress": { "current": 12, "total": 50 }
    });
    assert_eq!(all[2], (3, expected));
    assert_eq!(events(&mut open(&server, &token, id, Some(2))), all[2..]);
    assert_eq!(events(&mut open(&server, &token, id, Some(4))), []);

    let record = server.get(&format!("/v1/operations/{id}"), &token).json();
    assert_eq!(
        (&record["status"], &record["result"]["summary"]["records"]),
        (&json!("Succeeded"), &json!(3))
    );
    assert_eq!(server.get("/v1/operations", &token).json()["items"][0], record);
    let eve = server.user("eve");
    let path = format!("/v1/notifications/stream?operation_id={id}");
    server.get(&path, &eve).is_problem(404, "not_found");
    server.get("/v1/notifications/stream", &eve).is_problem(422, "invalid_query");
    server.send("DELETE", &format!("/v1/operations/{id}"), &token, "").is_problem(409, "operation_finished");

    let folder = server.stop();
    let server = Server::on(folder, |_| ());
    let told_again = events(&mut open(&server, &token, id, None));
    assert_eq!(told_again.last().unwrap().1["phase"], "Succeeded", "after a restart the end is still told");
}

#[test]
fn failures_and_cancellation_are_statuses_of_their_own() {
    let server = Server::start();
    let token = server.user("ada");
    let connection = Uuid::now_v7();
    let failure = Failure {
        connection: Some(connection),
        code: "unreachable".to_owned(),
        message: "no answer".to_owned(),
    };
    let partly =
        submit(&server, &token, move |_| Ok(Outcome { failures: vec![failure], summary_json: None }));
    let whole = submit(&server, &token, |_| {
        Err(JobError::Failed { code: "broken", message: "it broke".to_owned(), failures: Vec::new() })
    });
    let stopped = submit(&server, &token, wait_for_cancel);
    assert_eq!(server.send("DELETE", &format!("/v1/operations/{stopped}"), &token, "").status, 202);
    for (id, phase) in [(partly, "SucceededWithFailures"), (whole, "Failed"), (stopped, "Cancelled")] {
        let last = events(&mut open(&server, &token, id, None)).pop().unwrap().1;
        assert_eq!(last["phase"], phase);
        let record = server.get(&format!("/v1/operations/{id}"), &token).json();
        assert_eq!(record["status"], phase);
    }
    let record = server.get(&format!("/v1/operations/{partly}"), &token).json();
    let expected = json!({ "connection_id": connection, "code": "unreachable", "message": "no answer" });
    assert_eq!(record["result"]["failures"], json!([expected]));
    let record = server.get(&format!("/v1/operations/{whole}"), &token).json();
    assert_eq!(record["error"]["code"], "broken");
}

#[test]
fn stopping_ends_streams_and_jobs_and_says_so_after_the_restart() {
    let server = Server::start();
    let token = server.user("ada");
    let id = submit(&server, &token, wait_for_cancel);
    let mut stream = open(&server, &token, id, None);
    let started = Instant::now();
    let folder = server.stop();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    events(&mut stream);
    let server = Server::on(folder, |_| ());
    let record = server.get(&format!("/v1/operations/{id}"), &token).json();
    assert_eq!((&record["status"], &record["error"]["code"]), (&json!("Failed"), &json!("interrupted")));
}

fn wait_for_cancel(progress: &Progress) -> Result<Outcome, JobError> {
    while !progress.is_cancelled() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(JobError::Cancelled)
}

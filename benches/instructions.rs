//! How many instructions does an invocation take? Unlike time, that does not depend on what else
//! the machine does, so `tests/tools/instructions.sh` makes it a check of the gate.
//!
//! `make DIR` writes payloads; `nothing|inflate-ready|inflate|naive|stentor FILE` does that, once.
//! What comes before the work is subtracted: `nothing` reads the file, `inflate-ready` also unpacks
//! its base64.

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;

use support::{Inflate, LOGS, miniz, naive, payload_of, routes, stentor};

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [way, path] = &arguments[..] else { return };
    if way == "make" {
        for logs in LOGS {
            for (name, parts) in &logs.shapes[..2] {
                let path = format!("{path}/{name}-{}.json", logs.per_request);
                std::fs::write(path, payload_of(logs.per_request, parts, 0.001))
                    .expect("a scratch directory");
            }
        }
        return;
    }
    let text = std::fs::read_to_string(path).expect("a payload");
    // On the calling thread: a worker's waiting is no work.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .expect("a pool");
    let routes = routes();
    match way.as_str() {
        "inflate-ready" => drop(black_box(Inflate::of(&text))),
        "inflate" => drop(black_box(Inflate::of(&text).run())),
        "naive" => drop(black_box(naive(&text, miniz))),
        "stentor" => drop(black_box(pool.install(|| stentor(&routes, routes.decoder(), &text)))),
        _ => {}
    }
}

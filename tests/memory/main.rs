//! The memory of the program. Allocations are counted for the whole process, and processes are
//! measured while nothing else runs. So the tests are one program without the usual harness; it
//! runs them one after the other. `cargo test --locked --test memory heap` runs those with `heap`
//! in their name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../benches/support/connector.rs"]
mod connector;
mod copies;
#[path = "../../benches/support/counting.rs"]
mod counting;
#[path = "../../benches/support/flood.rs"]
mod flood;
mod heap;
mod limits;
mod measured;
mod patterns;
mod run;
mod window;

use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

macro_rules! tests {
    ($($module:ident :: $test:ident),+ $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($test)), $module::$test as fn())),+]
    };
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, command @ ..] = &arguments[..]
        && first == measured::PARENT
    {
        measured::as_parent(command);
        return ExitCode::SUCCESS;
    }
    let tests = tests![
        copies::a_message_is_copied_once_for_the_alert_and_once_for_the_request,
        heap::the_heap_holds_the_buffers_of_the_workers_and_little_else,
        limits::send_test_reads_a_bounded_part_of_an_answer_without_end,
        limits::a_credentials_file_without_an_end_is_refused,
        limits::a_file_of_letters_is_read_in_bounded_memory,
        limits::a_file_that_holds_no_letters_is_refused_with_a_reason,
        limits::a_number_out_of_range_is_a_usage_error_that_names_the_range,
        patterns::the_patterns_of_any_log_are_found_in_bounded_memory,
        run::the_largest_event_with_forty_megabytes_of_logs_stays_small,
        run::bombs_are_parked_before_they_take_memory,
        window::a_window_of_a_million_tallies_closes_in_bounded_memory,
    ];
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let parts: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted =
        |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let mut failed = Vec::new();
    for (name, test) in tests.iter().filter(|(name, _)| is_wanted(name)) {
        println!("test {name}");
        if catch_unwind(test).is_err() {
            failed.push(name);
        }
    }
    println!("failed: {failed:?}");
    ExitCode::from(u8::from(!failed.is_empty()))
}

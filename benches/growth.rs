//! How does cost grow with the logs of an invocation, with threads, with the share of events that match, and
//! what does a terabyte of logs cost?
//!
//! `cargo run --release --example growth` measures, draws and writes `docs/performance.json`,
//! `docs/performance/*.svg` and the tables of `docs/performance.md`. A number behind `--` is the count of rounds
//! (default 11); `-- write` measures nothing and does the rest from the figures that are there, with the prices
//! of `docs/prices.toml`.

#[path = "support/child.rs"]
mod child;
#[path = "growth/cost.rs"]
mod cost;
#[path = "growth/figures.rs"]
mod figures;
#[path = "growth/measure.rs"]
mod measure;
#[path = "growth/plot.rs"]
mod plot;
#[path = "growth/report.rs"]
mod report;
#[path = "support/mod.rs"]
mod support;

use cost::Prices;
use figures::{Figures, path};

#[global_allocator]
static ALLOCATOR: measure::Counting = measure::Counting;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child", way, file] => measure::child(way, file),
        ["write"] => write(&Figures::read()),
        [] => measured(11),
        [rounds] => measured(rounds.parse().expect("a count of rounds, `write`, or nothing")),
        _ => eprintln!("a count of rounds, `write`, or nothing"),
    }
}

fn measured(rounds: usize) {
    let figures = measure::all(rounds);
    let text = serde_json::to_string_pretty(&figures).expect("plain data");
    std::fs::write(path("performance.json"), text + "\n").expect("docs/ can be written");
    write(&figures);
}

fn write(figures: &Figures) {
    let prices = Prices::read();
    plot::all(figures, &prices);
    report::write(figures, &prices);
}

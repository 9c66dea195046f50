//! `docs/performance.md` says what its figures and prices say, and the model is the one that it describes.

#[path = "../benches/growth/cost.rs"]
mod cost;
#[path = "../benches/growth/figures.rs"]
mod figures;
#[path = "../benches/growth/report.rs"]
mod report;

use cost::{Architecture, Prices, Way, bill};
use figures::{Cost, Figures, Invocation, Point, Stored};

#[test]
fn the_tables_are_those_of_the_figures_and_prices() {
    let page = std::fs::read_to_string(figures::path("performance.md")).unwrap();
    let tables = report::tables(&Figures::read(), &Prices::read());
    assert!(report::part(&page) == tables, "run: cargo run --release --example growth -- write");
}

/// Reckoned by hand from the formulas of the page.
#[test]
fn a_row_of_the_model_is_what_the_formulas_say() {
    let cost = |ms| Cost { ms, heap_bytes: None, process_bytes: 0 };
    let point = Point {
        invocation: Invocation {
            records: 10,
            events: 10_000,
            match_ratio: 0.1,
            payload_bytes: 0,
            gzip_bytes: 1_000_000,
            decoded_bytes: 10_000_000,
            kinesis_kib: 1024,
            put_units: 40,
        },
        stentor: cost(39.0),
        stentor_finds: cost(0.0),
        naive: cost(100.0),
        python: cost(0.0),
        inflate_ms: 0.0,
    };
    let stored = Stored {
        match_ratio: 0.1,
        events: 10_000,
        decoded_bytes: 10_000_000,
        alerts: 1_000,
        row_bytes: 900_000,
        index_bytes: 400_000,
        row_kib: 1_000,
        index_kib: 1_000,
        tallies: 11,
        tally_kib: 88,
        epoch_kib: 20,
    };
    let mut prices: Prices = Prices::read();
    prices.lambda.arm64_gb_second = 1e-5;
    prices.lambda.request = 0.2;
    prices.dynamodb.write_unit = 0.5;
    prices.dynamodb.read_unit = 0.1;
    prices.assumed = cost::Assumed {
        architecture: Architecture::Arm64,
        memory_mb: 1024.0,
        vcpu_slowness: 2.0,
        overhead_ms: 2.0,
        call_ms: 20.0,
        call_cpu_ms: 1.0,
        arm_ms: 5.0,
        tb_per_day: 1.0,
        windows_per_day: 100.0,
        stream_retention_hours: 48.0,
        alert_retention_days: 90.0,
        shard_used: 0.5,
        index_factor: 1.0,
    };

    // 100,000 invocations of 1,000 alerts in 11 transactions, which take two rounds of eight.
    let stentor = bill(&prices, &point, &stored, Way::Stentor, 1769.0);
    assert_eq!((stentor.invocations, stentor.billed_ms), (100_000.0, 39.0 * 2.0 + 11.0 + 2.0 + 40.0 + 5.0));
    close(stentor.gb_seconds, 100_000.0 * 0.136 * 1769.0 / 1024.0);
    close(stentor.lambda, stentor.gb_seconds * 1e-5 + 0.02);
    let epochs = 100.0 + 1_100_000.0 / 97.0;
    close(stentor.write_units, 100_000.0 * (2_000.0 + 1_000.0 + 4.0 * 88.0) + epochs * 62.0 + 500.0);
    close(stentor.read_units, 100_000.0 * (1.0 + 88.0 / 4.0));
    close(stentor.dynamodb, stentor.write_units * 0.5e-6 + stentor.read_units * 0.1e-6);

    // Half the memory is half the vCPU: computing takes twice as long, waiting does not.
    let half = bill(&prices, &point, &stored, Way::Stentor, 884.5);
    assert_eq!(half.billed_ms, 2.0 * 89.0 + 47.0);

    // 40 calls in five rounds; each row and its index once.
    let naive = bill(&prices, &point, &stored, Way::Naive, 1769.0);
    assert_eq!((naive.billed_ms, naive.write_units), (200.0 + 40.0 + 2.0 + 100.0, 200_000_000.0));
    assert_eq!((naive.storage, naive.kinesis), (stentor.storage, stentor.kinesis));
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= wanted.abs() * 1e-9, "{found} instead of {wanted}");
}

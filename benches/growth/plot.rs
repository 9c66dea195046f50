//! Draws the figures as SVG: two panels in each picture, text left to the reader's fonts, a white ground for
//! dark pages, and the colours of Okabe and Ito, which a colour-blind reader can tell apart.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::cost::{Bill, Prices, Way};
use crate::figures::{Cost, Figures, Point, path};

const SIZE: (u32, u32) = (960, 420);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);

const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
const ORANGE: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
const RED: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const GREEN: RGBColor = RGBColor(0x00, 0x9E, 0x73);
const PINK: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A line and the name of its colour.
struct Series {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The titles of a panel: what is shown, and its axes with their units.
struct Titles {
    panel: &'static str,
    x: &'static str,
    y: &'static str,
}

pub fn all(figures: &Figures, prices: &Prices) {
    std::fs::create_dir_all(path("performance")).expect("docs/ can be written");
    logs(figures);
    threads(figures);
    matches(figures);
    cost(figures, prices);
}

fn logs(figures: &Figures) {
    let at = |point: &Point| point.invocation.decoded_bytes as f64 / 1e6;
    let ways = |of: fn(&Cost) -> f64| ways(&figures.logs, at, of, false);
    let mut times = ways(|cost| cost.ms);
    times.push(limit(&figures.logs, at));
    let memory = ways(|cost| cost.process_bytes as f64 / 1e6);
    let x = "logs per invocation, decompressed (MB)";
    picture("logs", &times, |left, right| {
        let axis = span(&times, |point| point.0);
        let titles = Titles { panel: "Time of an invocation", x, y: "milliseconds" };
        panel(left, &titles, axis.clone().log_scale(), span(&times, |point| point.1).log_scale(), &times, &number);
        let titles = Titles { panel: "Memory of the process", x, y: "MB at the most" };
        panel(right, &titles, axis.log_scale(), 0.0..top(&memory), &memory, &number);
    });
}

fn matches(figures: &Figures) {
    let ratios: Vec<f64> = figures.matches.iter().map(|point| point.invocation.match_ratio).collect();
    // Equally far apart: nought has no place on a logarithmic axis.
    let at = |point: &Point| place(&ratios, point.invocation.match_ratio);
    let mut times = ways(&figures.matches, at, |cost| cost.ms, true);
    times.push(limit(&figures.matches, at));
    let memory = ways(&figures.matches, at, |cost| cost.process_bytes as f64 / 1e6, true);
    let x = "log events that match";
    let name = |at: &f64| label(&ratios, *at, percent);
    picture("matches", &times, |left, right| {
        let axis = -0.3..ratios.len() as f64 - 0.7;
        let titles = Titles { panel: "Time of a full invocation", x, y: "milliseconds" };
        panel(left, &titles, axis.clone(), 0.0..top(&times), &times, &name);
        let titles = Titles { panel: "Memory of the process", x, y: "MB at the most" };
        panel(right, &titles, axis, 0.0..top(&memory), &memory, &name);
    });
}

fn threads(figures: &Figures) {
    let mut counts: Vec<f64> = figures.threads.iter().map(|point| point.threads as f64).collect();
    counts.sort_by(f64::total_cmp);
    counts.dedup();
    let shapes = |of: &dyn Fn(&crate::figures::Threads) -> f64| {
        ["68 records of 1,000 log events", "10 records of 7,000 log events"]
            .into_iter()
            .zip([BLUE, RED])
            .map(|(name, colour)| {
                let these = figures.threads.iter().filter(|point| point.shape == name);
                let points = these.map(|point| (place(&counts, point.threads as f64), of(point))).collect();
                Series { name, colour, points }
            })
            .collect::<Vec<_>>()
    };
    let (times, memory) = (shapes(&|point| point.ms), shapes(&|point| point.heap_bytes as f64 / 1e6));
    let name = |at: &f64| label(&counts, *at, |count| count.to_string());
    picture("threads", &times, |left, right| {
        let axis = -0.3..counts.len() as f64 - 0.7;
        let titles = Titles { panel: "Time of a full invocation, Stentor", x: "threads", y: "milliseconds" };
        panel(left, &titles, axis.clone(), 0.0..top(&times), &times, &name);
        let titles = Titles { panel: "Heap beside the payload, Stentor", x: "threads", y: "MB at the most" };
        panel(right, &titles, axis, 0.0..top(&memory), &memory, &name);
    });
}

fn cost(figures: &Figures, prices: &Prices) {
    let ratios: Vec<f64> = figures.matches.iter().map(|point| point.invocation.match_ratio).collect();
    let line = |name, colour, way, of: fn(&Bill) -> f64| {
        let at = |ratio: &f64| (place(&ratios, *ratio), of(&figures.bill(prices, way, *ratio)));
        Series { name, colour, points: ratios.iter().map(at).filter(|point| point.1 > 0.0).collect() }
    };
    let parts = [
        line("Kinesis", GREY, Way::Stentor, |bill| bill.kinesis),
        line("DynamoDB, requests", RED, Way::Stentor, |bill| bill.dynamodb),
        line("DynamoDB, rows kept", PINK, Way::Stentor, |bill| bill.storage),
        line("Lambda, Stentor", BLUE, Way::Stentor, |bill| bill.lambda),
    ];
    let lambda = [
        line("Lambda, Stentor", BLUE, Way::Stentor, |bill| bill.lambda),
        line("Lambda, naive Rust", ORANGE, Way::Naive, |bill| bill.lambda),
        line("Lambda, Python", GREEN, Way::Python, |bill| bill.lambda),
    ];
    let legend: Vec<&Series> = parts.iter().chain(&lambda[1..]).collect();
    let x = "log events that match";
    let name = |at: &f64| label(&ratios, *at, percent);
    picture_with("cost", &legend, |left, right| {
        let axis = -0.3..ratios.len() as f64 - 0.7;
        let titles = Titles { panel: "A terabyte of logs through Stentor", x, y: "US dollars" };
        panel(left, &titles, axis.clone(), span(&parts, |point| point.1).log_scale(), &parts, &name);
        let titles = Titles { panel: "Lambda's part of it, each way", x, y: "US dollars" };
        panel(right, &titles, axis, span(&lambda, |point| point.1).log_scale(), &lambda, &name);
    });
}

/// The ways that are functions; where matches are few, finding alone lies on Stentor's own line.
fn ways(points: &[Point], at: impl Fn(&Point) -> f64, of: impl Fn(&Cost) -> f64, finds: bool) -> Vec<Series> {
    let line = |name, colour, cost: fn(&Point) -> &Cost| {
        let points = points.iter().map(|point| (at(point), of(cost(point)))).collect();
        Series { name, colour, points }
    };
    let mut lines = vec![
        line("Python handler", GREEN, |point| &point.python),
        line("naive Rust", ORANGE, |point| &point.naive),
        line("Stentor", BLUE, |point| &point.stentor),
    ];
    if finds {
        lines.push(line("Stentor, finding alone", SKY, |point| &point.stentor_finds));
    }
    lines
}

fn limit(points: &[Point], at: impl Fn(&Point) -> f64) -> Series {
    let points = points.iter().map(|point| (at(point), point.inflate_ms)).collect();
    Series { name: "inflate alone (the limit)", colour: GREY, points }
}

fn place(of: &[f64], wanted: f64) -> f64 {
    of.iter().position(|value| *value == wanted).expect("one of them") as f64
}

/// Between two places there is nothing to be named.
fn label(of: &[f64], at: f64, name: fn(f64) -> String) -> String {
    let whole = (at - at.round()).abs() < 0.01;
    of.get(at.round() as usize).filter(|_| whole).map_or_else(String::new, |value| name(*value))
}

fn percent(ratio: f64) -> String {
    format!("{} %", ratio * 100.0)
}

fn number(value: &f64) -> String {
    format!("{value}")
}

/// A little more than the highest.
fn top(lines: &[Series]) -> f64 {
    1.08 * lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max)
}

/// A little more than all, for a logarithmic axis.
fn span(lines: &[Series], of: impl Fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
    let values = lines.iter().flat_map(|line| &line.points).map(of);
    let (low, high) = values.fold((f64::MAX, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    low / 1.25..high * 1.25
}

fn picture(name: &str, legend: &[Series], draw: impl Fn(&Area<'_>, &Area<'_>)) {
    picture_with(name, &legend.iter().collect::<Vec<_>>(), draw);
}

fn picture_with(name: &str, legend: &[&Series], draw: impl Fn(&Area<'_>, &Area<'_>)) {
    let file = path(&format!("performance/{name}.svg"));
    let root = SVGBackend::new(&file, SIZE).into_drawing_area();
    root.fill(&WHITE).expect("a picture");
    let (head, body) = root.split_vertically(36);
    let mut x = 24;
    for line in legend {
        head.draw(&PathElement::new([(x, 20), (x + 18, 20)], line.colour.stroke_width(3))).expect("a picture");
        head.draw(&mark((x + 9, 20), line.colour)).expect("a picture");
        let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        head.draw(&Text::new(line.name, (x + 24, 21), style)).expect("a picture");
        // Whoever shows the picture has the font; seven pixels a letter is about what it takes.
        x += 40 + 7 * line.name.chars().count() as i32;
    }
    let [left, right] = &body.split_evenly((1, 2))[..] else { unreachable!("one row of two") };
    draw(left, right);
    root.present().expect("docs/performance can be written");
}

fn panel<X, Y>(area: &Area<'_>, titles: &Titles, x: X, y: Y, lines: &[Series], name: &dyn Fn(&f64) -> String)
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(titles.panel, (FONT, 16).into_font().color(&INK))
        .x_label_area_size(46)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y)
        .expect("a panel");
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xDD, 0xDD, 0xDD))
        .axis_style(INK)
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .x_desc(titles.x)
        .y_desc(titles.y)
        .x_labels(8)
        .y_labels(8)
        .x_label_formatter(&|at| name(at))
        .y_label_formatter(&number)
        .draw()
        .expect("a panel");
    for line in lines {
        chart.draw_series(LineSeries::new(line.points.iter().copied(), line.colour.stroke_width(3))).expect("a line");
        chart.draw_series(line.points.iter().map(|point| mark(*point, line.colour))).expect("its points");
    }
}

fn mark<C>(at: C, colour: RGBColor) -> Circle<C, i32> {
    Circle::new(at, 4, colour.filled())
}

//! Pictures of the dashboards, drawn from recorded figures. A panel on a metric of AWS has none.

use std::fmt::Write as _;

use super::figures::{Figures, MINUTES};
use super::{Alarm, Description, Panel, Unit, lines};

const WIDTH: usize = 1200;
const PANEL_HEIGHT: usize = 190;
const HEADING: usize = 34;
/// Room left of and below the lines of a panel.
const LEFT: usize = 52;
const BOTTOM: usize = 40;

#[derive(Clone, Copy, PartialEq)]
pub enum Look {
    CloudWatch,
    Grafana,
}

struct Colors {
    page: &'static str,
    panel: &'static str,
    edge: &'static str,
    text: &'static str,
    faint: &'static str,
    lines: [&'static str; 6],
}

impl Look {
    fn colors(self) -> Colors {
        match self {
            Self::CloudWatch => Colors {
                page: "#f2f3f3",
                panel: "#ffffff",
                edge: "#d5dbdb",
                text: "#16191f",
                faint: "#687078",
                lines: ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf"],
            },
            Self::Grafana => Colors {
                page: "#111217",
                panel: "#181b1f",
                edge: "#2c3235",
                text: "#ccccdc",
                faint: "#8e8e9b",
                lines: ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff9830", "#b877d9", "#37872d"],
            },
        }
    }
}

pub fn picture(
    description: &Description,
    alarms: &[Alarm],
    figures: &Figures,
    look: Look,
) -> String {
    let colors = look.colors();
    let (mut content, mut y) = (String::new(), 8);
    for question in &description.question {
        let (text, title) = (colors.text, escaped(&question.title));
        writeln!(
            content,
            r#"<text x="12" y="{}" font-size="17" font-weight="600" fill="{text}">{title}</text>"#,
            y + 22
        )
        .unwrap();
        y += HEADING;
        for row in question.panel.chunks(question.columns()) {
            let width = (WIDTH - 8) / row.len();
            for (column, panel) in row.iter().enumerate() {
                let drawn = Drawing { panel, alarms, figures, look, width: width - 8 }.draw();
                let x = 8 + column * width;
                writeln!(content, r#"<g transform="translate({x},{y})">{drawn}</g>"#).unwrap();
            }
            y += PANEL_HEIGHT + 8;
        }
    }
    format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="sans-serif">"#,
            "\n<rect width=\"{w}\" height=\"{h}\" fill=\"{page}\"/>\n{content}</svg>\n"
        ),
        w = WIDTH,
        h = y,
        page = colors.page,
        content = content
    )
}

struct Drawing<'a> {
    panel: &'a Panel,
    alarms: &'a [Alarm],
    figures: &'a Figures,
    look: Look,
    width: usize,
}

impl Drawing<'_> {
    fn draw(&self) -> String {
        let Colors { panel: background, edge, text, faint, lines: palette, .. } =
            self.look.colors();
        let lines: Vec<(String, Vec<Option<u64>>)> =
            self.panel.series.iter().flat_map(|one| lines(one, self.panel, self.figures)).collect();
        let mut svg = format!(
            concat!(
                r#"<rect width="{w}" height="{h}" rx="3" fill="{background}" stroke="{edge}"/>"#,
                r#"<text x="10" y="19" font-size="13" font-weight="600" fill="{text}">{title}</text>"#
            ),
            w = self.width,
            h = PANEL_HEIGHT,
            background = background,
            edge = edge,
            text = text,
            title = escaped(&self.panel.title)
        );
        let thresholds = self.panel.thresholds(self.alarms);
        let has_data = lines.iter().any(|(_, values)| values.iter().any(Option::is_some));
        let highest = lines.iter().flat_map(|(_, values)| values).flatten().max();
        let highest = thresholds.iter().map(|alarm| &alarm.threshold).chain(highest).max();
        let top = nice(highest.copied().unwrap_or_default());
        self.grid(&mut svg, top, edge, faint);
        for (index, alarm) in thresholds.iter().enumerate() {
            let y = self.y(alarm.threshold, top);
            let end = self.width - 10;
            let label_y = y - 3.0 - 11.0 * index as f64;
            write!(
                svg,
                concat!(
                    r##"<line x1="{x}" y1="{y:.1}" x2="{end}" y2="{y:.1}" stroke="#d62728" stroke-dasharray="4 3"/>"##,
                    r##"<text x="{end}" y="{label_y:.1}" font-size="10" text-anchor="end" fill="#d62728">{name}</text>"##
                ),
                x = LEFT,
                y = y,
                end = end,
                label_y = label_y,
                name = alarm.name
            )
            .unwrap();
        }
        let mut legend_x = 10;
        for ((label, values), color) in lines.iter().zip(palette.iter().cycle()) {
            self.line(&mut svg, values, top, color);
            let y = PANEL_HEIGHT - 8;
            write!(
                svg,
                concat!(
                    r#"<rect x="{x}" y="{ry}" width="8" height="8" fill="{color}"/>"#,
                    r#"<text x="{tx}" y="{y}" font-size="10" fill="{faint}">{label}</text>"#
                ),
                x = legend_x,
                ry = y - 8,
                color = color,
                tx = legend_x + 12,
                y = y,
                faint = faint,
                label = escaped(label)
            )
            .unwrap();
            legend_x += 24 + label.chars().count() * 6;
        }
        if !has_data {
            let (x, y) = (self.width / 2, PANEL_HEIGHT / 2);
            write!(
                svg,
                r#"<text x="{x}" y="{y}" font-size="11" text-anchor="middle" fill="{faint}">AWS writes this metric</text>"#
            )
            .unwrap();
        }
        svg
    }

    fn grid(&self, svg: &mut String, top: u64, edge: &str, faint: &str) {
        for part in 0..=2 {
            let value = top * part / 2;
            let y = self.y(value, top);
            write!(
                svg,
                concat!(
                    r#"<line x1="{left}" y1="{y:.1}" x2="{end}" y2="{y:.1}" stroke="{edge}"/>"#,
                    r#"<text x="{label}" y="{text_y:.1}" font-size="10" text-anchor="end" fill="{faint}">{value}</text>"#
                ),
                left = LEFT,
                y = y,
                end = self.width - 10,
                edge = edge,
                label = LEFT - 6,
                text_y = y + 3.0,
                faint = faint,
                value = shown(value, self.panel.unit)
            )
            .unwrap();
        }
        for minute in (0..=MINUTES).step_by(20) {
            write!(
                svg,
                r#"<text x="{:.1}" y="{}" font-size="10" text-anchor="middle" fill="{faint}">{minute} min</text>"#,
                self.x(minute),
                PANEL_HEIGHT - BOTTOM + 14
            )
            .unwrap();
        }
    }

    /// Joins neighboring minutes. A minute without neighbors is a dot.
    fn line(&self, svg: &mut String, values: &[Option<u64>], top: u64, color: &str) {
        let point = |(minute, value): (usize, u64)| (self.x(minute), self.y(value, top));
        let points = values.iter().enumerate();
        let points: Vec<(usize, u64)> =
            points.filter_map(|(n, value)| Some((n, (*value)?))).collect();
        for run in points.chunk_by(|(before, _), (after, _)| before + 1 == *after) {
            if let [alone] = run {
                let (x, y) = point(*alone);
                write!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.2" fill="{color}"/>"#).unwrap();
                continue;
            }
            let path: Vec<String> =
                run.iter().map(|one| point(*one)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            write!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="1.6"/>"#,
                path.join(" ")
            )
            .unwrap();
        }
    }

    fn x(&self, minute: usize) -> f64 {
        let room = (self.width - 20 - LEFT) as f64;
        LEFT as f64 + room * minute as f64 / MINUTES as f64
    }

    fn y(&self, value: u64, top: u64) -> f64 {
        let (first, last) = (34.0, (PANEL_HEIGHT - BOTTOM) as f64);
        last - (last - first) * value as f64 / top as f64
    }
}

/// The end of a scale that has room for this value.
fn nice(value: u64) -> u64 {
    let mut magnitude = 1;
    loop {
        let fits = [2, 4, 6, 10].into_iter().map(|step| step * magnitude).find(|top| *top >= value);
        match fits {
            Some(top) => return top,
            None => magnitude *= 10,
        }
    }
}

fn shown(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Ms if value >= 60_000 => format!("{} min", (value as f64 / 6_000.0).round() / 10.0),
        Unit::Ms if value >= 1_000 => format!("{} s", value as f64 / 1_000.0),
        Unit::Ms => format!("{value} ms"),
        Unit::Count | Unit::Bytes => value.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

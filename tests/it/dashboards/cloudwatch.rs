//! The dashboard of CloudWatch, as a part of the template.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Alarm, Description, Panel, Series, Unit, Value};

/// Columns of a dashboard.
const WIDTH: usize = 24;
const PANEL_HEIGHT: usize = 6;

/// `DashboardBody` in the notation of the template: one widget a line.
pub fn body(description: &Description, alarms: &[Alarm]) -> String {
    let mut widgets = Vec::new();
    let all: Vec<String> = alarms.iter().map(|alarm| format!("${{{}.Arn}}", alarm.name)).collect();
    let status = json!({"title": "Alarms", "alarms": all});
    widgets.push(widget("alarm", (0, 0), (WIDTH, 5), &status));
    let mut y = 5;
    for question in &description.question {
        let heading =
            json!({"markdown": format!("## {}", question.title), "background": "transparent"});
        widgets.push(widget("text", (0, y), (WIDTH, 1), &heading));
        y += 1;
        for row in question.panel.chunks(question.columns()) {
            let width = WIDTH / row.len();
            for (column, panel) in row.iter().enumerate() {
                let size = (width, PANEL_HEIGHT);
                widgets.push(widget("metric", (column * width, y), size, &metrics(panel, alarms)));
            }
            y += PANEL_HEIGHT;
        }
    }
    let mut text = String::new();
    text +=
        "      DashboardBody: !Sub\n        - |\n          {\"start\": \"-PT3H\", \"widgets\": [\n";
    for (n, widget) in widgets.iter().enumerate() {
        let comma = if n + 1 < widgets.len() { "," } else { "" };
        writeln!(text, "            {widget}{comma}").unwrap();
    }
    text += "          ]}\n";
    text +=
        "        - AlertsTable: !If [CreatesAlertsTable, !Ref AppLogs, !Ref ExistingAlertsTable]\n";
    text +=
        "          OutboxTable: !If [CreatesOutboxTable, !Ref Outbox, !Ref ExistingOutboxTable]\n";
    text
}

fn widget(kind: &str, at: (usize, usize), size: (usize, usize), properties: &Json) -> Json {
    json!({
        "type": kind, "x": at.0, "y": at.1, "width": size.0, "height": size.1,
        "properties": properties,
    })
}

fn metrics(panel: &Panel, alarms: &[Alarm]) -> Json {
    let series = panel.series.iter().enumerate().map(|(n, series)| metric(series, n, panel));
    let lines = panel
        .thresholds(alarms)
        .into_iter()
        .map(|alarm| json!({"label": alarm.name, "value": alarm.threshold, "color": "#d62728"}));
    json!({
        "title": panel.title,
        "region": "${AWS::Region}",
        "view": "timeSeries",
        "period": 60,
        "metrics": series.collect::<Vec<_>>(),
        "annotations": {"horizontal": lines.collect::<Vec<_>>()},
        "yAxis": {"left": {"min": 0, "label": unit(panel.unit), "showUnits": false}},
    })
}

fn metric(series: &Series, n: usize, panel: &Panel) -> Json {
    let Series { namespace, metric, statistic, dimensions } = series;
    if dimensions.iter().any(|(_, value)| *value == Value::Each) {
        let names: Vec<&str> = dimensions.iter().map(|(name, _)| name.as_str()).collect();
        let known = dimensions.iter().filter(|(_, value)| *value != Value::Each);
        let known: String = known.map(|(name, of)| format!(" {name}=\"{}\"", value(of))).collect();
        let expression = format!(
            "SEARCH('{{{namespace},{}}} MetricName=\"{metric}\"{known}', '{statistic}', 60)",
            names.join(",")
        );
        let each = dimensions.iter().filter(|(_, value)| *value == Value::Each);
        let each: Vec<String> = each.map(|(name, _)| format!("${{!PROP('Dim.{name}')}}")).collect();
        let label = match panel.series.len() {
            1 => each.join(" "),
            _ => format!("{metric} {}", each.join(" ")),
        };
        return json!([{"expression": expression, "id": format!("e{n}"), "label": label}]);
    }
    let mut words = vec![json!(namespace), json!(metric)];
    for (name, of) in dimensions {
        words.extend([json!(name), json!(value(of))]);
    }
    let label = series.label(panel);
    words.push(json!({"stat": statistic, "label": label, "period": series.period()}));
    Json::Array(words)
}

fn value(value: &Value) -> String {
    match value {
        Value::Each => unreachable!("a search has no value"),
        Value::Literal(literal) => literal.clone(),
        Value::Resource(resource) => match &**resource {
            "AppLogs" => "${AlertsTable}".to_owned(),
            "Outbox" => "${OutboxTable}".to_owned(),
            resource => format!("${{{resource}}}"),
        },
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Ms => "ms",
        Unit::Bytes => "bytes",
    }
}

//! The dashboard of Grafana, with CloudWatch as its data source.

use serde_json::{Map, Value as Json, json};

use super::{Alarm, Description, Panel, Series, Unit, Value};

/// Columns of a dashboard.
const WIDTH: usize = 24;
const PANEL_HEIGHT: usize = 7;

/// A variable, the metric whose dimension has its values, and the logical id that they contain.
const VARIABLES: &[(&str, &str, &str)] = &[
    ("stream", "AWS/Kinesis, IncomingRecords, StreamName", "Stream"),
    ("dead_letters", "AWS/SQS, NumberOfMessagesSent, QueueName", "DeadLetters"),
    ("due_dead_letters", "AWS/SQS, NumberOfMessagesSent, QueueName", "DueDeadLetters"),
    ("failed_batches", "AWS/S3, NumberOfObjects, BucketName", "failedbatches"),
    ("alerts_table", "AWS/DynamoDB, ConsumedWriteCapacityUnits, TableName", "AppLogs"),
    ("outbox_table", "AWS/DynamoDB, ConsumedWriteCapacityUnits, TableName", "Outbox"),
];

pub fn dashboard(description: &Description, alarms: &[Alarm]) -> String {
    let (mut panels, mut y) = (Vec::new(), 0);
    for question in &description.question {
        panels.push(json!({
            "type": "row", "id": panels.len() + 1, "title": question.title, "collapsed": false,
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": [],
        }));
        y += 1;
        for row in question.panel.chunks(question.columns()) {
            let width = WIDTH / row.len();
            for (column, panel) in row.iter().enumerate() {
                let place = json!({"x": column * width, "y": y, "w": width, "h": PANEL_HEIGHT});
                panels.push(time_series(panel, panels.len() + 1, &place, alarms));
            }
            y += PANEL_HEIGHT;
        }
    }
    let dashboard = json!({
        "uid": "stentor", "title": "Stentor", "tags": ["stentor"], "schemaVersion": 39,
        "editable": true, "refresh": "1m", "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser", "templating": {"list": variables()}, "panels": panels,
    });
    serde_json::to_string_pretty(&dashboard).unwrap() + "\n"
}

fn source() -> Json {
    json!({"type": "cloudwatch", "uid": "${datasource}"})
}

fn variables() -> Vec<Json> {
    let mut variables = vec![
        json!({"type": "datasource", "name": "datasource", "label": "Data source", "query": "cloudwatch"}),
        json!({"type": "query", "name": "region", "label": "Region", "datasource": source(),
               "query": "regions()", "refresh": 1}),
        json!({"type": "textbox", "name": "stack", "label": "Stack", "query": "stentor",
               "current": {"text": "stentor", "value": "stentor"}}),
    ];
    variables.extend(VARIABLES.iter().map(|(name, metric, logical_id)| {
        json!({
            "type": "query", "name": name, "datasource": source(), "refresh": 2, "hide": 2,
            "query": format!("dimension_values($region, {metric})"),
            "regex": format!("/^$stack-{logical_id}-/"),
        })
    }));
    variables
}

fn time_series(panel: &Panel, id: usize, place: &Json, alarms: &[Alarm]) -> Json {
    let thresholds = panel.thresholds(alarms);
    let mut steps = vec![json!({"color": "green", "value": null})];
    for alarm in &thresholds {
        let color = if alarm.goes_off_below { "green" } else { "red" };
        steps.push(json!({"color": color, "value": alarm.threshold}));
    }
    if thresholds.iter().any(|alarm| alarm.goes_off_below) {
        steps[0] = json!({"color": "red", "value": null});
    }
    steps.dedup_by_key(|step| step["value"].as_u64());
    let names = thresholds.iter().map(|alarm| alarm.name.as_str()).collect::<Vec<_>>().join(", ");
    let targets = panel.series.iter().zip('A'..).map(|(series, id)| query(series, id, panel));
    json!({
        "type": "timeseries", "id": id, "title": panel.title, "gridPos": place,
        "description": if names.is_empty() { names } else { format!("Thresholds: {names}") },
        "datasource": source(),
        "targets": targets.collect::<Vec<_>>(),
        "fieldConfig": {
            "defaults": {
                "unit": unit(panel.unit), "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {
                    "drawStyle": "line", "lineWidth": 2, "showPoints": "auto", "spanNulls": false,
                    "thresholdsStyle": {"mode": if thresholds.is_empty() { "off" } else { "line" }},
                },
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    })
}

fn query(series: &Series, id: char, panel: &Panel) -> Json {
    let dimensions: Map<String, Json> =
        series.dimensions.iter().map(|(name, of)| (name.clone(), json!(value(of)))).collect();
    let each = series.dimensions.iter().filter(|(_, value)| *value == Value::Each);
    let each: Vec<String> = each.map(|(name, _)| format!("${{PROP('Dim.{name}')}}")).collect();
    let label = match (each.is_empty(), panel.series.len()) {
        (true, _) => series.label(panel),
        (false, 1) => each.join(" "),
        (false, _) => format!("{} {}", series.metric, each.join(" ")),
    };
    json!({
        "refId": id.to_string(), "datasource": source(), "queryMode": "Metrics",
        "metricQueryType": 0, "metricEditorMode": 0, "region": "$region", "matchExact": true,
        "namespace": series.namespace, "metricName": series.metric, "statistic": series.statistic,
        "dimensions": dimensions, "period": series.period().to_string(), "label": label,
        "id": "", "expression": "",
    })
}

fn value(value: &Value) -> String {
    let resource = match value {
        Value::Each => return "*".to_owned(),
        Value::Literal(literal) => return literal.clone(),
        Value::Resource(resource) => resource.as_str(),
    };
    let name = match resource {
        "Consumer" => "$stack-consumer",
        "Notifier" => "$stack-notifier",
        "ConsumerLogs" => "/aws/lambda/$stack-consumer",
        "NotifierLogs" => "/aws/lambda/$stack-notifier",
        // Its name is an id that no pattern recognizes.
        "ConsumerStream" => "*",
        "Stream" => "$stream",
        "DeadLetters.QueueName" => "$dead_letters",
        "DueDeadLetters.QueueName" => "$due_dead_letters",
        "FailedBatches" => "$failed_batches",
        "AppLogs" => "$alerts_table",
        "Outbox" => "$outbox_table",
        other => panic!("no variable for {other}"),
    };
    name.to_owned()
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "short",
        Unit::Ms => "ms",
        Unit::Bytes => "bytes",
    }
}

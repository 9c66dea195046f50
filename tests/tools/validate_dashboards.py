"""Reads dashboards/grafana.json with the types of Grafana, and the dashboard of template.yaml as JSON."""

import json
import re
from pathlib import Path

from cfnlint.decode.cfn_yaml import load
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.cloudwatch import CloudWatchMetricsQuery
from grafana_foundation_sdk.models.dashboard import Dashboard, RowPanel

ROOT = Path(__file__).resolve().parents[2]

plugins.register_default_plugins()
source = json.loads((ROOT / "dashboards/grafana.json").read_text())
dashboard = Dashboard.from_json(source)
panels = [panel for panel in dashboard.panels if not isinstance(panel, RowPanel)]
queries = [query for panel in panels for query in panel.targets]
assert panels and all(isinstance(query, CloudWatchMetricsQuery) for query in queries), "a query is not one of CloudWatch"


def unknown(ours, typed, way=""):
    """What the types do not know, and therefore do not write again."""
    match ours, typed:
        case dict(), dict():
            for key, value in ours.items():
                # The types leave out what is empty.
                if key in typed:
                    yield from unknown(value, typed[key], f"{way}/{key}")
                elif value not in ("", None, [], {}):
                    yield f"{way}/{key}"
        case list(), list():
            for index, pair in enumerate(zip(ours, typed, strict=True)):
                yield from unknown(*pair, f"{way}/{index}")


odd = list(unknown(source, json.loads(JSONEncoder().encode(dashboard))))
assert not odd, f"Grafana does not know {odd}"

names = {name for query in queries for name in re.findall(r"\$(\w+)", json.dumps(query.dimensions))}
known = {variable.name for variable in dashboard.templating.list_val}
assert names <= known, f"no variable is named {names - known}"

body, _ = load(ROOT / "template.yaml")["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
widgets = json.loads(body)["widgets"]
shown = sum(widget["type"] == "metric" for widget in widgets)
assert shown == len(panels), f"CloudWatch shows {shown} panels, Grafana {len(panels)}"
print(f"{len(panels)} panels with {len(queries)} queries")
